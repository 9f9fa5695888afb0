"""The recommended LR into a grid file: as ``default_lr``, with every LR of the U-Net or DiT that follows the base.

A grid's ``1.5x`` multiplies the trainer's LR, which no grid file holds. So ``1.5x`` becomes 1.5 times the recommended LR,
an absolute number, and ``default_lr`` is what no rule names: the file then means these LRs whatever the trainer is given.
Where the file has an absolute ``default_lr``, that is its base: all its LRs, the published defaults of ``per_layer_lr``
too, are scaled by new / old, so that the shape stays. Text encoders (te_...) keep what they have: they follow the
trainer's --text_encoder_lr. Comments and order stay; the old file is kept as <name>.bak (.bak2, ... where that is taken).
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from lr_grid.errors import GridError, Problems
from lr_grid.files import write_text
from lr_grid.gridfile import GridFile, read_table
from lr_grid.grid_settings import GridSettings
from lr_grid.recommend.toml_spans import top_end, values
from lr_grid.settings import PUBLISHED_DEFAULTS, read_settings
from lr_grid.values import NUMBER, Rate, rate
from lr_grid.words import COMPONENTS

_COMPONENT_KEYS = tuple(f"{component}_lr" for component in COMPONENTS)
_KEYS = frozenset((*_COMPONENT_KEYS, "component_lr", "default_lr", "block_lr", "module_lr"))
# An LR in a value: after a quote, colon, comma, bracket, = or space; not a key ("7" = ..., 7:...).
_RATE = re.compile(
    rf"(?P<before>^|[\"':,\[{{=\s])(?P<number>{NUMBER})(?P<x>[xX]?)(?=\s*(?:[\"',\]}}]|$))(?![\"']?\s*=)"
)


@dataclass(frozen=True)
class Written:
    """What was done: the file, where the old one is kept, and one line a change."""

    path: Path
    backup: Path | None
    changes: list[str]


def into_grid(path: str, lr: float, comment: str) -> Written:
    """Writes a base LR (absolute) into a grid file, which is made where there is none.

    Args:
        comment: one line that says where the LR comes from.

    Raises: GridError where the file is no TOML grid, or cannot be rewritten safely; then it is left as it is.
    """
    file = Path(path).expanduser()
    if file.suffix.lower() != ".toml":
        raise GridError([f"--into: {path}: give the name of a .toml grid"])
    line = f"default_lr = {_text(lr)}  # {comment}\n"
    if not file.exists():
        write_text(file, f"# An lr-grid file: --network_args grid={file.name}\n{line}")
        return Written(file, None, [f"default_lr = {_text(lr)}"])
    old, table = _read(file, path)
    before = _settings(path, table)
    base = before.default_lr
    scale = lr / base.value if base and not base.relative and base.value else None
    changes: list[str] = []
    new = _rewrite(old, lr, scale, changes)
    added = "" if "default_lr" in table else line
    for key in _published_only(table) if scale else ():
        value = PUBLISHED_DEFAULTS[key] * scale if scale else 0.0
        text = f"{key} = {_text(lr if key == 'default_lr' else value)}"
        added = added if key == "default_lr" else added + f"{text}  # published default, scaled\n"
        changes.append(text)
    if added and "default_lr" not in table and not any(change.startswith("default_lr") for change in changes):
        changes.append(f"default_lr = {_text(lr)}")
    new = _insert(new, added)
    _check(path, table, before, new, lr, scale)
    backup = _backup(file)
    shutil.copy2(file, backup)
    write_text(file, new)
    return Written(file, backup, changes)


def _text(lr: float) -> str:
    """A TOML float of six digits."""
    text = f"{lr:.6g}"
    return text if re.search(r"[.e]", text) else f"{text}.0"


def _read(file: Path, path: str) -> tuple[str, dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise GridError([f"--into: {path}: cannot be read as TOML: {error}"]) from None


def _settings(path: str, table: dict[str, Any]) -> GridSettings:
    """The settings of a grid file's table.

    Raises: GridError where it is no grid, or a published block (whose LRs are another tool's to write).
    """
    problems = Problems()
    try:
        file = read_table(path, table)
    except ValueError as error:
        raise GridError([f"--into: {error}"]) from None
    if file.published or file.unread:
        raise GridError([f"--into: {path}: holds a published block: convert it first (lr-grid convert)"])
    settings = read_settings({}, problems, GridFile(path, settings=table))
    problems.raise_if_any()
    return settings


def _rewrite(text: str, lr: float, scale: float | None, changes: list[str]) -> str:
    """The text with every LR that follows the base replaced."""

    def replaced(match: re.Match[str]) -> str:
        number = float(match["number"])
        if match["x"]:
            return match["before"] + _text(number * lr)
        return match["before"] + _text(number * scale) if scale else match[0]

    result, done = [], 0
    for value in values(text):
        name = value.section or value.key
        if name not in _KEYS:
            continue
        before = "".join(text[start:end] for start, end in value.code).strip()
        for start, end in value.code:
            piece = _RATE.sub(replaced, text[start:end])
            if name == "default_lr":
                piece = _RATE.sub(lambda match: match["before"] + _text(lr), text[start:end])
            result += [text[done:start], piece]
            done = end
        after = "".join(result)[-sum(len(piece) for piece in result[-1:]) :].strip()
        if after != before:
            changes.append(f"{f'{value.section}.' if value.section else ''}{value.key} = {after}")
    return "".join(result) + text[done:]


def _published_only(table: Mapping[str, Any]) -> list[str]:
    """LR keys that per_layer_lr=true fills with its published defaults, as the file does not give them."""
    if str(table.get("per_layer_lr", False)).lower() not in ("true", "1", "yes", "on"):
        return []
    keys = [key for key in PUBLISHED_DEFAULTS if key.endswith("_lr")]
    return [key for key in keys if key not in table and not (key in _COMPONENT_KEYS and "component_lr" in table)]


def _insert(text: str, lines: str) -> str:
    """Adds lines below the last key of the top."""
    if not lines:
        return text
    end = top_end(text)
    head = text[:end].rstrip("\n")
    blank = text[len(head) : end][1:] if head else ""
    return (f"{head}\n" if head else "") + lines + blank + text[end:]


def _backup(file: Path) -> Path:
    for number in range(1, 10_000):
        backup = file.with_name(f"{file.name}.bak{number if number > 1 else ''}")
        if not backup.exists():
            return backup
    raise GridError([f"--into: {file}: has too many .bak files beside it"])


def _check(path: str, table: dict[str, Any], before: GridSettings, new: str, lr: float, scale: float | None) -> None:
    """Holds the new text against what it has to mean.

    Raises: GridError where they differ: the file is written in a way that cannot be changed line by line.
    """

    def meant(value: Rate) -> Rate:
        if value.relative:
            return Rate(value.value * lr)
        return Rate(value.value * scale) if scale else value

    try:
        after_table = tomllib.loads(new)
        after = _settings(path, after_table)
    except ValueError:
        after_table, after = {}, None
    rates = _rates(before)
    expected = {key: meant(value) for key, value in rates.items()} | {"default_lr": Rate(lr)}
    found = _rates(after) if after else {}
    same = found.keys() == expected.keys() and all(
        not found[key].relative and abs(found[key].value - value.value) <= 1e-5 * abs(value.value)
        for key, value in expected.items()
    )
    others = {key: value for key, value in table.items() if key not in _KEYS}
    if not same or {key: value for key, value in after_table.items() if key not in _KEYS} != others:
        cure = f"set default_lr = {_text(lr)} and the LRs that follow it by hand"
        raise GridError([f"--into: {path}: is written in a way that cannot be changed line by line; {cure}"])


def _rates(settings: GridSettings) -> dict[Any, Rate]:
    """Every LR of the U-Net or DiT that the settings hold, under a key of its own."""
    found: dict[Any, Rate] = dict(settings.component_lr)
    if settings.default_lr is not None:
        found["default_lr"] = settings.default_lr
    blocks = settings.block_lr
    if blocks is not None:
        found |= {("block", i): entry.value for i, entry in enumerate(blocks.entries)}
        found |= {("position", i): value for i, value in enumerate(blocks.positional or ())}
    found |= {("module", i): rule.value for i, rule in enumerate(settings.module_lr)}
    return found
