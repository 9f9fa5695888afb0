"""Prodigy's d from a state folder that accelerate saved (--save_state of both trainers)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lr_grid.errors import GridError
from lr_grid.recommend.probe import Probe, check_growth, check_settings, check_steps, never_moved


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
    values = [float(group["d"]) for group in known]
    d0, d = float(first["d0"]), max(values)
    if not d > d0 * (1 + 1e-6):
        raise never_moved(str(path), d0)
    steps = int(first["k"]) if "k" in first else None
    notes = check_settings(first) + check_steps(steps) + check_growth(d, d0)
    if min(values) < d * 0.99:
        notes.append(f"Its parameter groups have their own d, {min(values):.3g} to {d:.3g}: the largest is taken.")
    return Probe(str(path), d, steps, d0, notes)


def _load_groups(path: Path) -> list[dict[str, Any]]:
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds for a file that is none of its own
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise GridError([f"{path}: is no optimizer state that can be loaded safely: {first_line}"]) from None
    groups = state.get("param_groups") if isinstance(state, dict) else None
    if not isinstance(groups, list):
        raise GridError([f"{path}: holds no optimizer state (param_groups)"])
    return groups
