"""--resume in a run without a grid argument: the trainer's own way, told where it would not do what was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lr_grid.errors import GridError
from lr_grid.resume.change import change_of
from lr_grid.resume.resumed import FRESH_START, Resumed, difference
from lr_grid.resume.saved import RECORD

_CURE = "resume_grid=remap in --network_args carries it over by name"


def check_without_grid(resumed: Resumed, groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines about LRs that the state brings back.

    Args:
        groups: the wrapped module's own, with ``param_names`` and ``lr``.

    Raises: GridError where the state was saved under a grid, or would hand parameters the moments of others.
    """
    saved = resumed.saved
    if not saved.named:
        return []
    if any((group.get(RECORD) or {"grid": True}).get("grid") for group in saved.groups):
        raise GridError(
            [
                f"{resumed.shown}: this state was saved under a grid, and would bring its LRs back: give the same grid"
                f" arguments again; {_CURE}. {FRESH_START}"
            ]
        )
    change = change_of(saved, groups)
    if change.frozen or change.fresh or change.regrouped:
        raise GridError([f"{resumed.shown}: {difference(change)}: {_CURE}"])
    if change.lrs:
        return [f"{resumed.shown}: {difference(change)}: the state's come back, as without lr-grid. {_CURE}"]
    return []
