"""Reading what people paste: numbers, JSON and TOML with the line of a mistake, lists of key=value."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from lr_grid.convert.quoting import split_bash
from lr_grid.errors import GridError, Problems
from lr_grid.toml_text import load_toml
from lr_grid.values import number

NETWORK_ARGS = "--network_args"


def number_text(value: float) -> str:
    """A number as short as it can be written without changing it: ``1``, ``0.3``, ``1e-05``."""
    value = float(value)
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def rounded(value: float) -> float:
    """A product to 15 significant digits: ``1e-4 * 3`` is 0.0003 and no 0.00030000000000000003."""
    return float(f"{value:.15g}")


def numbers(text: str, name: str, problems: Problems) -> list[float]:
    """``1,0.5, 0`` as numbers; every place that is none is noted."""
    result = []
    for place, item in enumerate(text.split(","), 1):
        try:
            result.append(number(item.strip()))
        except ValueError:
            what = f"{item.strip()!r} is not a number" if item.strip() else "is empty"
            problems.add(f"{name}: value {place}: {what}")
    return result


def read_json(text: str) -> dict[str, Any]:
    """A JSON object.

    Raises: GridError with line and column of the mistake, or naming a key that is given twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [key for key, _ in pairs]
        for key in names:
            if names.count(key) > 1:
                raise GridError([f"the JSON gives {key!r} twice"])
        return dict(pairs)

    try:
        data = json.loads(text, object_pairs_hook=once)
    except RecursionError:
        raise GridError(["the JSON is nested too deeply"]) from None
    except json.JSONDecodeError as error:
        raise GridError([f"not valid JSON: {error.msg}: line {error.lineno} column {error.colno}"]) from None
    if not isinstance(data, dict):
        raise GridError([f"the JSON holds a {type(data).__name__}, not an object"])
    return data


def read_toml(text: str) -> dict[str, Any]:
    """A TOML document.

    Raises: GridError with line and column of the mistake.
    """
    try:
        return load_toml(text)
    except RecursionError:
        raise GridError(["the TOML is nested too deeply"]) from None
    except ValueError as error:
        hint = ' (a relative LR is text in TOML: "1.5x")' if re.search(r"=\s*[\d.]+x", text) else ""
        raise GridError([f"not valid TOML: {error}{hint}"]) from None


def looks_like_toml(text: str) -> bool:
    """Whether a text is a TOML document that says something."""
    try:
        return bool(load_toml(text))
    except (ValueError, RecursionError):
        return False


def is_json(text: str) -> bool:
    """Whether a text means to be JSON: an object, or a list (which no format is: the reader says so)."""
    if not text.lstrip().startswith("["):
        return text.lstrip().startswith("{")
    try:
        return isinstance(json.loads(text), list) and not looks_like_toml(text)
    except (ValueError, RecursionError):
        return False


def pairs_of(words: Sequence[str]) -> dict[str, str]:
    """The key=value of a list of network arguments, or of a whole command line that holds ``--network_args``.

    Raises: GridError naming every word that is no key=value and every key that is given twice.
    """
    problems = Problems()
    words = list(words)
    if NETWORK_ARGS in words:
        if words.count(NETWORK_ARGS) > 1:
            problems.add(f"{NETWORK_ARGS} stands there {words.count(NETWORK_ARGS)} times: the trainer keeps the last")
        words = words[words.index(NETWORK_ARGS) + 1 :]
        end = next((i for i, word in enumerate(words) if word.startswith("--")), len(words))
        words = words[:end]
    result: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not re.fullmatch(r"\w+", key):
            problems.add(f"{word!r} is not key=value")
        elif key in result:
            problems.add(f"{key} is given twice")
        else:
            result[key] = value
    problems.raise_if_any()
    return result


def config_arguments(data: dict[str, Any]) -> dict[str, str] | None:
    """The network_args of a trainer's config file, at the top or in a section (sd-scripts flattens sections); None
    where there are none.

    Raises: GridError where they are no list of key=value.
    """
    for table in (data, *(value for value in data.values() if isinstance(value, dict))):
        if "network_args" in table:
            words = table["network_args"]
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                raise GridError(['network_args: is not a list of texts: write network_args = ["key=value", ...]'])
            return pairs_of(words)
    return None


def argument_pairs(text: str) -> dict[str, str]:
    """Network arguments from a command line (bash) or from a trainer's config file.

    Raises: GridError.
    """
    if looks_like_toml(text):
        found = config_arguments(read_toml(text))
        if found is not None:
            return found
    return pairs_of(split_bash(text))
