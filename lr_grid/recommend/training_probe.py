"""The probe command of a training config: lr_grid.training reads it, probe_command.py turns it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lr_grid.errors import GridError
from lr_grid.keys import is_grid_key
from lr_grid.recommend.probe_command import ProbeCommand, probe_command
from lr_grid.training.config import TrainingConfig
from lr_grid.training.config_file import parse_toml, read_text
from lr_grid.training.parse_options import wrong_choice
from lr_grid.training.read import read_training
from lr_grid.training.shells import BASH, POWERSHELL, Shell, shell_of
from lr_grid.training.tables import options


def probe_of(source: str, d0: float, *, is_text: bool = False) -> tuple[ProbeCommand, Shell]:
    """The probe of a run, and the shell that the run is written for.

    Args:
        source: a config TOML, a file that holds a command line, or (``is_text``) the command line itself.
        d0: where Prodigy's estimate begins.

    Raises: GridError where the config is wrong, or holds nothing to probe.
    """
    path = Path(source)
    is_toml = not is_text and path.suffix.lower() == ".toml"
    if is_toml:
        _refuse_grid(source, parse_toml(read_text(path), source))
    config = read_training(source, is_text=is_text)
    dropped = _drop_ignored(config)
    script = config.script
    if is_toml:
        shell = POWERSHELL if os.name == "nt" else BASH
    else:
        text = source if is_text else read_text(path)
        shell = shell_of(text, "" if is_text else path.suffix)
        if script:  # with its folder, as the user's command has it
            found = re.search(rf"[^\s\"'`^]*{re.escape(script)}", text)
            script = found[0] if found else script
    probe = probe_command(config.trainer, script, config.launch, config.values, config.network_args, d0)
    probe.left_out.extend(dropped)
    return probe, shell


def _refuse_grid(source: str, table: dict[str, object]) -> None:
    """Raises: GridError for a grid file."""
    if table and all(is_grid_key(key) for key in table):
        cure = "give the training config that uses it (or, to write an LR into it, --into)"
        raise GridError([f"--probe-command: {source}: is a grid file, not a training config: {cure}"])


def _drop_ignored(config: TrainingConfig) -> list[str]:
    """Takes out of a config what a TOML may hold and a command line may not: keys that the trainer has not, and values
    that its parser would stop at (GUIs write both; a TOML's values go past the parser).

    Returns: what was taken out, and why.
    Raises: GridError with every other error that reading it found.
    """
    table = options(config.trainer, config.script)
    dropped: dict[str, str] = {}
    for one in config.given:
        if one.place.flag:
            continue
        option, place, decides = table.get(one.dest), str(one.place), config.where.get(one.dest) == one.place
        written = f"{one.dest} {one.value!s:.60}"
        if not one.known or option is None:
            dropped[place] = f"{written}: the trainer has no such argument"
        elif option.is_flag and type(one.value) is int and one.value in (0, 1):
            dropped[place] = ""
            if decides:
                config.values[one.dest] = bool(one.value)
        elif not isinstance(one.value, (list, dict)) and wrong_choice(option, one.value):
            dropped[place] = f"{written}: is none of the values that its flag takes"
            if decides:
                del config.values[one.dest]
    found = [one for one in config.findings if one.severity == "error" and str(one.place) not in dropped]
    if found:
        raise GridError([f"{one.place}: {one.text}" for one in found])
    return [why for why in dropped.values() if why]
