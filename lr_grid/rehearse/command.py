"""Takes a training command apart into what a rehearsal runs: the Python, the script, its arguments. Needs no torch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lr_grid.errors import GridError, listed
from lr_grid.rehearse.job import Job
from lr_grid.training.command import TrainingCommand, find_command
from lr_grid.training.tables import TRAINERS, scripts, trainer_of

_PYTHON = re.compile(r"(python|pypy)[\d.]*w?(\.exe)?", re.IGNORECASE)
_LAUNCHER = re.compile(r"(accelerate|torchrun)(\.exe)?", re.IGNORECASE)


def known_scripts(trainer: str) -> list[str]:
    """The scripts that can be rehearsed: those that train a network."""
    return [name for name in scripts(trainer) if "train_network" in name]


def read_command(text: str, source: str, suffix: str = "") -> TrainingCommand:
    """The training command of a text.

    Raises: GridError where it has none, where its script cannot be rehearsed, or where a word of it is not known before
        a shell runs it.
    """
    command = find_command(text, source, suffix)
    name = command.script or command.foreign
    trainer = trainer_of(name) if name else None
    if trainer is None or name not in known_scripts(trainer):
        known = [f"{trainer}: {', '.join(known_scripts(trainer))}" for trainer in TRAINERS]
        subject = f"{name} cannot be rehearsed" if name else "the command names no script"
        raise GridError(["\n  ".join([f"{subject}. What can:", *known])])
    broken = [finding.text for finding in command.findings if finding.severity == "error"]
    unknown = [word.text for word in command.words if not word.resolved]
    if unknown:
        broken.append(
            f"only a shell knows what {listed(unknown)} stands for: write it out, or let the shell run lr-grid"
        )
    if broken:
        raise GridError(broken)
    return command


def job_of(command: TrainingCommand, scratch: Path, steps: int, whole: bool) -> Job:
    """What the child is told."""
    assert command.script is not None
    is_module = bool(command.launch) and command.launch[-1] in ("-m", "--module") and not command.path.endswith(".py")
    trainer = trainer_of(command.script)
    assert trainer is not None
    return Job(
        script="" if is_module else command.path,
        module=command.path if is_module else "",
        name=command.script,
        trainer=trainer,
        arguments=tuple(word.text for word in command.words),
        scratch=str(scratch),
        steps=steps,
        whole=whole,
    )


def python_of(launch: Sequence[str], named: str | None) -> str:
    """The Python to rehearse with: the one that is named; the one that the command's path names, or that stands beside
    its ``accelerate``; else the one that runs lr-grid.

    Raises: GridError where the one to use does not exist or has no lr-grid.
    """
    python = named or _from_launch(launch)
    if python is None or _same(python, sys.executable):
        return sys.executable
    found = shutil.which(python)
    if found is None:
        raise GridError([f"{python}: no such Python"])
    try:
        done = subprocess.run([found, "-c", "import lr_grid"], capture_output=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GridError([f"{found} does not run: {error}"]) from None
    if done.returncode != 0:
        raise GridError([f"{found} has no lr-grid: install it there ({found} -m pip install lr-grid)"])
    return found


def _from_launch(launch: Sequence[str]) -> str | None:
    """A Python that the words before the script name by a path."""
    for word in launch:
        path = Path(os.path.expanduser(word))
        if path.parent == Path("."):  # a bare name: whatever the environment has, which is where lr-grid runs
            continue
        if _PYTHON.fullmatch(path.name):
            return str(path)
        if _LAUNCHER.fullmatch(path.name):
            names = ("python.exe", "python", "python3")
            return next((str(path.parent / name) for name in names if (path.parent / name).exists()), None)
    return None


def _same(one: str, other: str) -> bool:
    """Whether two paths are one Python; a venv's is another than the one it links to."""
    return os.path.abspath(one) == os.path.abspath(other)
