"""--optimizer_args told apart: what the grid takes, and what is the optimizer's own. Needs no torch.

The trainers hand every ``key=value`` to the optimizer's class, the value read by ast.literal_eval.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from lr_grid.errors import GridError, Problems, did_you_mean
from lr_grid.keys import HINTS, is_grid_key
from lr_grid.settings import read_settings

PLAN_FILE = "plan_file"
"""Where the plan is written, where that is not beside what the trainer saves."""
WORDS = "--optimizer_args"


def split_options(
    options: Mapping[str, Any], makes: Callable[..., Any], named: str, more: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the optimizer's own options, the grid's settings and ``plan_file``).

    What the optimizer names as a parameter is its own, also where the grid has a key of that name.

    Args:
        makes: what takes the options, for its signature.
        named: what the optimizer is called in messages.
        more: further keys that were taken already, for the hint at a misspelling.

    Raises: GridError with every key that neither of them knows; then with what is wrong with the others, too.
    """
    takes = keywords_of(makes)
    own, grid = {}, {}
    problems = Problems()
    for key, value in options.items():
        if takes is not None and key in takes:
            own[key] = value
        elif is_grid_key(key) or key == PLAN_FILE:
            grid[key] = value
        elif takes is None:
            own[key] = value
        else:
            hint = did_you_mean(key, sorted({*HINTS, "grid", PLAN_FILE, *takes, *more}))
            problems.add(f"{WORDS} {key}: neither {named} nor the grid has it.{hint}")
    if problems.found and grid:
        read_settings({key: value for key, value in grid.items() if key != PLAN_FILE}, problems, words=WORDS)
    problems.raise_if_any()
    if grid.keys() == {PLAN_FILE}:
        raise GridError([f"{WORDS} {PLAN_FILE}: says where a grid's plan goes, and no setting of a grid is given"])
    return own, grid


def keywords_of(makes: Callable[..., Any]) -> frozenset[str] | None:
    """The names of the parameters that something takes; None where it takes any (``**kwargs``), or does not tell."""
    try:
        parameters = inspect.signature(makes).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return frozenset(parameter.name for parameter in parameters if parameter.kind in kinds) - {"self", "params"}
