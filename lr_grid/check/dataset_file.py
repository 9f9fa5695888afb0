"""Finds and reads the dataset config of a run, and tells a dataset config from other files."""

from __future__ import annotations

import json
from pathlib import Path

from lr_grid.check.datasets import HEADS, SOURCES, DatasetFile, Table
from lr_grid.check.subject import Subject
from lr_grid.errors import GridError
from lr_grid.training.config_file import TomlError, parse_toml, read_text
from lr_grid.training.finding import Place
from lr_grid.training.toml_lines import toml_lines

_PLACEHOLDER = "/path/to/"


def is_dataset_config(data: Table) -> bool:
    """Whether a TOML is a dataset config, or means to be one: ``[datasets]``, ``[[dataset]]``, a [general] of its keys
    alone."""
    if isinstance(data.get("datasets"), list):
        return True
    if set(data) - {"general"} and set(data) <= {"general", *HEADS}:
        return all(isinstance(value, (list, dict)) for value in data.values())
    return False


def _trainer_of(data: Table) -> str:
    """Whose dataset config this is: only sd-scripts has subsets, only musubi-tuner has folders without them."""
    datasets = [one for one in data.get("datasets") or [] if isinstance(one, dict)]
    if any("subsets" in one for one in datasets):
        return "sd-scripts"
    return (
        "musubi-tuner" if any(key in one for one in datasets for key in (*SOURCES, "cache_directory")) else "sd-scripts"
    )


def check_dataset(subject: Subject, name: str | None = None) -> None:
    """Notes what is wrong with a config's dataset config.

    Args:
        name: of the file; None: the one that the config names.

    Raises: GridError where ``name`` cannot be read.
    """
    config = subject.config
    named = config.dataset_config
    path = Path(name) if name else _find(named, config.place("dataset_config").file)
    if path is None:
        if named and (subject.paths or not named.startswith(_PLACEHOLDER)):
            severity = "error" if subject.paths else "note"
            message = f"dataset_config: {named}: no such file here, its keys are not checked"
            subject.tell(severity, "dataset_config", message)
        return
    try:
        text = read_text(path)
        if path.suffix.lower() == ".json":
            data, lines = json.loads(text.removeprefix("\ufeff")), {}
        else:
            data, lines = parse_toml(text, str(path)), toml_lines(text.removeprefix("\ufeff"))
    except TomlError as error:
        subject.tell("error", error.place, error.message)
        return
    except ValueError as error:
        if isinstance(error, GridError):
            raise
        subject.tell("error", Place(str(path)), f"not valid JSON: {error}")
        return
    if text.startswith("\ufeff"):
        message = "begins with a byte order mark, and the trainer's reader stops at it"
        subject.tell("error", Place(str(path), 1), message, "Save it as UTF-8 without BOM")
    if not isinstance(data, dict):
        subject.tell("error", Place(str(path)), "holds no table")
        return
    DatasetFile(subject, str(path), data, lines, config.trainer or _trainer_of(data)).run()


def _find(named: str | None, source: str) -> Path | None:
    if not named:
        return None
    candidates = (Path(named).expanduser(), Path(source).parent / named)
    return next((path for path in candidates if path.is_file()), None)
