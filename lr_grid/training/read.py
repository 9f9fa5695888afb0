"""One way in: a TOML, a command line, or a file that holds one, to a TrainingConfig."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lr_grid.errors import GridError
from lr_grid.training.command import find_command
from lr_grid.training.config import Given, TrainingConfig
from lr_grid.training.config_file import TomlError, parse_config_file, parse_toml, read_text
from lr_grid.training.finding import COMMAND_LINE, Finding
from lr_grid.training.guess import guess, named_in
from lr_grid.training.network_args import read_network_args
from lr_grid.training.parse_options import parse_options
from lr_grid.training.repeats import tell_overruled, tell_repeats
from lr_grid.training.shell_words import Word
from lr_grid.training.tables import Option, options, trainer_of
from lr_grid.training.unknown import tell_unknown

__all__ = ["TomlError", "read_training"]


_COMMAND = re.compile(
    r"""\.py["']?\s | (^|\s)--\w | (^|[\s/\\"'])(accelerate|torchrun|python[\d.]*)(\.exe)?["']?\s""",
    re.VERBOSE | re.IGNORECASE,
)


def is_command(text: str) -> bool:
    """Whether a text is a command line, and no file's name."""
    # Not Path.is_file: it raises where a name is longer than a file's can be.
    return bool(_COMMAND.search(text)) and not os.path.isfile(text)


def read_training(source: str | Path, *, is_text: bool = False) -> TrainingConfig:
    """A training run as its trainer would read it.

    Args:
        source: a --config_file TOML; or a file (.sh, .bat, .ps1, .txt) with a command line in it; or, with ``is_text``,
            the command line itself (bash, PowerShell, cmd). A --config_file that the command names is read, too; the
            command line wins, as in the trainers.

    Raises: GridError where the file cannot be read, is no TOML (TomlError), or holds no training command. What is wrong
        with the arguments is no error here: it is in ``findings``.
    """
    if is_text:
        return _from_command(str(source), COMMAND_LINE, "", Path())
    if not str(source).strip():
        raise GridError(["the name of the config is empty: give a file, or a command line"])
    path = Path(source)
    text = read_text(path)
    if path.suffix.lower() == ".toml":
        return _from_toml(text, str(source))
    return _from_command(text, str(source), path.suffix, path.parent)


def _from_toml(text: str, name: str) -> TrainingConfig:
    config = TrainingConfig(name)
    _choose_script(config, named_in(text), _flat(text, name))
    config.given, config.findings = parse_config_file(text, name, options(config.trainer, config.script))
    return _finished(config)


def _flat(text: str, name: str) -> dict[str, object]:
    """The values of a TOML by argument, before it is known which script they are for."""
    flat: dict[str, object] = {}
    for key, value in parse_toml(text, name).items():
        flat.update(value if isinstance(value, dict) else {key: value})
    return flat


def _choose_script(config: TrainingConfig, script: str | None, values: dict[str, object]) -> None:
    if script:
        config.trainer, config.script = trainer_of(script), script
    else:
        config.trainer, config.script = guess(values)
        config.guessed = config.trainer is not None


def _from_command(text: str, source: str, suffix: str, folder: Path) -> TrainingConfig:
    command = find_command(text, source, suffix)
    config = TrainingConfig(source, launch=command.launch, foreign=command.foreign)
    every = options(trainer_of(command.script) if command.script else None, command.script)
    given, _ = parse_options(command.words, every, source)
    preview = {one.dest: one.value for one in given}
    found: list[Finding] = list(command.findings)
    file = str(preview.get("config_file") or "")
    toml, name = "", f"{file.removesuffix('.toml')}.toml"
    if file:
        path = next((p for p in (Path(name), folder / name) if p.is_file()), None)
        if path is None:
            place = next(one.place for one in given if one.dest == "config_file")
            message = f"--config_file {file}: no such file here ({name}): what it sets is not checked"
            config.unread = True
            found.append(Finding("note", place, message))
        else:
            toml, name = read_text(path), str(path)
            preview = {**_flat(toml, name), **preview}
    _choose_script(config, command.script, preview)
    table = options(config.trainer, config.script)
    below: list[Given] = []
    if toml:
        below, findings = parse_config_file(toml, name, table)
        found += findings
    above, findings = parse_options(command.words, table, source)
    config.findings = found + findings
    tell_repeats(above, config.findings, table)
    tell_overruled(below, above, config.findings)
    config.given = below + above
    config.unread = config.unread or _may_hold_more(command.words, table)
    return _finished(config)


def _may_hold_more(words: Sequence[Word], table: Mapping[str, Option]) -> bool:
    """Whether any word that is not known may stand for options: it is not the one value of an option."""
    one_value = {flag for option in table.values() if not (option.is_flag or option.is_list) for flag in option.flags}
    before = ["", *(word.text for word in words)]
    return any(
        not word.resolved and flag not in one_value and not re.match(r"--\w+=", word.text)
        for flag, word in zip(before, words, strict=False)
    )


def _finished(config: TrainingConfig) -> TrainingConfig:
    """Values, places and network_args from what was given."""
    for one in config.given:
        if one.known:
            config.values[one.dest], config.where[one.dest] = one.value, one.place
    tell_unknown(config)
    read_network_args(config)
    dataset = config.values.get("dataset_config")
    config.dataset_config = dataset if isinstance(dataset, str) and dataset else None
    return config


def require(config: TrainingConfig) -> TrainingConfig:
    """The config, for those who need its plan.

    Raises: GridError with every error that stops the run or changes the plan: not for a key of a TOML that the trainer
        passes over.
    """
    errors = [f"{one.place}: {one.text}" for one in config.findings if one.severity == "error" and one.stops]
    if errors:
        raise GridError(errors)
    return config
