"""A training run as its trainer's parser would hand it on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lr_grid.training.finding import Finding, Place
from lr_grid.training.tables import options
from lr_grid.training.value_types import wrong_type


@dataclass(frozen=True, slots=True)
class Given:
    """One argument, as it was written: in a TOML, or on the command line."""

    dest: str
    value: Any
    """As the trainer's parser would type it; None where it could not be told."""
    place: Place
    items: tuple[Place, ...] = ()
    """Of a list: where each value stands."""
    known: bool = True
    """Whether the script has such an option."""
    resolved: bool = True
    """False: the value holds a variable that the text does not set."""


@dataclass
class TrainingConfig:
    """A training run: its trainer, its arguments, where each was written, and what was found wrong in reading them."""

    source: str
    """What the config is called in messages: a file's name, or ``command line``."""
    trainer: str | None = None
    """sd-scripts, musubi-tuner, or None where it cannot be told."""
    script: str | None = None
    """The training script's file name; None where it cannot be told."""
    guessed: bool = False
    """Whether the script was concluded from the arguments (a bare TOML does not name it)."""
    values: dict[str, Any] = field(default_factory=dict)
    """Argument name -> value, of the arguments that were given and that the script knows (no defaults)."""
    where: dict[str, Place] = field(default_factory=dict)
    """Argument name -> the place that decides."""
    given: list[Given] = field(default_factory=list)
    """Every argument that was written, in order, also unknown and overruled ones."""
    network_args: dict[str, str] = field(default_factory=dict)
    """The pairs of --network_args, as text."""
    network_args_where: dict[str, Place] = field(default_factory=dict)
    dataset_config: str | None = None
    launch: list[str] = field(default_factory=list)
    """What stands before the script on the command line: accelerate's own options and the like."""
    foreign: str = ""
    """The name of a script that is neither trainer's."""
    unread: bool = False
    """Whether a part of the run was not read: a --config_file that is not here, a word that may stand for several."""
    findings: list[Finding] = field(default_factory=list)
    """What is wrong with the way it is written: unknown arguments, wrong types, repeated flags."""

    def defaults(self) -> dict[str, Any]:
        """All arguments of the script with the values the run would have: what was given, else the parser's default.
        A value of a wrong type (``findings`` tells it) counts as not given."""
        table = options(self.trainer, self.script)
        right = {dest: value for dest, value in self.values.items() if not wrong_type(table[dest], value)}
        return {**{dest: option.default for dest, option in table.items()}, **right}

    def place(self, dest: str) -> Place:
        """Where an argument was written; the whole source where it was not."""
        return self.where.get(dest, Place(self.source, 0, "" if self.source.endswith(".toml") else f"--{dest}"))
