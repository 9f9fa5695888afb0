"""A grid file by itself: its settings, and with a model what they would do there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lr_grid.check.subject import Subject
from lr_grid.errors import GridError, Problems
from lr_grid.gridfile import ONETRAINER_BLOCK, PUBLISHED_BLOCK, read_table
from lr_grid.keys import is_grid_key
from lr_grid.models import find_model
from lr_grid.plan import TrainerLrs
from lr_grid.preview import Run, preview
from lr_grid.settings import read_settings
from lr_grid.training.config import TrainingConfig
from lr_grid.training.config_file import parse_toml, read_text
from lr_grid.training.finding import Finding, Place
from lr_grid.training.tables import options
from lr_grid.training.toml_lines import toml_lines


def is_grid_file(data: Mapping[str, Any]) -> bool:
    """Whether a TOML or JSON is a grid file: it has keys of the grid at its top, and none of a trainer."""
    if any(isinstance(data.get(block), dict) for block in (PUBLISHED_BLOCK, ONETRAINER_BLOCK)):
        return True
    tables = [data, *(value for key, value in data.items() if isinstance(value, dict) and not is_grid_key(key))]
    trainers = any(key in options(None) and not is_grid_key(key) for table in tables for key in table)
    return any(map(is_grid_key, data)) and not trainers


def check_grid_file(name: str | Path, model: str | None = None) -> list[Finding]:
    """What is wrong with a grid file: in itself, and with a model on its blocks and components.

    Raises: GridError where it cannot be read, or the model is not known.
    """
    path = Path(name)
    text = read_text(path)
    is_json = path.suffix.lower() == ".json"
    data = json.loads(text) if is_json else parse_toml(text, str(name))
    lines = {} if is_json else toml_lines(text.removeprefix("\ufeff"))
    subject = Subject(TrainingConfig(str(name)))
    problems = Problems()
    try:
        settings = read_settings({}, problems, read_table(str(name), data))
    except ValueError as error:
        return [Finding("error", Place(str(name)), str(error))]
    found = problems.found
    if not found and model is not None:
        found = _refused(str(name), model, [key for key, _ in settings.arguments])
    for text in found:
        message = text.removeprefix(f"{name}: ").removeprefix("grid: ").rstrip(".")
        subject.tell("error", Place(str(name), _line(message, lines)), message)
    if model is None and not found:
        message = "a grid file: whether a model has its blocks and components is not checked"
        subject.tell("note", Place(str(name)), message, "Name the model with --model")
    return subject.findings


def _refused(name: str, model: str, keys: list[str]) -> list[str]:
    """What a run of the model would refuse."""
    encoders = any(re.match(r"te[123]?_", key) for key in keys)
    try:
        preview(find_model(model), {"grid": name}, Run(TrainerLrs(1e-4), trains_text_encoders=encoders))
    except GridError as error:
        return list(error.problems)
    return []


def _line(message: str, lines: Mapping[tuple[str | int, ...], int]) -> int:
    """The line of the setting that a message begins with (``ffn_lr`` of ``[component_lr]`` as ``ffn``); 0: of all."""
    words = [name for word in re.findall(r"\w+", message)[:4] for name in (word, word.removesuffix("_lr"))]
    named = [(words.index(str(path[-1])), path) for path in lines if str(path[-1]) in words]
    # The entry of a table says more than the table.
    return lines[min(named, key=lambda one: (-len(one[1]), one[0]))[1]] if named else 0
