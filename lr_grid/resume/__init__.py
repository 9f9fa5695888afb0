"""--resume under a grid: a saved state by names, carried over to another grid, or refused."""

from lr_grid.resume.resumed import POLICIES, Resumed, resumed_state
from lr_grid.resume.upstream_layouts import layouts_of
from lr_grid.resume.without_grid import check_without_grid

__all__ = ["POLICIES", "Resumed", "check_without_grid", "layouts_of", "resumed_state"]
