"""A scheduler's saved state in the layout of other groups: its place stays, its base LRs are the new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lr_grid.errors import GridError

_LRS = ("base_lrs", "max_lrs", "min_lrs")
"""Lists with an LR for each group: the new run's."""
_LAST = "_last_lr"
_LAMBDAS = "lr_lambdas"
"""LambdaLR's: for each group the attributes of its function, where that is an object; else None."""
_NESTED = "_schedulers"
"""SequentialLR's and ChainedScheduler's."""


def carry_schedule(
    saved: Mapping[str, Any],
    live: Mapping[str, Any],
    donors: Sequence[int | None],
    lrs: Sequence[float],
    old_groups: int,
) -> dict[str, Any]:
    """The saved state of a torch scheduler, for other groups.

    Args:
        saved: what scheduler.bin holds.
        live: the state dict of the new run's scheduler before its first step.
        donors: of each new group, the saved group it came from (None: a fresh one).
        lrs: of each new group, its LR (absolute) at the saved place of the schedule.
        old_groups: how many groups the saved optimizer had.

    Raises: GridError for a scheduler with lists per group that are not known.
    """
    carried = dict(saved)
    unknown = []
    for key, value in saved.items():
        if key in _LRS:
            carried[key] = live.get(key, value)
        elif key == _LAST:
            carried[key] = list(lrs)
        elif key == _LAMBDAS and isinstance(value, list):
            carried[key] = [value[donor or 0] for donor in donors]
        elif key == _NESTED and isinstance(value, list) and len(value) == len(live.get(key, ())):
            carried[key] = [
                carry_schedule(old, new, donors, lrs, old_groups) for old, new in zip(value, live[key], strict=True)
            ]
        elif isinstance(value, (list, tuple)) and len(value) == old_groups > 1 and "milestones" not in key:
            unknown.append(key)
    if unknown:
        raise GridError(
            [
                f"--resume: the scheduler keeps {', '.join(unknown)} for each group, which lr-grid does not know to"
                " carry over to another grid. Resume under the same grid, or start the schedule anew: give the state's"
                " model.safetensors as --network_weights"
            ]
        )
    return carried


def floor_of(saved: Mapping[str, Any]) -> float:
    """The absolute LR that a schedule ends at whatever it started from (CosineAnnealingLR's eta_min), else 0."""
    floor = saved.get("eta_min", 0.0)
    return float(floor) if isinstance(floor, (int, float)) else 0.0
