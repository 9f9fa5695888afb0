"""networks.lora_hunyuan_image with an LR grid: HunyuanImage-2.1. All of it is in lr_grid.network."""

from lr_grid.network import wrap

create_network, create_network_from_weights = wrap("networks.lora_hunyuan_image")
