"""Whether the optimizer and the scheduler of a pasted command can obey a grid."""

from __future__ import annotations

from argparse import Namespace

from lr_grid.folding import scheduled_lrs
from lr_grid.guards import bending, check_optimizer
from lr_grid.plan import lrs_of_rows
from lr_grid.preview import Preview
from lr_grid.ui.command import training_of
from lr_grid.ui.state import State
from lr_grid.ui.write import command_text


def about_command(state: State, made: Preview) -> list[str]:
    """What should be known of the command's optimizer and scheduler under the grid, as ``lr-grid show`` says it.

    Raises: GridError where the run would stop at them, or train something else.
    """
    config = training_of(command_text(state, "")) if state.command and made.is_grid else None
    if config is None or config.script is None:
        return []
    args, lrs = Namespace(**config.defaults()), lrs_of_rows(made.plan.rows)
    scheduled = scheduled_lrs(made.plan, args.optimizer_type)
    check_optimizer(args, lrs, scheduled)
    return list(bending(args, lrs, scheduled))
