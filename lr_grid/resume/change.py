"""What sets the groups of a run apart from those of the state that it resumes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lr_grid.resume.saved import NAMES, SavedState
from lr_grid.scales import SCALES, lrs_of

_TOLERANCE = 1e-9
"""Relative: LRs that differ only by rounding are the same."""


@dataclass(frozen=True)
class Change:
    """By names of parameters, in the network's order. LRs are absolute."""

    kept: tuple[str, ...]
    """Trained then and now."""
    lrs: Mapping[str, tuple[float | None, float]]
    """Of the kept ones whose LR differs: (then, now)."""
    frozen: tuple[str, ...]
    """Trained then, not now."""
    fresh: tuple[str, ...]
    """Trained now, not then."""
    regrouped: bool
    """They stand in other groups or in another order, or have factors on their group's LR then or now only."""

    @property
    def nothing(self) -> bool:
        return not (self.lrs or self.frozen or self.fresh or self.regrouped)


def change_of(saved: SavedState, groups: Sequence[Mapping[str, Any]]) -> Change:
    """Compares a state with names to the groups about to be handed to the optimizer.

    Args:
        groups: with ``params``, ``param_names``, the absolute ``lr`` of the plan and ``lr_scales`` where there are.
    """
    now = {name: lr for group in groups for name, lr in zip(group[NAMES], lrs_of(group), strict=True)}
    then = {name for names in saved.names for name in names}
    kept = tuple(name for name in now if name in then)
    return Change(
        kept,
        {name: (saved.lr_of(name), now[name]) for name in kept if not same_lr(saved.lr_of(name), now[name])},
        tuple(name for names in saved.names for name in names if name not in now),
        tuple(name for name in now if name not in then),
        saved.names != [list(group[NAMES]) for group in groups]
        or [SCALES in group for group in saved.groups] != [SCALES in group for group in groups],
    )


def same_lr(then: float | None, now: float) -> bool:
    return then is not None and math.isclose(then, now, rel_tol=_TOLERANCE)
