"""lycoris.kohya with an LR grid, for musubi-tuner. All of it is in lr_grid.network."""

from lr_grid import network
from lr_grid.network import prepare_network

__all__ = ["create_network", "prepare_network"]
create_network, _ = network.wrap("lycoris.kohya")
