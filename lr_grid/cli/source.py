"""Where a training run is described: a file, a command line, or standard input."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lr_grid.errors import GridError

if TYPE_CHECKING:
    from lr_grid.training import TrainingConfig

METAVAR = "CONFIG|COMMAND"
HELP = "a file; or a command line, quoted or behind --; - reads it from standard input"


def table_of(name: str) -> dict[str, Any] | None:
    """What a TOML or JSON file holds; None where the file is neither, or holds no table.

    Raises: GridError where it cannot be read, TomlError where it is no TOML.
    """
    from lr_grid.training.config_file import parse_toml, read_text

    path = Path(name)
    suffix = path.suffix.lower()
    if suffix == ".toml":
        return parse_toml(read_text(path), name)
    if suffix != ".json":
        return None
    try:
        data = json.loads(read_text(path).removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        if isinstance(error, GridError):
            raise
        raise GridError([f"{name}: not valid JSON: {error}"]) from None
    return data if isinstance(data, dict) else None


def refuse_json(name: str, data: Mapping[str, Any] | None) -> None:
    """Raises: GridError for a JSON file, which no trainer takes for its config, saying what it is."""
    if Path(name).suffix.lower() != ".json":
        return
    what = "no training config: the trainers read TOML"
    if data and {"LoRA_type", "train_data_dir", "pretrained_model_name_or_path"} & data.keys():
        what = (
            "a preset of a GUI, which no trainer reads: give the TOML that the GUI writes beside its output, or the"
            " command that it prints"
        )
    raise GridError([f"{name}: is {what}"])


def command_in(words: list[str]) -> str | None:
    """The command line that was given; None where the words are a file's name."""
    from lr_grid.training.read import is_command

    if words == ["-"]:
        return sys.stdin.read().removeprefix("\ufeff")
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
