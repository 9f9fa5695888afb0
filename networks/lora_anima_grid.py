"""networks.lora_anima with an LR grid: Anima. All of it is in lr_grid.network."""

from lr_grid.network import wrap

create_network, create_network_from_weights = wrap("networks.lora_anima")
