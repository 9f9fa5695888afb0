"""Finding a name whatever its case and punctuation: ``adamw8bit`` is ``AdamW (8-Bit)``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

NO_ALIASES: Mapping[str, str] = {}


def squash(name: str) -> str:
    """Lower case, letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def find(word: str, allowed: Iterable[str], aliases: Mapping[str, str] = NO_ALIASES) -> str | None:
    """The allowed name that a word means, or None. Aliases (word -> allowed name) are looked at after the names."""
    by_key = {squash(alias): name for alias, name in aliases.items()} | {squash(name): name for name in allowed}
    return by_key.get(squash(word))


def nearest(word: str, allowed: Iterable[str], aliases: Mapping[str, str] = NO_ALIASES) -> str:
    """`` Did you mean x?`` with a leading space, x as it is written in the list, or an empty string."""
    by_key = {squash(name): name for name in (*aliases, *allowed)}
    near = difflib.get_close_matches(squash(word), list(by_key), n=1, cutoff=0.75)
    return f" Did you mean {by_key[near[0]]}?" if near else ""
