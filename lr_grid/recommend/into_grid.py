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
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lr_grid.errors import GridError, Problems
from lr_grid.files import check_writable, real_path, write_text
from lr_grid.grid_settings import GridSettings
from lr_grid.gridfile import GridFile, read_table
from lr_grid.keys import PRESET_KEYS, is_grid_key
from lr_grid.recommend.grid_text import KEYS, insert, published_only, rewrite, text_of
from lr_grid.settings import PUBLISHED_DEFAULTS, read_settings
from lr_grid.toml_text import load_toml
from lr_grid.training.tables import owners
from lr_grid.values import Rate


@dataclass(frozen=True)
class Written:
    """What was done, or is to be done: the file, where the old one is kept, and one line a change."""

    path: Path
    backup: Path | None
    changes: list[str]
    kept: list[str]
    """Absolute LRs that follow no base and stay as they were, one line each."""


@dataclass(frozen=True)
class Job:
    """A rewriting that was found to be right, and is not yet done."""

    result: Written
    text: str

    def write(self) -> Written:
        """Does it.

        Raises: GridError where a file cannot be written.
        """
        if not self.result.changes:
            return self.result
        if self.result.backup:
            try:
                shutil.copy2(self.result.path, self.result.backup)
            except OSError as error:
                raise GridError([f"{self.result.backup}: cannot be written: {error.strerror or error}"]) from None
        write_text(self.result.path, self.text)
        return self.result


def into_grid(path: str, lr: float, comment: str) -> Job:
    """A base LR (absolute) into a grid file, which is made where there is none. Nothing is written yet.

    Args:
        comment: one line that says where the LR comes from.

    Raises: GridError where the file is no TOML grid, cannot be rewritten safely, or cannot be written.
    """
    if Path(path).suffix.lower() != ".toml":
        raise GridError([f"--into: {path}: give the name of a .toml grid"])
    file = real_path(path)
    check_writable(file, f"--into: {path}")
    line = f"default_lr = {text_of(lr)}  # {comment}"
    if not file.exists():
        text = f"# An lr-grid file: --network_args grid={file.name}\n{line}\n"
        return Job(Written(file, None, [f"default_lr = {text_of(lr)}"], []), text)
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
    has_base = base is not None and not base.relative and base.value != 0
    scale = lr / base.value if base and has_base else None
    if scale and math.isclose(scale, 1.0, rel_tol=1e-6):
        scale = None
    new = rewrite(old, lr, scale, comment)
    added = [] if "default_lr" in table else [line]
    for key in published_only(table) if scale else ():
        added.append(f"{key} = {text_of(PUBLISHED_DEFAULTS[key] * scale)}  # published default, scaled")
    text = insert(new.text, added)
    _check(path, table, before, text, lr, scale)
    changes = new.changes + [one.partition("  #")[0] for one in added]
    return Job(Written(file, _backup(file) if changes else None, changes, [] if has_base else new.kept), text)


def _read(file: Path, path: str) -> tuple[str, dict[str, Any]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:  # line endings stay as they are
            text = stream.read()
        return text, load_toml(text)
    except (OSError, ValueError) as error:
        raise GridError([f"--into: {path}: cannot be read as TOML: {error}"]) from None


def _settings(path: str, table: dict[str, Any]) -> GridSettings:
    """The settings of a grid file's table.

    Raises: GridError where it is no grid, or a published block (whose LRs are another tool's to write).
    """
    if _is_training(table):
        cure = "name the file of its grid (network_args grid=...), or one that is to be made"
        raise GridError([f"--into: {path}: is a training config, not a grid file: {cure}"])
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


def _is_training(table: dict[str, Any]) -> bool:
    """Whether a TOML holds a trainer's arguments (at the top or in tables, as --config_file takes them)."""
    nested = [key for value in table.values() if isinstance(value, dict) for key in value]
    return any(not is_grid_key(key) and owners(key) for key in (*table, *nested))


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
        after_table = load_toml(new)
        after = _rates(_settings(path, after_table))
    except ValueError:
        after_table, after = {}, {}
    expected = {key: meant(value) for key, value in _rates(before).items()}
    expected.setdefault("default_lr", lr)
    same = after.keys() == expected.keys() and all(
        not after[key].relative and math.isclose(after[key].value, value, rel_tol=1e-5)
        for key, value in expected.items()
    )
    others, others_after = ({key: v for key, v in one.items() if key not in KEYS} for one in (table, after_table))
    if not same or others != others_after:
        cure = f"set default_lr = {text_of(lr)} and the LRs that follow it by hand"
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
