"""The standard library's reader of TOML (tomli on Python 3.10), loaded when it is first asked for: a trainer's start
waits for every import, and most runs have no grid file. (The trainers' own package toml reads a broken file, an array
that never ends, say, without a word.)"""

from __future__ import annotations

import sys
from typing import Any


def load_toml(text: str) -> dict[str, Any]:
    """A TOML document.

    Raises: ValueError, with line and column of the mistake; RecursionError for one nested too deeply.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    return tomllib.loads(text)
