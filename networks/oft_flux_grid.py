"""networks.oft_flux with an LR grid: FLUX.1. All of it is in lr_grid.network."""

from lr_grid.network import wrap

create_network, create_network_from_weights = wrap("networks.oft_flux")
