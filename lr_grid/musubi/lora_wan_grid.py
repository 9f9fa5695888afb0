"""musubi-tuner's networks.lora_wan with an LR grid: Wan 2.1 and 2.2. All of it is in lr_grid.network."""

from lr_grid.musubi.wrap import wrap

create_arch_network, create_arch_network_from_weights, prepare_network = wrap("lora_wan")
