"""musubi-tuner's networks.lokr with an LR grid: LoKr on the architectures it knows. All of it is in lr_grid.network."""

from lr_grid.musubi.wrap import wrap

create_arch_network, create_arch_network_from_weights, prepare_network = wrap("lokr")
