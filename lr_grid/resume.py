"""--resume under a grid: the saved state must be of the same grid.

A saved state holds its groups by position and brings its own LRs back. Under another layout it would hand parameters
the moments of others, without a word; under other LRs it would quietly train on with the old ones. Both are refused.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lr_grid.errors import GridError

_CURE = "To go on from its weights with a fresh optimizer, give --network_weights instead of --resume"


def check_resume(args: argparse.Namespace, groups: Sequence[dict[str, Any]]) -> None:
    """Raises GridError where --resume names a state whose optimizer had other groups or LRs than these.

    Args:
        args: the trainer's arguments. Without --resume, or an optimizer.bin in its folder, nothing is said.
        groups: the groups about to be handed to the optimizer (``param_names`` under a grid, absolute ``lr``).
    """
    folder = getattr(args, "resume", None)
    gridded = any("param_names" in group for group in groups)
    if not folder:
        return
    if getattr(args, "resume_from_huggingface", False):
        if gridded:
            raise GridError(["--resume_from_huggingface: give a local folder: the grid checks the state"])
        return
    saved = _saved_groups(Path(folder) / "optimizer.bin")
    if not saved:
        return
    problem = _difference(saved, groups) if gridded else _grid_gone(saved)
    if problem:
        raise GridError([f"--resume {folder}: {problem}. {_CURE}"])


def _saved_groups(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        return []
    try:
        return torch.load(file, map_location="cpu", weights_only=False)["param_groups"]
    except Exception as error:  # whatever a damaged file makes the unpickler raise
        raise GridError([f"{file}: the optimizer's state cannot be read: {error}"]) from error


def _grid_gone(saved: Sequence[dict[str, Any]]) -> str:
    """What is wrong with resuming a state without a grid."""
    if any("param_names" in group for group in saved):
        return "this state was saved under a grid, and would bring its LRs back: give the same grid arguments again"
    return ""


def _difference(saved: Sequence[dict[str, Any]], groups: Sequence[dict[str, Any]]) -> str:
    """What sets the saved groups of a grid apart from these; empty where nothing does."""
    if any("param_names" not in group for group in saved):
        return "this state was saved without a grid"
    old = {name: float(group.get("initial_lr", group["lr"])) for group in saved for name in group["param_names"]}
    new = {name: float(group["lr"]) for group in groups for name in group["param_names"]}
    if old.keys() != new.keys():
        names = sorted(old.keys() ^ new.keys())
        return f"this state trains other parameters than the grid ({len(names)} differ, e.g. {names[0]})"
    changed = [name for name, lr in new.items() if not math.isclose(lr, old[name], rel_tol=1e-9)]
    if changed:
        name = changed[0]
        return (
            f"the state would bring its old LRs back for {len(changed)} parameters"
            f" (e.g. {name}: {old[name]:g}, the grid says {new[name]:g})"
        )
    if [g["param_names"] for g in saved] != [g["param_names"] for g in groups]:
        return "this state has its groups in another order"
    return ""
