"""Whether a value of a dataset config has the type that the trainer's schema (voluptuous) asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_SIMPLE: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str, "dict": dict}
_WORDS = {
    "int": "a whole number",
    "float": "a number with a point",
    "bool": "true or false",
    "str": "text",
    "dict": "a table",
}


def fits(value: Any, kinds: Sequence[str]) -> bool:
    """Whether a value is of one of these kinds (``int``, ``2 int``, ``list of int``), as strictly as the schema is."""
    return any(_is(value, kind) for kind in kinds)


def _is(value: Any, kind: str) -> bool:
    if kind.startswith("2 "):
        return isinstance(value, list) and len(value) == 2 and all(_is(item, kind[2:]) for item in value)
    if kind.startswith("list of "):
        return isinstance(value, list) and all(_is(item, kind.removeprefix("list of ")) for item in value)
    return isinstance(value, _SIMPLE[kind])


def wanted(kinds: Sequence[str], value: Any) -> str:
    """What is wanted, for people."""
    text = " or ".join(_wanted(kind) for kind in kinds)
    if kinds == ["float"] and isinstance(value, int) and not isinstance(value, bool):
        return f"{text}: write {value}.0"
    return text


def _wanted(kind: str) -> str:
    if kind.startswith("2 "):
        return f"a pair [{kind[2:]}, {kind[2:]}]"
    if kind.startswith("list of "):
        return f"a list of {_WORDS[kind.removeprefix('list of ')]}s"
    return _WORDS[kind]
