"""Where a training run is described: a file, a command line, or standard input."""

from __future__ import annotations

import os
import re
import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lr_grid.training import TrainingConfig

METAVAR = "CONFIG|COMMAND"
HELP = "a file; or a command line, quoted or behind --; - reads it from standard input"


def command_in(words: list[str]) -> str | None:
    """The command line that was given; None where the words are a file's name."""
    if words == ["-"]:
        return sys.stdin.read()
    if len(words) > 1:
        return shlex.join(words)
    # Not Path.is_file: it raises where a name is longer than a file's can be.
    is_command = re.search(r"\.py\s|^\s*--\w|^\s*accelerate\s", words[0]) and not os.path.isfile(words[0])
    return words[0] if is_command else None


def read_source(words: list[str]) -> TrainingConfig:
    """The training run that the words of a command line describe. Raises: GridError where it cannot be read."""
    from lr_grid.training import read_training

    text = command_in(words)
    return read_training(words[0] if text is None else text, is_text=text is not None)
