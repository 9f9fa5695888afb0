"""One full fine-tuning: its settings, its plan, and the optimizers that train it (one, or one for each block)."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakSet

from lr_grid.errors import GridError, Problems
from lr_grid.full.arguments import PLAN_FILE, WORDS
from lr_grid.full.callers import Locals, all_groups, trainer_args
from lr_grid.full.checkpointing import keep_gradients
from lr_grid.full.naming import find_roots
from lr_grid.full.planning import Planning, plan_groups
from lr_grid.grid_settings import GridSettings
from lr_grid.group_keys import NAMES
from lr_grid.plan import Plan
from lr_grid.report.announce import announce
from lr_grid.scales import SCALES, scale_between
from lr_grid.settings import read_settings
from lr_grid.trained import freeze

_OUTPUT_NAME = "last"
"""What the trainers call a model without --output_name."""


class FullRun:
    """A plan for all tensors that the trainer's script trains."""

    def __init__(self, settings: GridSettings, key: str, groups: Sequence[dict[str, Any]], frames: Sequence[Locals]):
        self.settings, self.key = settings, key
        self.args = trainer_args(frames)
        self.groups = groups
        tensors = [tensor for group in groups for tensor in group["params"]]
        self.kept = tensors
        """Held, so that no id is used again."""
        self.roots = find_roots(tensors, frames)
        self.planning: Planning = plan_groups(groups, self.roots, settings)
        self.claimed: set[int] = set()
        """Ids of the tensors that an optimizer has taken."""
        self.proven = 0
        """Optimizers that took their first step."""

    @property
    def plan(self) -> Plan:
        return self.planning.plan

    def note(self, lines: Sequence[str]) -> None:
        """Adds what the user should know."""
        self.planning = replace(self.planning, plan=replace(self.plan, notices=(*self.plan.notices, *lines)))

    def freeze(self) -> None:
        """Takes what has an LR of 0 out of training; called once nothing can go wrong any more."""
        planned = self.planning.tensors
        frozen = [t for t in self.kept if id(t) in planned and planned[id(t)].lr == 0]
        freeze(frozen)
        self.note(keep_gradients(self.roots, {id(t) for t in frozen}, self.args))

    def announce(self, optimizer: str, path: Path | None) -> None:
        """Prints the grid and writes the plan."""
        told: list[dict[str, Any]] = []
        names: list[str] = []
        planned = self.planning.tensors
        for group in self.groups:
            ours = [planned[id(t)] for t in group["params"] if id(t) in planned]
            if not ours:
                continue
            lr = float(group["lr"])
            told.append(
                {
                    "params": ours,
                    "lr": lr,
                    NAMES: [one.name for one in ours],
                    SCALES: [scale_between(lr, one.lr) for one in ours],
                }
            )
            parts = dict.fromkeys(_part(one.name) for one in ours)
            names.append(f"{' '.join(parts)} group {len(names)}")
        announce(self.plan, optimizer, told, names, path)


_RUNS: WeakSet[FullRun] = WeakSet()


def run_for(groups: list[dict[str, Any]], grid: Mapping[str, Any], frames: Sequence[Locals]) -> tuple[FullRun, bool]:
    """(the run that these groups of an optimizer belong to, whether it is new).

    Args:
        groups: all of the optimizer's.
        grid: settings, as given.

    Raises: GridError with every problem of the settings.
    """
    key = repr(sorted(grid.items(), key=lambda item: item[0]))
    ids = {id(tensor) for group in groups for tensor in group["params"]}
    for run in list(_RUNS):
        known = {id(tensor) for tensor in run.kept}
        if run.key == key and ids <= known and not ids & run.claimed:
            run.claimed |= ids
            return run, False
    problems = Problems()
    settings = read_settings({k: v for k, v in grid.items() if k != PLAN_FILE}, problems, words=WORDS)
    problems.raise_if_any()
    _refuse_sharding(frames)
    every = all_groups(frames, groups[0])
    if any(all(group is not one for one in every) for group in groups):
        every = groups
    run = FullRun(settings, key, every, frames)
    run.claimed |= ids
    _RUNS.add(run)
    return run, True


def plan_path(given: object, args: argparse.Namespace | None) -> Path | None:
    """Where the plan goes: to the file that was named, else beside what the trainer saves; None where neither is known.

    Raises: GridError for a name that is no .json.
    """
    if given is not None:
        path = Path(str(given)).expanduser()
        if path.suffix != ".json":
            raise GridError([f"{PLAN_FILE}: {given} is no .json file (the picture lands beside it)"])
        return path
    folder = getattr(args, "output_dir", None)
    return Path(folder) / f"{getattr(args, 'output_name', None) or _OUTPUT_NAME}.lr_grid.json" if folder else None


def _refuse_sharding(frames: Sequence[Locals]) -> None:
    """Raises GridError where the optimizer will be given other tensors than the model's."""
    args = trainer_args(frames)
    for name, flag in (("DeepSpeed", "ACCELERATE_USE_DEEPSPEED"), ("FSDP", "ACCELERATE_USE_FSDP")):
        asked = name == "DeepSpeed" and getattr(args, "deepspeed", False)
        if asked or os.environ.get(flag, "").lower() == "true":
            raise GridError(
                [f"{name} gives the optimizer flattened pieces of the model, which have no place in a grid"]
            )


def _part(name: str) -> str:
    head = name.partition(".")[0]
    return head if head in ("te1", "te2", "te3") else "unet"
