"""Where the values of a TOML file stand in its text: enough to change numbers and leave comments and order alone.

Not a parser: what is found is only used where the file, changed, still parses to what was meant (into_grid.py checks).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_STRING = r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\''
_TOKEN = re.compile(
    rf"(?P<string>{_STRING})|(?P<comment>#[^\n]*)|(?P<open>[\[{{])|(?P<close>[\]}}])|(?P<newline>\n)|.", re.S
)
_HEADER = re.compile(r"[ \t]*\[(?!\[)[ \t]*(?P<name>[^\]\n]+?)[ \t]*\][ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)")
_KEY = re.compile(rf"[ \t]*(?P<key>(?:{_STRING}|[A-Za-z0-9_.-]+))[ \t]*=[ \t]*")


@dataclass(frozen=True, slots=True)
class Value:
    """One ``key = value``: ``code`` are the pieces (start, end) of the value that are no comment."""

    section: str
    """The table it stands in; empty at the top."""
    key: str
    code: tuple[tuple[int, int], ...]


def top_end(text: str) -> int:
    """Where the keys of the top end: the start of the first table's header, or the end of the text."""
    position = 0
    while position < len(text):
        header = _HEADER.match(text, position)
        if header or text.startswith("[[", position):
            return position
        position = _next_statement(text, position)[0]
    return len(text)


def values(text: str) -> list[Value]:
    """Every ``key = value`` of a text, in order."""
    found, section, position = [], "", 0
    while position < len(text):
        header = _HEADER.match(text, position)
        if header:
            section, position = _plain(header["name"]), header.end()
            continue
        key = _KEY.match(text, position)
        start = key.end() if key else position
        position, code = _next_statement(text, start)
        if key:
            found.append(Value(section, _plain(key["key"]), tuple(code)))
    return found


def _plain(key: str) -> str:
    return key[1:-1] if key[:1] in "\"'" and key[-1:] == key[:1] else key


def _next_statement(text: str, position: int) -> tuple[int, list[tuple[int, int]]]:
    """(where the next line begins that is no part of this value, the pieces that are no comment)."""
    depth, code, start = 0, [], position
    for token in _TOKEN.finditer(text, position):
        if token["comment"]:
            code.append((start, token.start()))
            start = token.end()
        elif token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
        elif token["newline"] and depth <= 0:
            code.append((start, token.start()))
            return token.end(), code
    code.append((start, len(text)))
    return len(text), code
