"""The recommended LR into a grid file: as ``default_lr``, with every LR of the U-Net or DiT that follows the base.

A grid's ``1.5x`` multiplies the trainer's LR, which no grid file holds. So ``1.5x`` becomes 1.5 times the recommended
LR, an absolute number, and ``default_lr`` is what no rule names: the file then means these LRs whatever the trainer is
given. Where the file has an absolute ``default_lr``, that is its base: all its LRs, the published defaults of
``per_layer_lr`` too, are scaled by new / old, so that the shape stays. An absolute LR in a file without such a base
stays. Text encoders (te_...) keep what they have: they follow the trainer's --text_encoder_lr. Comments and order stay;
the old file is kept as <name>.bak (.bak2, ... where that is taken).
"""

from __future__ import annotations

import itertools
import math
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
from lr_grid.grid_settings import GridSettings
from lr_grid.gridfile import PUBLISHED_BLOCK, GridFile, read_table
from lr_grid.keys import PRESET_KEYS
from lr_grid.recommend.toml_spans import top_end, values
from lr_grid.settings import PUBLISHED_DEFAULTS, read_settings
from lr_grid.values import NUMBER, Rate, flag
from lr_grid.words import COMPONENTS

_COMPONENT_KEYS = tuple(f"{component}_lr" for component in COMPONENTS)
_KEYS = frozenset((*_COMPONENT_KEYS, "component_lr", "default_lr", "block_lr", "module_lr"))
# An LR in a value: what stands before it, and no key behind it ("7" = ...). module_lr's regexes may hold numbers
# between brackets and commas: there an LR stands behind a colon, or is the whole value.
_END = r"(?=\s*(?:[\"',\]}]|$))(?![\"']?\s*=)"
_WHOLE = rf"(?P<quote>[\"'])(?P<whole>{NUMBER})[xX](?P=quote)(?!\s*=)"
_BARE = rf"(?P<number>{NUMBER})(?P<x>[xX]?){_END}"
_RATE = re.compile(rf"(?P<before>^|[\"':,\[{{=\s])(?:{_WHOLE}|{_BARE})")
_MODULE_RATE = re.compile(rf"(?P<before>^[\"']?|[:=]\s*[\"']?)(?:{_WHOLE}|{_BARE})")


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
    line = f"default_lr = {_text(lr)}  # {comment}"
    if not file.exists():
        write_text(file, f"# An lr-grid file: --network_args grid={file.name}\n{line}\n")
        return Written(file, None, [f"default_lr = {_text(lr)}"])
    old, table = _read(file, path)
    before = _settings(path, table)
    base = before.default_lr
    if base and base.relative and base.value != 1:
        raise GridError(
            [
                f"--into: {path}: default_lr = {base} is a multiple of the base LR, for which a grid file has no other "
                "key: give the components that it is meant for their own (self_attn_lr, ..., other_lr)"
            ]
        )
    scale = lr / base.value if base and not base.relative and base.value else None
    if scale and math.isclose(scale, 1.0, rel_tol=1e-6):
        scale = None
    changes: list[str] = []
    new = _rewrite(old, lr, scale, changes)
    added = [] if "default_lr" in table else [line]
    for key in _published_only(table) if scale else ():
        added.append(f"{key} = {_text(PUBLISHED_DEFAULTS[key] * scale)}  # published default, scaled")
    new = _insert(new, added)
    changes += [line.partition("  #")[0] for line in added]
    _check(path, table, before, new, lr, scale)
    if new == old:
        return Written(file, None, [])
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
        with file.open(encoding="utf-8-sig", newline="") as stream:  # line endings stay as they are
            text = stream.read()
        return text, tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise GridError([f"--into: {path}: cannot be read as TOML: {error}"]) from None


def _settings(path: str, table: dict[str, Any]) -> GridSettings:
    """The settings of a grid file's table.

    Raises: GridError where it is no grid, or a published block (whose LRs are another tool's to write).
    """
    named = [key for key in PRESET_KEYS if key in table]
    if named:
        cure = "give the trainer the LR (--unet_lr) and leave the file as it is"
        raise GridError([f"--into: {path}: {named[0]}: the LRs of a preset are multiples of the trainer's LR; {cure}"])
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
    """The text with every LR that follows the base replaced; notes each changed key."""

    def replaced(match: re.Match[str]) -> str:
        if match["whole"]:
            return match["before"] + _text(float(match["whole"]) * lr)
        if match["x"]:
            return match["before"] + _text(float(match["number"]) * lr)
        return match["before"] + _text(float(match["number"]) * scale) if scale and float(match["number"]) else match[0]

    result, done = [], 0
    for value in values(text):
        name = value.section or value.key
        if name not in _KEYS:
            continue
        pattern = _MODULE_RATE if name == "module_lr" else _RATE
        old = [text[start:end] for start, end in value.code]
        new = [pattern.sub(replaced, piece) for piece in old]
        for (start, end), piece in zip(value.code, new, strict=True):
            result += [text[done:start], piece]
            done = end
        if new != old:
            key = f"{value.section}.{value.key}" if value.section else value.key
            changes.append(f"{key} = {' '.join(''.join(new).split())}")
    return "".join(result) + text[done:]


def _published_only(table: Mapping[str, Any]) -> list[str]:
    """Component LRs that per_layer_lr=true fills with its published defaults, as the file does not give them."""
    if not flag(table.get(PUBLISHED_BLOCK, False)) or "component_lr" in table:
        return []
    return [key for key in _COMPONENT_KEYS if key in PUBLISHED_DEFAULTS and key not in table]


def _insert(text: str, lines: list[str]) -> str:
    """Adds lines below the last key of the top."""
    if not lines:
        return text
    end = top_end(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    head = text[:end].rstrip()
    return head + newline * bool(head) + newline.join(lines) + (text[len(head) : end] or newline) + text[end:]


def _backup(file: Path) -> Path:
    """A name beside the file that is free."""
    numbers = itertools.count(2)
    backup = file.with_name(f"{file.name}.bak")
    while backup.exists():
        backup = file.with_name(f"{file.name}.bak{next(numbers)}")
    return backup


def _check(path: str, table: dict[str, Any], before: GridSettings, new: str, lr: float, scale: float | None) -> None:
    """Holds the new text against what it has to mean.

    Raises: GridError where they differ: the file is written in a way that cannot be changed line by line.
    """

    def meant(value: Rate) -> float:
        return value.value * (lr if value.relative else scale or 1.0)

    try:
        after_table = tomllib.loads(new)
        after = _rates(_settings(path, after_table))
    except ValueError:
        after_table, after = {}, {}
    expected = {key: meant(value) for key, value in _rates(before).items()}
    expected.setdefault("default_lr", lr)
    same = after.keys() == expected.keys() and all(
        not after[key].relative and math.isclose(after[key].value, value, rel_tol=1e-5)
        for key, value in expected.items()
    )
    others, others_after = ({key: v for key, v in one.items() if key not in _KEYS} for one in (table, after_table))
    if not same or others != others_after:
        cure = f"set default_lr = {_text(lr)} and the LRs that follow it by hand"
        raise GridError([f"--into: {path}: is written in a way that cannot be changed line by line; {cure}"])


def _rates(settings: GridSettings) -> dict[Any, Rate]:
    """Every LR of the U-Net or DiT that the settings hold, under a key that says where it holds."""
    found: dict[Any, Rate] = dict(settings.component_lr)
    if settings.default_lr is not None:
        found["default_lr"] = settings.default_lr
    if settings.block_lr is not None:
        entries = settings.block_lr.entries
        found |= {("block", i, one.stack, one.first, one.last): one.value for i, one in enumerate(entries)}
        found |= {("position", i): value for i, value in enumerate(settings.block_lr.positional or ())}
    found |= {("module", i, rule.pattern.pattern): rule.value for i, rule in enumerate(settings.module_lr)}
    return found
