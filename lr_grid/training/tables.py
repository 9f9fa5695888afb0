"""What the trainers' scripts and dataset configs take: tables made from their live code.

arguments/*.json come from tests/inventories/arguments.py; test_training_tables.py compares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TRAINERS = ("sd-scripts", "musubi-tuner")
_FOLDER = Path(__file__).parent / "arguments"


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a script's parser."""

    dest: str
    flags: tuple[str, ...]
    type: str = "text"
    """text, int, float, int_or_float (sd-scripts') or _int_or_float (musubi-tuner's): of the value, or of each in a
    list."""
    nargs: str | None = None
    choices: tuple[Any, ...] | None = None
    default: Any = None
    const: Any = True
    """What a flag without a value sets."""
    is_flag: bool = False
    required: bool = False

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return self.nargs in ("*", "+")


_TYPES = {"Path": "text"}


def _option(dest: str, spec: Mapping[str, Any]) -> Option:
    fields = dict(spec)
    flags = tuple(fields.pop("flags", (f"--{dest}",)))
    kind = fields.pop("type", "text")
    choices = fields.pop("choices", None)
    if fields.get("is_flag"):
        fields.setdefault("default", False)
    return Option(dest, flags, _TYPES.get(kind, kind), choices=tuple(choices) if choices else None, **fields)


@cache
def _table(trainer: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((_FOLDER / f"{trainer}.json").read_text(encoding="utf-8"))
    return data


@cache
def _by_script(trainer: str) -> dict[str, dict[str, Option]]:
    result: dict[str, dict[str, Option]] = {}
    for group in _table(trainer)["arguments"]:
        options = {dest: _option(dest, spec) for dest, spec in group["options"].items()}
        for script in group["scripts"]:
            result.setdefault(script, {}).update(options)
    return result


def scripts(trainer: str) -> tuple[str, ...]:
    """The training scripts of a trainer, by file name."""
    return tuple(_by_script(trainer))


def trainer_of(script: str) -> str | None:
    """Whose script this is; None for a script that is neither's."""
    return next((trainer for trainer in TRAINERS if script in _by_script(trainer)), None)


@cache
def options(trainer: str | None, script: str | None = None) -> dict[str, Option]:
    """The options by dest of one script; of all scripts of a trainer (None), or of both trainers (None, None)."""
    if trainer is None:
        return {**options("musubi-tuner"), **options("sd-scripts")}
    tables = _by_script(trainer)
    if script in tables:
        return tables[script]
    merged: dict[str, Option] = {}
    for table in tables.values():
        merged = {**table, **merged}
    return merged


@cache
def owners(dest: str) -> dict[str, tuple[str, ...]]:
    """trainer -> its scripts that have an option of this name."""
    found = {trainer: tuple(s for s, table in _by_script(trainer).items() if dest in table) for trainer in TRAINERS}
    return {trainer: names for trainer, names in found.items() if names}


def dataset_schema(trainer: str) -> dict[str, dict[str, list[str]]]:
    """part of a dataset config -> key -> the types it takes (``int``, ``2 int`` for a pair, ``list of int``)."""
    schema: dict[str, dict[str, list[str]]] = _table(trainer)["datasets"]
    return schema
