"""Checks of JSON that the page sends: what it must be made of. Values that people typed are checked elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lr_grid.ui.answer import RequestError


def wrong(what: str) -> RequestError:
    """The error of a body that no page of ours sends."""
    return RequestError(400, what)


def text(data: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """A text. Raises: RequestError, also where it is missing without a ``default``."""
    value = data.get(key, default)
    if not isinstance(value, str):
        raise wrong(f"{key} is no text")
    return value


def table(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An object; missing: an empty one. Raises: RequestError."""
    value = data.get(key, {})
    if not isinstance(value, dict):
        raise wrong(f"{key} is no object")
    return value


def texts(data: Mapping[str, Any], key: str) -> dict[str, str]:
    """An object of texts. Raises: RequestError."""
    value = table(data, key)
    for name, one in value.items():
        if not isinstance(one, str):
            raise wrong(f"{key}.{name:.40} is no text")
    return value


def words(data: Mapping[str, Any], key: str) -> list[str]:
    """A list of texts. Raises: RequestError."""
    value = data.get(key, [])
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise wrong(f"{key} is no list of texts")
    return value


def number(value: Any, what: str) -> float:
    """A finite number. Raises: RequestError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
        raise wrong(f"{what} is no number")
    return float(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False


def block_of(name: str, size: int, what: str) -> int:
    """The number of a block. Raises: RequestError."""
    if not (name.isascii() and name.isdigit() and len(name) < 5 and int(name) < size):
        raise wrong(f"{what}: {name!r:.40} is no block")
    return int(name)
