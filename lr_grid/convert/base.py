"""What a format is: its name, how it is read, how it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lr_grid.convert.losses import Losses
from lr_grid.convert.models import Model

Arguments = dict[str, Any]
"""Settings in the vocabulary of --network_args: what lr_grid.settings.read_settings takes (text, numbers, tables)."""


@dataclass
class Job:
    """One reading or writing: what the user asked for beside the text, and what is told about it in the end."""

    model: Model | None = None
    """The model, where the user named one; a reader that knows it from its input sets it."""
    variant: str = ""
    """What stands behind the format's name: ``Structure`` of ``onetrainer:Structure``, ``58`` of ``lbw:58``."""
    base_lr: float | None = None
    """The trainer's LR (absolute), which relative LRs multiply."""
    losses: Losses = field(default_factory=Losses)


Reader = Callable[[str, Job], Arguments]
"""(text, job) -> arguments. Raises GridError with everything that is wrong in the text."""
Writer = Callable[[Arguments, Job], str]
"""(arguments, job) -> text. Raises GridError where nothing of the arguments fits, or something needed is missing."""


@dataclass(frozen=True, slots=True)
class Format:
    """One row of the registry."""

    name: str
    title: str
    """What it is, in a line."""
    holds: str
    """What it can say, in a line."""
    example: str
    read: Reader
    write: Writer
    variants: str = ""
    """What may stand behind the name and a colon."""
    without_text: Callable[[str], bool] = lambda variant: False
    """Whether a variant may be known by its name, so that reading it needs no text."""
    explain: Callable[[], tuple[tuple[str, ...], list[tuple[str, ...]]]] | None = None
    """(column names, rows) of a table that shows how it maps to blocks."""
