"""networks.lora_sd3 with an LR grid: SD3 and SD3.5. All of it is in lr_grid.network."""

from lr_grid.network import wrap

create_network, create_network_from_weights = wrap("networks.lora_sd3")
