"""How the commands write: tables for people (rich), one JSON document for machines."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH = 160
"""Characters a line where nobody's terminal tells: a table in a log or a pipe is not folded to 80."""


def console(stderr: bool = False) -> Console:
    """A rich console on stdout (or stderr): colours in a terminal, plain text in a pipe. Words in [brackets] stay."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def print_json(data: Any) -> None:
    """One JSON document on stdout. Raises: ValueError for NaN and infinity, which JSON does not have."""
    print(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False))
