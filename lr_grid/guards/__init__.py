"""What would make a run train something else than its grid says, told before training starts.

docs/optimizers.md holds the measurements behind the tables of optimizers and schedulers.
"""

from lr_grid.guards.chosen import optimizer_name
from lr_grid.guards.command_line import check_repeats, overruled
from lr_grid.guards.idle import idle_options
from lr_grid.guards.judge import bending, check_groups, check_optimizer
from lr_grid.guards.negative import check_negative

__all__ = [
    "bending",
    "check_groups",
    "check_negative",
    "check_optimizer",
    "check_repeats",
    "idle_options",
    "optimizer_name",
    "overruled",
]
