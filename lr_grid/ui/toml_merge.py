"""A grid file with new values: what its writer wrote beside the keys (comments, order, empty lines) stays."""

from __future__ import annotations

import re
from typing import Any

from lr_grid.convert.texts import read_toml
from lr_grid.errors import GridError
from lr_grid.recommend.toml_spans import Value, top_end, values


def merged(old: str, new: str) -> str:
    """The new text's values in the old text. Where the old one cannot be changed line by line, the new one."""
    try:
        before, after = read_toml(old), read_toml(new)
    except GridError:
        return new
    if not before or before == after:
        return old if before == after and before else new
    text = _changed(old, before, after, new)
    try:
        return text if read_toml(text) == after else new
    except GridError:
        return new


def _changed(old: str, before: dict[str, Any], after: dict[str, Any], new: str) -> str:
    """The old text, key by key: changed, taken out, or joined by new ones."""
    literals = {(value.section, value.key): _literal(new, value) for value in values(new)}
    text = old
    for value in reversed(values(old)):
        place = (value.section, value.key)
        start, end = value.code[0][0], value.code[-1][1]
        was, now = _at(before, place), _at(after, place)
        if now is None or place not in literals:
            text = text[: text.rfind("\n", 0, start) + 1] + text[end:].removeprefix("\r").removeprefix("\n")
        elif now != was or type(now) is not type(was):
            text = text[:start] + literals[place] + text[_end_of_value(old, value) :]
    for section in [name for name, held in before.items() if isinstance(held, dict)]:
        if not isinstance(after.get(section), dict):
            text = re.sub(rf"(?m)\n?^[ \t]*\[{re.escape(section)}\][^\n]*\n?", "", text)
    return _with_new(text, before, literals)


def _end_of_value(text: str, value: Value) -> int:
    """Where a value ends, before blanks and a comment behind it."""
    start, end = next(piece for piece in reversed(value.code) if text[piece[0] : piece[1]].strip())
    return start + len(text[start:end].rstrip())


def _at(data: dict[str, Any], place: tuple[str, str]) -> Any:
    section, key = place
    held = data.get(section) if section else data
    return held.get(key) if isinstance(held, dict) else None


def _literal(text: str, value: Value) -> str:
    return "".join(text[start:end] for start, end in value.code).strip()


def _with_new(text: str, before: dict[str, Any], literals: dict[tuple[str, str], str]) -> str:
    """The text with the keys that it did not have."""
    top = [
        f"{key} = {one}"
        for (section, key), one in literals.items()
        if not section and isinstance(before.get(key, {}), dict)  # not there, or a table until now
    ]
    if top:
        end = top_end(text)
        head = text[:end].rstrip()
        text = head + "\n" * bool(head) + "\n".join(top) + (text[len(head) : end] or "\n") + text[end:]
    sections: dict[str, list[str]] = {}
    for (section, key), one in literals.items():
        if section and _at(before, (section, key)) is None:
            sections.setdefault(section, []).append(f"{_key(key)} = {one}")
    for section, lines in sections.items():
        header = re.search(rf"(?m)^[ \t]*\[{re.escape(section)}\][^\n]*\n?", text)
        if header is None:
            text = text.rstrip() + f"\n\n[{section}]\n" + "\n".join(lines) + "\n"
            continue
        following = re.search(r"(?m)^[ \t]*\[", text[header.end() :])
        end = header.end() + following.start() if following else len(text)
        body = text[header.end() : end].rstrip()
        rest = text[header.end() + len(body) : end] or "\n"
        text = text[: header.end()] + body + "\n" * bool(body) + "\n".join(lines) + rest + text[end:]
    return text


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f"'{name}'"
