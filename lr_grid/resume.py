"""--resume under a grid: the saved state must be of the same grid.

A saved state holds its groups by position and brings its own LRs back. Under another layout it would hand parameters
the moments of others, without a word; under other LRs it would quietly train on with the old ones. Both are refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lr_grid.errors import GridError

_CURE = "To go on from its weights with a fresh optimizer, give --network_weights instead of --resume"


def check_resume(folder: str, groups: Sequence[dict[str, Any]]) -> None:
    """Raises GridError where a state folder's optimizer was saved under other groups or LRs than these.

    Args:
        folder: the trainer's --resume. Without an optimizer.bin in it nothing is said: the trainer will.
        groups: the groups about to be handed to the optimizer (``param_names``, absolute ``lr``).
    """
    file = Path(folder) / "optimizer.bin"
    if not file.is_file():
        return
    saved = torch.load(file, map_location="cpu", weights_only=False)["param_groups"]
    if any("param_names" not in group for group in saved):
        raise GridError([f"--resume {folder}: this state was saved without a grid. {_CURE}"])
    old = {name: float(group.get("initial_lr", group["lr"])) for group in saved for name in group["param_names"]}
    new = {name: float(group["lr"]) for group in groups for name in group["param_names"]}
    if old.keys() != new.keys():
        names = sorted(old.keys() ^ new.keys())
        raise GridError(
            [
                f"--resume {folder}: this state trains other parameters than the grid"
                f" ({len(names)} differ, e.g. {names[0]}). {_CURE}"
            ]
        )
    changed = [name for name, lr in new.items() if not math.isclose(lr, old[name], rel_tol=1e-9)]
    if changed:
        name = changed[0]
        raise GridError(
            [
                f"--resume {folder}: the state would bring its old LRs back for {len(changed)} parameters"
                f" (e.g. {name}: {old[name]:g}, the grid says {new[name]:g}). {_CURE}"
            ]
        )
    if [g["param_names"] for g in saved] != [g["param_names"] for g in groups]:
        raise GridError([f"--resume {folder}: this state has its groups in another order. {_CURE}"])
