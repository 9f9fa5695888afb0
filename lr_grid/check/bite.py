"""One combination of options that bites, and the conditions they are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lr_grid.check.subject import Subject

SD, MUSUBI = "sd-scripts", "musubi-tuner"
NETWORK = "train_network.py"


@dataclass(frozen=True, slots=True)
class Bite:
    """One combination that bites."""

    at: str
    """The argument (or the key of --network_args) whose line is shown."""
    applies: Callable[[Subject], object]
    message: str
    cure: str = ""
    trainer: str | None = None
    """None: both."""
    scripts: tuple[str, ...] = ()
    """Empty: all that train a network."""
    severity: str = "error"
    needs_all: bool = False
    """Whether it speaks of what is missing, which may stand on the command line beside a bare TOML."""


def on(*names: str) -> Callable[[Subject], object]:
    """Whether all of these are given."""
    return lambda subject: all(subject.get(name) for name in names)


def without(name: str, *missing: str) -> Callable[[Subject], object]:
    """Whether the first is given and none of the others."""
    return lambda subject: subject.get(name) and not any(subject.get(other) for other in missing)
