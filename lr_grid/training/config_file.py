"""Reads a trainer's --config_file: TOML whose sections are flattened, and whose values no parser types."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lr_grid.errors import GridError
from lr_grid.toml_text import load_toml
from lr_grid.training.config import Given
from lr_grid.training.finding import Finding, Place
from lr_grid.training.guis import gui_of_value
from lr_grid.training.parse_options import wrong_choice
from lr_grid.training.tables import Option
from lr_grid.training.toml_lines import toml_lines
from lr_grid.training.value_types import wrong_type


class TomlError(GridError):
    """A file that is no TOML; ``place`` says where."""

    def __init__(self, place: Place, message: str):
        super().__init__([f"{place}: {message}"])
        self.place, self.message = place, message


_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_STRICT = (".toml", ".json")
"""The trainers read these as UTF-8 and stop at anything else; a script may be in what the shell takes."""


def read_text(path: Path) -> str:
    """The text of a file: UTF-8. Scripts are read in UTF-16 with its mark (PowerShell's ``>``), too, and in any other
    encoding lose only what is not ASCII.

    Raises: GridError where it cannot be read, TomlError (with the line) where a TOML or JSON is no UTF-8.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise GridError([f"{path}: no such file (looked for {path.absolute()})"]) from None
    except OSError as error:
        what = "is a folder" if path.is_dir() else f"cannot be read: {error.strerror or error}"
        raise GridError([f"{path}: {what}"]) from None
    encoding = _MARKS.get(data[:2], "utf-8")
    strict = path.suffix.lower() in _STRICT
    if strict and encoding != "utf-8":
        raise TomlError(Place(str(path), 1), "is UTF-16, and the trainer reads UTF-8: save it as UTF-8 without BOM")
    try:
        text = data.decode(encoding, "strict" if strict else "replace")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TomlError(Place(str(path), line), "is not UTF-8 here, and the trainer reads UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """A TOML text's tables.

    Raises: TomlError, with the line.
    """
    try:
        return load_toml(text.removeprefix("\ufeff"))
    except RecursionError:
        raise TomlError(Place(name, 1), "is nested too deeply to be read") from None
    except ValueError as error:
        match = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)", str(error))
        end = text.rstrip().count("\n") + 1
        line = int(match[1]) if match and match[1] else end
        message = re.sub(r" \(at line \d+, column \d+\)$", "", str(error))
        raise TomlError(Place(name, line), f"not valid TOML: {message}{_hint(text, line)}") from None


def _hint(text: str, line: int) -> str:
    written = text.splitlines()[line - 1] if 0 < line <= len(text.splitlines()) else ""
    if re.search(r"=\s*(True|False)\b", written):
        return " (true and false are written small)"
    if re.search(r'"[A-Za-z]:\\|\\[^btnfruUe"\\]', written):
        return " (a backslash between double quotes is an escape: use single quotes, or / in paths)"
    if re.search(r"=\s*[\d.]+x", written):
        return ' (a relative LR is text: "1.5x")'
    return ""


def homogeneous(value: Any) -> bool:
    """Whether the trainers' TOML reader (the package toml) takes a value: an array's elements must be of one type."""
    if not isinstance(value, list):
        return True
    return len({type(item) for item in value}) <= 1 and all(homogeneous(item) for item in value)


class _Reader:
    def __init__(self, text: str, name: str, table: Mapping[str, Option]) -> None:
        self.name, self.table = name, table
        self.data = parse_toml(text, name)
        self.lines = toml_lines(text.removeprefix("\ufeff"))
        self.flat = {dest: value for dest, value, _ in self.flattened()}
        self.given: list[Given] = []
        self.findings: list[Finding] = []
        if text.startswith("\ufeff"):
            self.tell("error", 1, "begins with a byte order mark, which the trainer takes for a part of the first key",
                      "Save it as UTF-8 without BOM")  # fmt: skip

    def tell(self, severity: str, line: int, message: str, cure: str = "") -> None:
        self.findings.append(Finding(severity, Place(self.name, line), message, cure))

    def flattened(self) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
        """(argument, value, its path), as the trainers flatten: one level of tables, the later key wins."""
        for name, value in self.data.items():
            if isinstance(value, dict):
                yield from ((key, item, (name, key)) for key, item in value.items())
            else:
                yield name, value, (name,)

    def run(self) -> None:
        seen: dict[str, tuple[Any, int]] = {}
        for dest, value, path in self.flattened():
            line = self.lines.get(path, 0)
            if dest in seen and dest in self.table:
                before = seen[dest]
                same = "with the same value" if before[0] == value else "the last one counts"
                self.tell(
                    "note" if before[0] == value else "warning",
                    line,
                    f"{dest} stands in line {before[1]}, too: sections are flattened, {same}",
                )
            seen[dest] = value, line
            self.one(dest, value, path, line)

    def one(self, dest: str, value: Any, path: tuple[str, ...], line: int) -> None:
        place = Place(self.name, line)
        option = self.table.get(dest)
        if option is None:
            self.given.append(Given(dest, value, place, known=False))
            return
        items: tuple[Place, ...] = ()
        if isinstance(value, list):
            items = tuple(Place(self.name, self.lines.get((*path, i), line)) for i in range(len(value)))
            if not homogeneous(value):
                self.tell("error", line, f"{dest}: an array of several types stops the trainer's TOML reader",
                          "Write all of its values in one way")  # fmt: skip
        message = wrong_type(option, value)
        if message:
            severity = "warning" if isinstance(value, float) and option.type == "int" else "error"
            self.tell(severity, line, f"{dest}: {message}")
        else:
            for item in value if isinstance(value, list) else [value]:
                self.choice(option, item, line)
        self.given.append(Given(dest, value, place, items))

    def choice(self, option: Option, value: Any, line: int) -> None:
        """Notes a value that is none of an option's choices (argparse never sees it: the trainer itself stumbles)."""
        wrong = wrong_choice(option, value)
        gui = gui_of_value(option.dest, value)
        if wrong and gui:
            self.tell("note", line, f"{option.dest}: {value!r} is {gui}, and does no harm")
        elif wrong and (option.dest != "dynamo_backend" or self.flat.get("torch_compile")):
            self.tell("error", line, f"{option.dest}: {wrong}")


def parse_config_file(text: str, name: str, table: Mapping[str, Option]) -> tuple[list[Given], list[Finding]]:
    """(the arguments in order, what is wrong with the way they are written). Unknown ones are given, too: known=False.

    Args:
        text: of the TOML file.
        name: what it is called in places.
        table: the options of the script that will read it.

    Raises: TomlError.
    """
    reader = _Reader(text, name, table)
    reader.run()
    return reader.given, reader.findings
