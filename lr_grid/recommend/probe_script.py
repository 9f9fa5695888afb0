"""A probe command as the user's shell reads it: bash, PowerShell or cmd, with remarks as that shell's comments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from lr_grid.convert.quoting import powershell
from lr_grid.training.shells import BASH, CMD, POWERSHELL, Shell

_MARK = {BASH: "#", POWERSHELL: "#", CMD: "rem"}


def script(shell: Shell, argv: Sequence[str], before: Sequence[str], after: Sequence[str]) -> str:
    """The command between remarks, each on a line of its own (a value that holds a line's end must not leave it)."""

    def remarks(texts: Sequence[str]) -> list[str]:
        return [f"{_MARK[shell]} {' '.join(text.splitlines())}" for text in texts]

    return "\n".join([*remarks(before), command(shell, argv), *remarks(after)])


def command(shell: Shell, argv: Sequence[str]) -> str:
    """One flag a line; for cmd one line. A variable of the user's command stays one."""
    lines: list[list[str]] = [[]]
    for text in argv:
        if text.startswith("--") and lines[-1]:
            lines.append([])
        lines[-1].append(word(shell, text))
    joint = " " if shell is CMD else f" {shell.escape}\n  "
    call = "& " if shell is POWERSHELL and lines[0][0][:1] in "'\"" else ""  # a quoted name alone is a text
    return call + joint.join(" ".join(line) for line in lines)


def word(shell: Shell, text: str) -> str:
    """One word, quoted as the shell needs it."""
    if shell is POWERSHELL:
        if "$" not in text:
            return powershell([text])
        escaped = re.sub(r'([`"])', r"`\1", text)
        return f'"{escaped}"'
    if shell is CMD:
        plain = re.fullmatch(r"[^\s\"&|<>^(),;=!]+", text)
        if plain:
            return text
        # As Windows programs read their command line: backslashes count twice before a quote.
        escaped = re.sub(r'(\\*)"', r'\1\1\\"', text)
        doubled = re.sub(r"(\\+)$", r"\1\1", escaped)
        return f'"{doubled}"'
    if "$" not in text:
        return shlex.quote(text)
    escaped = text if "$(" in text else re.sub(r'(["`\\])', r"\\\1", text)
    return f'"{escaped}"'
