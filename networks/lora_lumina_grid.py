"""networks.lora_lumina with an LR grid: Lumina-Image 2.0. All of it is in lr_grid.network."""

from lr_grid.network import wrap

create_network, create_network_from_weights = wrap("networks.lora_lumina")
