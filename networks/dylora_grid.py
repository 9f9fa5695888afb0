"""networks.dylora with an LR grid: SD1.x, SD2.x and SDXL. All of it is in lr_grid.network."""

from lr_grid.network import wrap

create_network, create_network_from_weights = wrap("networks.dylora")
