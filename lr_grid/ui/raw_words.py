"""The words of a command as they were typed, quotes and variables and all, so that they can be written back."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from lr_grid.training.shell_words import BASH, Word
from lr_grid.training.shells import shell_of, split

_WORD = re.compile(
    r"""(?:\\\r?\n|\\.          # a line that goes on, an escaped character
    |'[^']*'                    # as it stands
    |"(?:\\.|[^"\\])*"          # with escapes
    |\$\((?:[^()]|\([^()]*\))*\)  # a substitution
    |[^\s'"\\])+""",
    re.VERBOSE | re.DOTALL,
)
_OPERATOR = re.compile(r"#|[;&|<>]|.*[;&|]$")
_SPACE = re.compile(r"(?:\s|\\\r?\n)+")


@dataclass(frozen=True)
class RawWord:
    """``raw`` as it was typed, ``text`` without its quotes."""

    raw: str
    text: str


def raw_words(text: str) -> list[RawWord] | None:
    """The words of a text for bash that is one command; None where it is more than words, or no bash."""
    if shell_of(text) is not BASH:
        return None
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        space = _SPACE.match(text, at)
        if space:
            at = space.end()
            if "\n" in re.sub(r"\\\r?\n", "", space[0]) and not text.startswith("--", at):
                return None  # a second command
            continue
        word = _WORD.match(text, at)
        if word is None or _OPERATOR.match(word[0]):
            return None
        raw = re.sub(r"\\\r?\n", "", word[0])
        at = word.end()
        if raw:
            found.append(RawWord(raw, plain(raw)))
    return found


def plain(raw: str) -> str:
    """A word without its quotes; one that no shell would read so is taken as it stands."""
    try:
        words = shlex.split(raw)
    except ValueError:
        return raw
    return words[0] if len(words) == 1 else raw


def requoted(text: str) -> list[RawWord]:
    """The words of the training command in a text for any shell, quoted for bash."""
    commands = split(text, shell_of(text))
    words = max((command.words for command in commands), key=_likely, default=[])
    return [RawWord(shlex.quote(word.text), word.text) for word in words]


def _likely(words: list[Word]) -> tuple[bool, int]:
    return any(word.text.endswith(".py") for word in words), len(words)
