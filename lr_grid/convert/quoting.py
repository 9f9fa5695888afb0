"""Words of a command line, as bash and as PowerShell write them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from lr_grid.errors import GridError

# PowerShell takes typographic quotes for the plain one.
_POWERSHELL_QUOTES = "'\u2018\u2019\u201a\u201b"
_POWERSHELL_PLAIN = re.compile(r"[A-Za-z0-9_./+][A-Za-z0-9_./+:=-]*")


def bash(words: Iterable[str]) -> str:
    """Words as one line for bash, quoted where needed."""
    return shlex.join(words)


def split_bash(text: str) -> list[str]:
    """A line (or several, with a backslash at their ends) of bash as words.

    Raises: GridError for a quotation that never ends.
    """
    try:
        return shlex.split(re.sub(r"\\\r?\n", "", text))  # shlex would take the newline for a word
    except ValueError as error:
        raise GridError([f"the command line cannot be read: {error}"]) from None


def powershell(words: Iterable[str]) -> str:
    """Words as one line for PowerShell: in single quotes, where neither ``$`` nor a comma means anything, unless they
    are plain (a comma would make a list of the word)."""
    return " ".join(_powershell_word(word) for word in words)


def _powershell_word(word: str) -> str:
    if _POWERSHELL_PLAIN.fullmatch(word) or re.fullmatch(r"--\w+", word):
        return word
    return "'" + re.sub(f"([{_POWERSHELL_QUOTES}])", r"\1\1", word) + "'"


_Q = _POWERSHELL_QUOTES
_POWERSHELL_PIECE = re.compile(
    rf"""(?P<space>(?:\s|`\r?\n)+)
    |[{_Q}](?P<single>(?:[^{_Q}]|[{_Q}]{{2}})*)[{_Q}]
    |"(?P<double>(?:[^"`$]|`.)*)"
    |(?P<plain>(?:[^\s"`${_Q}]|`.)+)""",
    re.VERBOSE | re.DOTALL,
)


def split_powershell(text: str) -> list[str]:
    """A line (or several, with a backtick at their ends) of PowerShell as words.

    Raises: GridError for a quotation that never ends, and for a variable, whose value nobody here knows.
    """
    words: list[str] = []
    inside, at = False, 0
    while at < len(text):
        piece = _POWERSHELL_PIECE.match(text, at)
        if piece is None:
            what = "a variable has no value here" if "$" in text[at:] else "a quotation never ends"
            raise GridError([f"the command line cannot be read at {text[at : at + 20]!r}: {what}"])
        at = piece.end()
        if piece["space"] is not None:
            inside = False
            continue
        if piece["single"] is not None:
            part = re.sub(f"([{_Q}])[{_Q}]", r"\1", piece["single"])
        else:
            part = re.sub(r"`(.)", r"\1", piece["double"] if piece["double"] is not None else piece["plain"])
        if inside:
            words[-1] += part
        else:
            words.append(part)
        inside = True
    return words
