"""Prodigy's d from a state folder that accelerate saved (--save_state of both trainers)."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, TypeGuard

from lr_grid.errors import GridError, Problems
from lr_grid.recommend.bounds import COUNT, LR, shown
from lr_grid.recommend.probe import Probe, check_growth, check_settings, check_steps, never_moved
from lr_grid.training.shells import SHELLS


def read_state(path: Path) -> Probe:
    """Reads ``optimizer.bin``. Only plain data is loaded (torch's weights_only): a file that holds more is refused.

    Raises: GridError.
    """
    groups = _load_groups(path)
    known = [group for group in groups if "d" in group and "d0" in group]
    if not known:
        raise GridError(
            [f"{path}: was not written by Prodigy: its parameter groups hold no d (was --optimizer_type Prodigy?)"]
        )
    first = known[0]
    _check_numbers(path, known)
    values = [float(group["d"]) for group in known]
    d0, d = float(first["d0"]), max(values)
    if not d > d0 * (1 + 1e-6):
        raise never_moved(str(path), d0)
    steps = int(first["k"]) if "k" in first else None
    notes = check_settings(first) + check_steps(steps) + check_growth(d, d0)
    if min(values) < d * 0.99:
        notes.append(f"Its parameter groups have their own d, {min(values):.3g} to {d:.3g}: the largest is taken.")
    return Probe(str(path), d, steps, d0, notes)


def _check_numbers(path: Path, groups: list[dict[str, Any]]) -> None:
    """Raises: GridError where d, d0 or the step count k of a group is none that Prodigy writes."""
    problems = Problems()
    for index, group in enumerate(groups):
        for name in ("d", "d0"):
            value = group[name]
            if not _is_number(value) or not LR[0] <= value <= LR[1]:
                problems.add(f"{path}: {name} of parameter group {index} is {_cut(value)}, not a number above 0")
        steps = group.get("k", 0)
        if not _is_number(steps) or not 0 <= steps <= COUNT[1]:
            problems.add(f"{path}: k of parameter group {index} is {_cut(steps)}, not a number of steps")
    problems.raise_if_any()


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cut(value: object) -> str:
    return shown(value) if _is_number(value) else f"{value!r:.40}"


def _load_groups(path: Path) -> list[dict[str, Any]]:
    import torch

    expected = "expected a --save_state folder, the optimizer.bin in it, or a TensorBoard log"
    if path.suffix.lower() in SHELLS or path.suffix.lower() == ".toml":
        raise GridError([f"{path}: is a config, not what its run left behind (--probe-command reads it): {expected}"])
    if not zipfile.is_zipfile(path):  # torch.save's format since 1.6
        raise GridError([f"{path}: is no saved state: {expected}"])
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises half a dozen kinds, whose texts advise to load whatever the file holds
        raise GridError(
            [f"{path}: is damaged, or holds more than the plain data of an optimizer's state: it is not loaded"]
        ) from None
    groups = state.get("param_groups") if isinstance(state, dict) else None
    if not isinstance(groups, list):
        raise GridError([f"{path}: holds no optimizer state (param_groups)"])
    for index, group in enumerate(groups):
        if not isinstance(group, dict):
            raise GridError([f"{path}: parameter group {index} is {type(group).__name__}, not a table"])
    return groups
