"""An optimizer's saved state in the layout of other groups: every parameter keeps its own moments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lr_grid.errors import GridError
from lr_grid.resume.change import same_lr
from lr_grid.resume.group_state import LRS, OF_THE_GRID, SCALED_BY_LR
from lr_grid.resume.saved import NAMES, SavedState, planned_lr


@dataclass(frozen=True)
class Carried:
    """A state dict of the optimizer in the new layout, and where each of its groups came from."""

    state_dict: dict[str, Any]
    donors: tuple[int | None, ...]
    """Of each new group: the saved group whose state it took over; None for fresh ones."""


def carry(saved: SavedState, live: Sequence[Mapping[str, Any]], eta_min: float = 0.0) -> Carried:
    """The saved state, laid out as the groups of the living optimizer.

    Args:
        saved: with names.
        live: ``param_groups`` of the optimizer before its first step, with ``param_names``: what a fresh group has.
        eta_min: the scheduler's absolute floor (absolute LR), if it has one: an LR's place between it and the LR that
            the schedule started from is kept, else the LR's share of that.

    Raises: GridError where the state has parts beside groups and parameters.
    """
    if saved.others:
        raise GridError(
            [
                f"--resume {saved.folder}: the state of this optimizer holds {', '.join(saved.others)} beside its"
                " groups, which cannot be carried over to another grid. Resume under the same grid"
            ]
        )
    state: dict[int, Any] = {}
    groups: list[dict[str, Any]] = []
    donors: list[int | None] = []
    position = 0
    for group in live:
        names = list(group[NAMES])
        places = list(range(position, position + len(names)))
        position += len(names)
        for place, name in zip(places, names, strict=True):
            own = saved.state_of(name)
            if own:
                state[place] = dict(own)
        donor = _donor(saved, names, group)
        donors.append(donor)
        values = {key: value for key, value in group.items() if key != "params"}
        if donor is not None:
            values |= _taken_over(saved.groups[donor], group, eta_min)
        elif saved.groups:
            # What has no past stands at the present place of the schedule, too.
            values |= _scheduled(saved.groups[0], group, eta_min)
        groups.append({**values, "params": places})
    return Carried({"state": state, "param_groups": groups}, tuple(donors))


def _donor(saved: SavedState, names: Sequence[str], group: Mapping[str, Any]) -> int | None:
    """The saved group that most of these parameters come from; of equals one at the same LR, whose bits then stay."""
    numbers = [number for name in names if (number := saved.group_of(name)) is not None]
    if not numbers:
        return None
    counts = Counter(numbers)
    lr = planned_lr(group) or 0.0
    return max(counts, key=lambda number: (same_lr(planned_lr(saved.groups[number]), lr), counts[number], -number))


def _taken_over(donor: Mapping[str, Any], group: Mapping[str, Any], eta_min: float) -> dict[str, Any]:
    """What a group has from its donor: everything but the grid's own keys and LRs; these go with the new LR."""
    taken = {key: value for key, value in donor.items() if key not in OF_THE_GRID and key not in LRS}
    old, new = planned_lr(donor), planned_lr(group)
    if old and new and not same_lr(old, new):
        for key, power in SCALED_BY_LR.items():
            if isinstance(taken.get(key), (int, float)) and taken[key] > 0:
                taken[key] = taken[key] * (new / old) ** power
    return taken | _scheduled(donor, group, eta_min)


def _scheduled(donor: Mapping[str, Any], group: Mapping[str, Any], eta_min: float) -> dict[str, Any]:
    """The LRs of a group at the donor's place in the schedule. Unchanged LRs keep their bits."""
    old, new = planned_lr(donor), planned_lr(group)
    if old is not None and new is not None and same_lr(old, new):
        return {key: donor[key] for key in LRS if key in donor}
    start, now = group.get("initial_lr"), donor.get("lr")
    told = {key: group[key] for key in LRS if key in group}
    if start is None or now is None:
        if old and new and now is not None:
            told["lr"] = new * (now / old)
        return told
    began = donor.get("initial_lr", old)
    if began is not None and began != eta_min:
        told["lr"] = eta_min + (now - eta_min) * (start - eta_min) / (began - eta_min)
    if "scheduled_lr" in donor and began:
        told["scheduled_lr"] = donor["scheduled_lr"] * start / began
    return told
