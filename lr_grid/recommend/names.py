"""Finding a name whatever its case and punctuation: ``adamw8bit`` is ``AdamW (8-Bit)``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from lr_grid.errors import did_you_mean
from lr_grid.models.catalogue import plain

NO_ALIASES: Mapping[str, str] = {}


def find(word: str, allowed: Iterable[str], aliases: Mapping[str, str] = NO_ALIASES) -> str | None:
    """The allowed name that a word means, or None. Aliases (word -> allowed name) are looked at after the names."""
    by_key = {plain(alias): name for alias, name in aliases.items()} | {plain(name): name for name in allowed}
    return by_key.get(plain(word))


def nearest(word: str, allowed: Iterable[str], aliases: Mapping[str, str] = NO_ALIASES) -> str:
    """`` Did you mean x?`` with a leading space, x as it is written in the list, or an empty string."""
    written = {plain(name): name for name in (*aliases, *allowed)}
    return re.sub(r"(?<=mean ).+(?=\?)", lambda near: written[near[0]], did_you_mean(plain(word), written))
