"""Where a training run is described: a file, a command line, or standard input."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lr_grid.training import TrainingConfig

METAVAR = "CONFIG|COMMAND"
HELP = "a file; or a command line, quoted or behind --; - reads it from standard input"


def command_in(words: list[str]) -> str | None:
    """The command line that was given; None where the words are a file's name."""
    from lr_grid.training.read import is_command

    if words == ["-"]:
        return sys.stdin.read()
    if len(words) > 1:
        return shlex.join(words)
    return words[0] if is_command(words[0]) else None


def read_source(words: list[str]) -> TrainingConfig:
    """The training run that the words of a command line describe.

    Raises: GridError where it cannot be read, or its arguments are wrong.
    """
    from lr_grid.training.read import read_training, require

    text = command_in(words)
    return require(read_training(words[0] if text is None else text, is_text=text is not None))
