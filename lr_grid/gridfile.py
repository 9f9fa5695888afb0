"""Grid files: TOML or JSON with the keys of --network_args, and two JSON formats that others published."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lr_grid.toml_text import load_toml
from lr_grid.values import flag

PUBLISHED_BLOCK = "per_layer_lr"
ONETRAINER_BLOCK = "block_learning_rate_multiplier"


@dataclass
class GridFile:
    """What a grid file says: settings in the vocabulary of --network_args."""

    name: str = "grid"
    """What it is called in messages."""
    settings: dict[str, Any] = field(default_factory=dict)
    published: dict[str, Any] = field(default_factory=dict)
    """Settings of a published block. They are read as they stand: a component or block the network does not have is no
    error, because such blocks always list all of them."""
    notices: list[str] = field(default_factory=list)
    unread: tuple[str, ...] = ()
    """Keys beside a published block, which are not read."""


def load_grid_file(name: str) -> GridFile:
    """Reads a grid file by its suffix (.toml, .json).

    Raises: ValueError with a message that names the file and, where there is one, the line.
    """
    path = Path(name).expanduser()
    suffix = path.suffix.lower()
    if suffix not in (".toml", ".json"):
        raise ValueError(f"{name}: a grid file is a .toml or a .json file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{name}: no such file (looked for {path.absolute()})") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: cannot be read: {error}") from None
    try:
        data = load_toml(text) if suffix == ".toml" else json.loads(text, object_pairs_hook=_no_duplicates)
    except ValueError as error:
        hint = ' (a relative LR is text in TOML: "1.5x")' if re.search(r"=\s*[\d.]+x", text) else ""
        raise ValueError(f"{name}: not valid {suffix[1:].upper()}: {error}{hint}") from None
    if not isinstance(data, dict) or not data:
        raise ValueError(f"{name}: holds {'nothing' if not data else type(data).__name__}, not a table of settings")
    return read_table(name, data)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, refused where it gives a key twice (json itself keeps the last in silence)."""
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in names if names.count(key) > 1)!r} is given twice")
    return result


def read_table(name: str, data: dict[str, Any]) -> GridFile:
    """What a table says, read from a file called ``name``: settings, or a published block among other things.

    Raises: ValueError for a published block whose ``enabled`` or ``log_grad_norms`` is no flag.
    """
    published, onetrainer = data.get(PUBLISHED_BLOCK), data.get(ONETRAINER_BLOCK)
    if not isinstance(published, dict) and not isinstance(onetrainer, dict):
        return GridFile(name, settings=data)
    result = GridFile(name)
    if isinstance(published, dict):
        result.published, notices = _published(name, published)
        result.notices += notices
    if isinstance(onetrainer, dict) and onetrainer:
        result.published["block_lr_weight"] = onetrainer
    result.unread = tuple(sorted(set(data) - {PUBLISHED_BLOCK, ONETRAINER_BLOCK}))
    return result


def _published(name: str, block: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    settings = dict(block)
    try:
        enabled = flag(settings.pop("enabled", False))
    except ValueError as error:
        raise ValueError(f"{name}: {PUBLISHED_BLOCK}: enabled: {error}") from None
    if not enabled:
        return {}, [f"{name}: {PUBLISHED_BLOCK} has enabled=false: it is not used"]
    try:
        if not flag(settings.get("log_grad_norms", False)):  # such blocks list it always
            settings.pop("log_grad_norms", None)
    except ValueError as error:
        raise ValueError(f"{name}: {PUBLISHED_BLOCK}: log_grad_norms: {error}") from None
    settings[PUBLISHED_BLOCK] = True
    return settings, []
