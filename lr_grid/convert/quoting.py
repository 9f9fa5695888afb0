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
        return shlex.split(text)
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


def split_powershell(text: str) -> list[str]:
    """A line (or several, with a backtick at their ends) of PowerShell as words.

    Raises: GridError for a quotation that never ends, and for a variable, whose value nobody here knows.
    """
    words: list[str] = []
    word: list[str] | None = None
    i, quote = 0, ""
    while i < len(text):
        char = text[i]
        if quote == "'" and char in _POWERSHELL_QUOTES:
            if i + 1 < len(text) and text[i + 1] in _POWERSHELL_QUOTES:
                word = [*(word or []), char]
                i += 1
            else:
                quote = ""
        elif quote == "'":
            word = [*(word or []), char]
        elif char == "`":
            i += 1
            if i < len(text) and text[i] in "\r\n":
                i += text[i : i + 2] == "\r\n"
            elif i < len(text):
                word = [*(word or []), text[i]]
        elif char == "$":
            raise GridError([f"{text[i : i + 20]!r}: a PowerShell variable cannot be read: write its value"])
        elif quote and char == '"':
            quote = ""
        elif quote:
            word = [*(word or []), char]
        elif char == '"' or char in _POWERSHELL_QUOTES:
            quote, word = '"' if char == '"' else "'", word or []
        elif char.isspace():
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = [*(word or []), char]
        i += 1
    if quote:
        raise GridError([f"the command line cannot be read: no closing {quote}"])
    return [*words, "".join(word)] if word is not None else words
