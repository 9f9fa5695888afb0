"""What a folder of --save_state holds: weights by shape, the optimizer's groups and state, names where they were kept.

Read only; nothing here writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from lr_grid.errors import GridError
from lr_grid.group_keys import NAMES, RECORD
from lr_grid.scales import scales_of
from lr_grid.words import Shape

OPTIMIZER, SCHEDULER = "optimizer.bin", "scheduler.bin"
SAFE_WEIGHTS, WEIGHTS = "model.safetensors", "pytorch_model.bin"
DDP = "module."
"""What stands before every name in the weights that several processes saved."""


@dataclass(frozen=True)
class SavedState:
    """A state folder's optimizer and weights."""

    folder: Path
    groups: Sequence[Mapping[str, Any]]
    """param_groups, ``params`` being positions."""
    state: Mapping[int, Mapping[str, Any]]
    """Position -> what the optimizer keeps of that parameter."""
    others: tuple[str, ...]
    """What else there is beside groups and state."""
    weights: Mapping[str, Shape]
    """Name in the network -> shape."""
    prefix: str = ""
    """What stands before every name in the file of the weights."""
    inferred: bool = False
    """The names were not saved, but proven by the layout."""
    _places: dict[str, tuple[int, int, float]] = field(default_factory=dict)
    """Name -> group, position, factor on the group's LR."""

    def __post_init__(self) -> None:
        for number, group in enumerate(self.groups):
            for position, name, scale in zip(group["params"], group.get(NAMES, ()), scales_of(group), strict=False):
                self._places[name] = (number, position, scale)

    @property
    def named(self) -> bool:
        return all(NAMES in group for group in self.groups)

    @property
    def names(self) -> list[list[str]]:
        """Of the trained parameters, by group; empty lists where names were not saved."""
        return [list(group.get(NAMES, ())) for group in self.groups]

    @property
    def record(self) -> dict[str, Any]:
        """What lr-grid noted of the run that saved it (report.jsonfile.run_record); empty where it was not there."""
        noted: Mapping[str, Any] = next((group[RECORD] for group in self.groups if RECORD in group), {})
        return json.loads(noted["run"]) if "run" in noted else {}

    def group_of(self, name: str) -> int | None:
        """The number of the group that trained a parameter; None where it did not train."""
        place = self._places.get(name)
        return place[0] if place else None

    def lr_of(self, name: str) -> float | None:
        """The LR (absolute, before the schedule) that a parameter was trained at; None where it did not train."""
        place = self._places.get(name)
        lr = planned_lr(self.groups[place[0]]) if place else None
        return None if place is None or lr is None else lr * place[2]

    def state_of(self, name: str) -> Mapping[str, Any]:
        """What the optimizer keeps of a parameter; empty where it kept nothing."""
        place = self._places.get(name)
        return self.state.get(place[1], {}) if place else {}

    def with_names(self, names: Sequence[Sequence[str]]) -> SavedState:
        """The same, with names for a state that was saved without."""
        groups = [{**group, NAMES: list(own)} for group, own in zip(self.groups, names, strict=True)]
        return replace(self, groups=groups, inferred=True, _places={})


def planned_lr(group: Mapping[str, Any]) -> float | None:
    """The LR (absolute) that a group was asked to have: noted by lr-grid, else where its schedule started, else the
    present one (an Adafactor that sets its own has None)."""
    noted = (group.get(RECORD) or {}).get("lr")
    lr = noted if noted is not None else group.get("initial_lr", group.get("lr"))
    return None if lr is None else float(lr)


def read_state(folder: Path) -> SavedState | None:
    """The state in a folder; None where it has no optimizer.bin (the trainer says what is wrong with it, or it was
    saved in another way: DeepSpeed, FSDP).

    Raises: GridError for a file that cannot be read.
    """
    file = folder / OPTIMIZER
    if not file.is_file():
        return None
    whole = load(file)
    if not isinstance(whole, dict) or not {"param_groups", "state"} <= whole.keys():
        raise GridError([f"{file}: is no optimizer's state (it has no param_groups and state)"])
    weights = _shapes(folder)
    prefix = DDP if weights and all(name.startswith(DDP) for name in weights) else ""
    return SavedState(
        folder,
        whole["param_groups"],
        whole["state"],
        tuple(key for key in whole if key not in ("param_groups", "state")),
        {name.removeprefix(prefix): shape for name, shape in weights.items()},
        prefix,
    )


def load(file: Path) -> Any:
    """What torch saved, its tensors left in the file until they are looked at.

    Raises: GridError for a file that cannot be read.
    """
    try:
        return torch.load(file, map_location="cpu", weights_only=False, mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):
            raise _unreadable(file, error) from error
    except Exception as error:  # whatever a damaged file makes the unpickler raise
        raise _unreadable(file, error) from error
    try:
        return torch.load(file, map_location="cpu", weights_only=False)  # torch's old format cannot be mapped
    except Exception as error:
        raise _unreadable(file, error) from error


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a state folder, by the names in the file."""
    file = folder / SAFE_WEIGHTS
    if not file.is_file():
        return dict(load(folder / WEIGHTS))
    with safe_open(str(file), "pt") as weights:
        return {key: weights.get_tensor(key) for key in weights.keys()}  # noqa: SIM118


def _shapes(folder: Path) -> dict[str, Shape]:
    file = folder / SAFE_WEIGHTS
    if file.is_file():
        try:
            with safe_open(str(file), "pt") as weights:
                return {key: tuple(weights.get_slice(key).get_shape()) for key in weights.keys()}  # noqa: SIM118
        except Exception as error:
            raise _unreadable(file, error) from error
    if (folder / WEIGHTS).is_file():
        return {key: tuple(tensor.shape) for key, tensor in load(folder / WEIGHTS).items()}
    return {}


def _unreadable(file: Path, error: Exception) -> GridError:
    return GridError([f"{file}: the saved state cannot be read ({error or type(error).__name__})"])
