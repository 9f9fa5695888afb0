"""The shells that commands are written for, and the words that commands are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Shell:
    """How one shell writes things."""

    name: str
    escape: str
    """Escapes the next character; before the end of a line it continues the line."""
    quotes: str
    comment: str
    variable: re.Pattern[str]


_BASH = re.compile(r"\$(?:\{(\w+)(?:\[[@*]\])?\}|(\w+)|[@*])")
_POWERSHELL = re.compile(r"\$(?:\{([\w:]+)\}|((?:env:)?\w+))", re.IGNORECASE)
_CMD = re.compile(r"%(?:(\w+)%|[*\d]|~[A-Za-z]*\d)")
BASH = Shell("bash", "\\", "'\"", "#", _BASH)
POWERSHELL = Shell("PowerShell", "`", "'\"", "#", _POWERSHELL)
CMD = Shell("cmd", "^", '"', "", _CMD)
SHELLS = {".sh": BASH, ".bash": BASH, ".ps1": POWERSHELL, ".bat": CMD, ".cmd": CMD}


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a command, quotes taken off."""

    text: str
    line: int
    resolved: bool = True
    """False: it holds a variable or a substitution whose value nobody here knows."""


@dataclass
class Command:
    """One command of a text."""

    words: list[Word] = field(default_factory=list)
    broken: int = 0
    """The line whose continuation mark is followed by blanks, so that the command ends there; 0 for none."""
