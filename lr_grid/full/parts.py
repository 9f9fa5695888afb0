"""An optimizer's groups taken apart by LR factor, for the length of one step.

Outside of step() the trainer's groups stand as the trainer made them: their number, order and LRs are what schedulers,
logs and saved states see. What an optimizer keeps in a group itself (schedule-free's k, Prodigy's d) lives on in the
parts, each its own, and in the trainer's group as the first part has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from lr_grid.group_keys import FULL, NAMES, RECORD
from lr_grid.scales import SCALES

SAVED = "lr_grid_parts"
"""Key of a group in a saved state: what its parts keep themselves."""
_NOT_SHARED = frozenset({"params", "lr", SCALES, NAMES, RECORD, FULL, SAVED})


@dataclass
class Part:
    """The parameters of a trainer's group that have one factor."""

    scale: float
    group: dict[str, Any]
    """What the optimizer gets to see in place of the trainer's group."""


@dataclass
class _Whole:
    """What is remembered of a trainer's group."""

    parts: list[Part]
    seen: dict[str, Any] = field(default_factory=dict)
    """The trainer's values that the parts were last given."""

    def __post_init__(self) -> None:
        self.by_id = {id(parameter): part for part in self.parts for parameter in part.group["params"]}


class Parts:
    """All groups of an optimizer, taken apart. A parameter whose factor is 0 is in no part: it is not moved, and the
    optimizer makes no state for it."""

    def __init__(self, groups: Sequence[dict[str, Any]]):
        self._wholes = [_Whole(_take_apart(group)) for group in groups]

    def expand(self, groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The parts as groups of their own, each with the LR that its factor makes of the trainer's group's."""
        expanded = []
        # Groups that were added later (add_param_group) go as they are.
        for group, whole in zip(groups, self._wholes, strict=False):
            changed = {key: value for key, value in group.items() if key not in _NOT_SHARED}
            changed = {k: v for k, v in changed.items() if k not in whole.seen or not _equal(whole.seen[k], v)}
            whole.seen.update(changed)
            lr = group["lr"]
            for part in whole.parts:
                part.group.update(_copied(changed))
                part.group["lr"] = lr * part.scale
                expanded.append(part.group)
        return [*expanded, *groups[len(self._wholes) :]]

    def collect(self, groups: Sequence[dict[str, Any]]) -> None:
        """After a step: what it changed in the first part of a group is there for all to see in the group."""
        for group, whole in zip(groups, self._wholes, strict=False):
            if whole.parts:
                for key, value in whole.parts[0].group.items():
                    if key not in _NOT_SHARED and (key not in group or group[key] is not value):
                        group[key] = whole.seen[key] = value

    def part_of(self, parameter: Tensor, index: int) -> Part | None:
        """The part of the trainer's group number ``index`` that holds a parameter; None for one that is frozen."""
        return self._wholes[index].by_id.get(id(parameter))

    def saved(self) -> list[list[dict[str, Any]]]:
        """Of each group and each of its parts what it keeps that the trainer's group does not say."""
        return [
            [
                {"scale": part.scale, "own": {k: v for k, v in part.group.items() if _is_own(k, v, whole.seen)}}
                for part in whole.parts
            ]
            for whole in self._wholes
        ]

    def restore(self, groups: Sequence[dict[str, Any]], saved: Sequence[Any]) -> None:
        """Takes over what ``saved`` gave (None: nothing). A part whose factor was not there takes what the trainer's
        group holds."""
        for group, whole, entries in zip(groups, self._wholes, saved, strict=False):
            by_scale = {entry["scale"]: entry["own"] for entry in entries or ()}
            whole.seen = {key: value for key, value in group.items() if key not in _NOT_SHARED}
            for part in whole.parts:
                part.group = {"params": part.group["params"], "lr": None, **_copied(whole.seen)}
                part.group.update(by_scale.get(part.scale, {}))


def _take_apart(group: Mapping[str, Any]) -> list[Part]:
    by_scale: dict[float, list[Tensor]] = {}
    for parameter, scale in zip(group["params"], group[SCALES], strict=True):
        if scale != 0:
            by_scale.setdefault(scale, []).append(parameter)
    return [Part(scale, {"params": parameters}) for scale, parameters in by_scale.items()]


def _copied(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a group for one part: what an optimizer changes in place is each part's own."""
    return {
        key: value.clone() if isinstance(value, Tensor) else value.copy() if isinstance(value, (list, dict)) else value
        for key, value in values.items()
    }


def _is_own(key: str, value: Any, seen: Mapping[str, Any]) -> bool:
    return key not in _NOT_SHARED and not (key in seen and _equal(seen[key], value))


def _equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return False
    return type(one) is type(other) and bool(one == other)
