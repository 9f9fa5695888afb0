"""musubi-tuner's networks.lora_flux with an LR grid: FLUX.1 Kontext. All of it is in lr_grid.network."""

from lr_grid.musubi.wrap import wrap

create_arch_network, create_arch_network_from_weights, prepare_network = wrap("lora_flux")
