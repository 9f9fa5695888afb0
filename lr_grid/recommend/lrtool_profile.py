"""LRTool's profile files: JSON with meta, configuration (text, as its entry boxes hold it) and statistics."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from lr_grid.errors import GridError, Problems, did_you_mean
from lr_grid.files import write_text
from lr_grid.recommend.lrtool import CHOICES, NUMBERS, Configuration
from lr_grid.recommend.lrtool_tables import VERSION

KEYS = tuple(field.name for field in fields(Configuration))


def parse_warmup(value: object) -> int:
    """``10%``, ``10`` -> 10 percent.

    Raises: ValueError for anything but whole percents.
    """
    match = re.fullmatch(r"\s*(\d{1,3})(?:\.0+)?\s*%?\s*", str(value))
    if not match:
        raise ValueError(f"{value!r} is no warmup: LRTool takes whole percents of the steps (10%)")
    return int(match[1])


def from_table(table: Mapping[str, Any], start: Configuration, name: str) -> Configuration:
    """A profile's ``configuration`` over ``start``. As in LRTool, a missing key keeps what
    ``start`` says, but a missing offset is 0.

    Raises: GridError with all values that cannot be read, each with the key.
    """
    problems = Problems()
    changes: dict[str, Any] = {"slider_offset": 0.0}
    for key, value in table.items():
        if key not in KEYS:
            problems.add(f"{name}: configuration: {key!r} is no key of a profile.{did_you_mean(key, KEYS)}")
            continue
        try:
            changes[key] = _value(key, value)
        except ValueError as error:
            problems.add(f"{name}: configuration: {key}: {error}")
    problems.raise_if_any()
    return replace(start, **changes)


def _value(key: str, value: object) -> Any:
    if key in CHOICES:
        return str(value)
    if key == "warmup":
        return parse_warmup(value)
    assert key in NUMBERS or key == "slider_offset"
    try:
        number = float(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is not a number") from None
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(f"{value!r} is not a number")
    return number


def load(path: str, start: Configuration | None = None) -> Configuration:
    """Reads a profile; only its ``configuration`` counts, the statistics are worked out anew.

    Raises: GridError where the file cannot be read or is no profile.
    """
    try:
        data = json.loads(Path(path).expanduser().read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise GridError([f"{path}: no such file"]) from None
    except (OSError, ValueError) as error:
        raise GridError([f"{path}: cannot be read as a profile: {error}"]) from None
    if not isinstance(data, dict) or not isinstance(data.get("configuration"), dict):
        raise GridError([f"{path}: is no LRTool profile: it has no table 'configuration'"])
    return from_table(data["configuration"], start or Configuration(), path)


def as_table(configuration: Configuration) -> dict[str, Any]:
    """The ``configuration`` of a profile: text, the offset alone is a number."""
    table: dict[str, Any] = {key: _text(getattr(configuration, key)) for key in KEYS}
    table["warmup"] = f"{configuration.warmup}%"
    table["slider_offset"] = float(configuration.slider_offset)
    return table


def _text(value: float | str) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def text_of(configuration: Configuration, statistics: Mapping[str, Any]) -> str:
    """A profile that LRTool loads."""
    profile = {
        "meta": {"app": "LRTool", "version": VERSION},
        "configuration": as_table(configuration),
        "statistics": dict(statistics),
    }
    return json.dumps(profile, indent=4) + "\n"


def save(path: str, configuration: Configuration, statistics: Mapping[str, Any]) -> None:
    """Writes a profile that LRTool loads.

    Raises: GridError where it cannot be written.
    """
    write_text(Path(path).expanduser(), text_of(configuration, statistics))
