"""From a training command to the one that is started: the same, with lr-grid's child before the script. No torch."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lr_grid.errors import GridError, listed
from lr_grid.training.command import TrainingCommand, find_command
from lr_grid.training.tables import TRAINERS, scripts, trainer_of

SETTINGS = "LR_GRID_LAUNCH"
"""An environment variable that holds the grid's settings, as JSON: launchers hand it on to every process."""
_CHILD = Path(__file__).with_name("child.py")
_MODULE = ("-m", "--module")
_ASSIGNED = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)


@dataclass(frozen=True)
class Launch:
    """What is started."""

    words: list[str]
    environment: dict[str, str]


def full_scripts(trainer: str) -> list[str]:
    """The scripts that train a model's own weights."""
    return [name for name in scripts(trainer) if "network" not in name and re.search(r"train|fine_tune", name)]


def launch_of(text: str, source: str, suffix: str, grid: Mapping[str, Any]) -> Launch:
    """The command of a text, with a grid.

    Args:
        text, source, suffix: as of ``lr_grid.training.command.find_command``.
        grid: settings.

    Raises: GridError where there is no command, where its script trains an adapter, or where a word of it is not known
        before a shell runs it.
    """
    command = find_command(text, source, suffix)
    _check(command)
    assigned = [word for word in command.launch if _ASSIGNED.fullmatch(word)]
    launcher = [word for word in command.launch if word not in assigned]
    is_module = bool(launcher) and launcher[-1] in _MODULE
    if is_module:
        launcher = launcher[:-1]
    script = ["-m", command.path] if is_module else [command.path]
    words = [*(launcher or [sys.executable]), str(_CHILD), *script, *(word.text for word in command.words)]
    own = dict(word.split("=", 1) for word in assigned)
    return Launch(words, {**os.environ, **own, SETTINGS: json.dumps(dict(grid))})


def _check(command: TrainingCommand) -> None:
    name = command.script or command.foreign
    if not name:
        raise GridError(["the command names no script"])
    trainer = trainer_of(name)
    if trainer is not None and name not in full_scripts(trainer):
        there = [f"{of}: {', '.join(full_scripts(of))}" for of in TRAINERS]
        cure = "a LoRA's grid goes into --network_args, with a network module of lr-grid. Full fine-tuning:"
        raise GridError(["\n  ".join([f"{name} trains an adapter: {cure}", *there])])
    unknown = [word.text for word in command.words if not word.resolved]
    if unknown:
        raise GridError(
            [f"only a shell knows what {listed(unknown)} stands for: write it out, or let the shell run lr-grid"]
        )
