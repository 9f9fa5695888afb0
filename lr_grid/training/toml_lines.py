"""The lines of a TOML file's keys, which no parser of the standard library tells.

The text must be valid TOML (the caller parses it first): then tables, keys, arrays over several lines, inline tables
and the four kinds of strings are all that there is to follow.
"""

from __future__ import annotations

from collections.abc import Iterable

Path = tuple[str | int, ...]
"""Keys and positions in arrays, from the top: ``("datasets", 0, "resolution")``."""

_BARE_END = "=.]} \t\r\n,#"


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.lines: dict[Path, int] = {}
        self.repeats: dict[Path, int] = {}
        """Array of tables -> how many of its tables have begun."""

    def peek(self, count: int = 1) -> str:
        return self.text[self.at : self.at + count]

    def skip(self, count: int = 1) -> str:
        passed = self.text[self.at : self.at + count]
        self.at += count
        self.line += passed.count("\n")
        return passed

    def blank(self, newlines: bool = True) -> None:
        """Passes white space and comments."""
        while self.at < len(self.text):
            if self.peek() == "#":
                while self.at < len(self.text) and self.peek() != "\n":
                    self.skip()
            elif self.peek() in (" ", "\t") or (newlines and self.peek() in ("\r", "\n")):
                self.skip()
            else:
                return

    def string(self) -> str:
        """Passes a string; returns what stands between its quotes, escapes resolved as far as keys need it."""
        quote = self.peek()
        if self.peek(3) == quote * 3:
            self.skip(3)
            start = self.at
            while self.peek(3) != quote * 3:
                self.skip(2 if quote == '"' and self.peek() == "\\" else 1)
            while self.peek(4) == quote * 4:  # quotes that belong to the text may stand before the closing three
                self.skip()
            value = self.text[start : self.at]
            self.skip(3)
            return value
        self.skip()
        start = self.at
        while self.peek() != quote:
            self.skip(2 if quote == '"' and self.peek() == "\\" else 1)
        value = self.text[start : self.at]
        self.skip()
        return _unescaped(value) if quote == '"' else value

    def key(self) -> tuple[str, ...]:
        """Passes a key, dotted or not."""
        parts: list[str] = []
        while True:
            self.blank(newlines=False)
            if self.peek() in ("'", '"'):
                parts.append(self.string())
            else:
                start = self.at
                while self.at < len(self.text) and self.peek() not in _BARE_END:
                    self.skip()
                parts.append(self.text[start : self.at])
            self.blank(newlines=False)
            if self.peek() != ".":
                return tuple(parts)
            self.skip()

    def value(self, path: Path) -> None:
        """Passes a value, noting what is inside it."""
        self.blank()
        if self.peek() in ("'", '"'):
            self.string()
        elif self.peek() == "[":
            self.array(path)
        elif self.peek() == "{":
            self.inline(path)
        else:
            while self.at < len(self.text) and self.peek() not in ",]}\r\n#":
                self.skip()

    def array(self, path: Path) -> None:
        self.skip()
        index = 0
        while True:
            self.blank()
            if self.peek() == "]":
                self.skip()
                return
            if self.peek() == ",":
                self.skip()
                continue
            position: Path = (*path, index)
            self.lines[position] = self.line
            self.value(position)
            index += 1

    def inline(self, path: Path) -> None:
        self.skip()
        while True:
            self.blank()
            if self.peek() == "}":
                self.skip()
                return
            if self.peek() == ",":
                self.skip()
                continue
            self.pair(path)

    def pair(self, table: Path) -> None:
        line = self.line
        key = self.key()
        self.note(table, key, line)
        self.skip()  # the =
        self.value((*table, *key))

    def note(self, table: Path, key: Iterable[str], line: int) -> None:
        path = table
        for part in key:
            path = (*path, part)
            self.lines.setdefault(path, line)

    def header(self) -> Path:
        line, double = self.line, self.peek(2) == "[["
        self.skip(2 if double else 1)
        key = self.key()
        self.skip(2 if double else 1)
        path: Path = ()
        for position, part in enumerate(key):
            path = (*path, part)
            if double and position == len(key) - 1:
                self.repeats[path] = self.repeats.get(path, 0) + 1
            self.lines.setdefault(path, line)
            if path in self.repeats:
                path = (*path, self.repeats[path] - 1)
                self.lines.setdefault(path, line)
        return path

    def run(self) -> dict[Path, int]:
        table: Path = ()
        self.blank()
        while self.at < len(self.text):
            if self.peek() == "[":
                table = self.header()
            else:
                self.pair(table)
            self.blank()
        return self.lines


_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_CODES = {"u": 4, "U": 8}


def _unescaped(text: str) -> str:
    result, at = "", 0
    while at < len(text):
        letter = text[at + 1] if text[at] == "\\" else ""
        if not letter:
            result, at = result + text[at], at + 1
        elif letter in _CODES:
            end = at + 2 + _CODES[letter]
            result, at = result + chr(int(text[at + 2 : end], 16)), end
        else:
            result, at = result + _ESCAPES.get(letter, letter), at + 2
    return result


def toml_lines(text: str) -> dict[Path, int]:
    """The line (from 1) of every table, key and array element of a valid TOML text."""
    return _Scanner(text).run()
