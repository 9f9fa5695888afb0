"""Reads the words of a command line as the script's argparse parser would, but tells every problem, not the first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lr_grid.training.config import Given
from lr_grid.training.finding import COMMAND_LINE, Finding, Place
from lr_grid.training.shells import Word
from lr_grid.training.tables import Option

# argparse's own: what begins like a number is a value, though it begins with a dash. -1e-4 is none before Python 3.14.
_EXPONENT = re.compile(r"-\d[\d.]*[eE][+-]?\d+")
_NEGATIVE = re.compile(r"-\d+|-\d*\.\d+")


def convert(option: Option, text: str) -> Any:
    """The value of a text, as the parser's type makes it.

    Raises: ValueError, saying what is wanted.
    """
    if option.type == "int":
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a whole number") from None
    if option.type == "text":
        return text
    try:
        return float(text) if option.type == "float" else _int_or_float(text, option.type == "int_or_float")
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


def _int_or_float(text: str, strict: bool) -> float:
    """A number of steps, or a share of them (``0.05``, ``5%``). sd-scripts (strict) takes no ``100.0``."""
    if text.endswith("%"):
        return float(text[:-1]) / 100
    value = float(text)
    if value >= 1 and (strict or value.is_integer()):
        return int(text) if strict else int(value)
    return value


_DASHES, _QUOTES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "\u201c\u201d\u201e\u2018\u2019"


def _typographic(words: Sequence[Word]) -> tuple[str, str] | None:
    """(what is wrong with a dash or quote that a word processor made, its cure); None where there is none."""
    first = words[0].text
    if first[:1] and first[0] in _DASHES:
        name = first.lstrip(_DASHES + "-")
        return f"{first} begins with a typographic dash ({first[0]}), and the parser stops at it", f"Write --{name}"
    found = next((char for word in words for char in word.text if char in _QUOTES), "")
    if found:
        message = f"{' '.join(word.text for word in words)}: {found} is a typographic quote, which quotes nothing"
        return message, "Write \" or '"
    return None


class _Reader:
    def __init__(self, words: Sequence[Word], table: Mapping[str, Option], source: str) -> None:
        self.words, self.source = words, source
        self.flags = {flag: option for option in table.values() for flag in option.flags}
        self.given: list[Given] = []
        self.findings: list[Finding] = []

    def place(self, word: Word, flag: str = "") -> Place:
        return Place(self.source, word.line, flag or word.text)

    def tell(self, severity: str, place: Place, message: str, cure: str = "") -> None:
        self.findings.append(Finding(severity, place, message, cure))

    def matching(self, flag: str) -> list[str]:
        """The parser's flags that a word means: itself, or all that it begins."""
        if flag in self.flags:
            return [flag]
        return sorted(known for known in self.flags if known.startswith(flag)) if flag.startswith("--") else []

    def is_flag(self, word: Word) -> bool:
        text = word.text
        if not text.startswith("-") or text == "-" or _NEGATIVE.fullmatch(text):
            return False
        return bool(self.matching(text.partition("=")[0])) or " " not in text

    def run(self) -> None:
        at = 0
        while at < len(self.words):
            word = self.words[at]
            end = at + 1
            while end < len(self.words) and not self.is_flag(self.words[end]):
                end += 1
            if self.is_flag(word) and _EXPONENT.fullmatch(word.text) and at:
                self.dashed(self.words[at - 1], word)
            elif self.is_flag(word) and not (end < len(self.words) and self.takes_dashed(word, self.words[end])):
                self.option(word, list(self.words[at + 1 : end]))
            elif not self.is_flag(word):
                self.stray(self.words[at:end], "")
            at = end

    def takes_dashed(self, flag: Word, value: Word) -> bool:
        """Whether a number in a form that the parser takes for an option stands right behind an option for one."""
        known = self.flags.get(flag.text)
        return known is not None and not known.is_flag and _EXPONENT.fullmatch(value.text) is not None

    def dashed(self, before: Word, word: Word) -> None:
        self.tell(
            "error",
            self.place(word, before.text),
            f"{before.text} {word.text}: the parser takes {word.text} for an option and stops",
            f"Write {before.text}={word.text}",
        )

    def stray(self, words: Sequence[Word], after: str, takes: str = "") -> None:
        """Words that belong to no option; ``takes`` is what the option before them takes."""
        if words and not all(word.resolved for word in words):
            self.tell("note", self.place(words[0], after), f"{words[0].text} is not set here: it is not checked")
        elif words:
            shown = " ".join(word.text for word in words)
            behind = f" after {after}" if after else ""
            odd = _typographic(words)
            if odd:
                self.tell("error", self.place(words[0], words[0].text), *odd)
                return
            if takes:
                cure = f"{after} takes {takes}: quote it if it holds spaces"
            else:
                cure = f"{after} takes no value" if after else "Write --name value"
            self.tell(
                "error",
                self.place(words[0], after or words[0].text),
                f"{shown}: stands alone{behind}, and the parser stops at it (unrecognized arguments)",
                cure,
            )

    def option(self, word: Word, values: list[Word]) -> None:
        flag, equals, explicit = word.text.partition("=")
        place = self.place(word, flag)
        names = self.matching(flag)
        if len(names) != 1:
            if names:
                self.tell("error", place, f"{flag} is short for several options ({', '.join(names)}): the parser stops")
                return
            if f"-{flag}" in self.flags:
                self.tell("error", place, f"{flag}: the parser has no such option and stops", f"Two dashes: -{flag}")
            else:
                self.given.append(Given(flag.lstrip("-"), None, place, known=False))
            return
        option = self.flags[names[0]]
        if names[0] != flag:
            self.tell("warning", place, f"{flag} is short for {names[0]}", "Write it in full: prefixes break silently")
        if equals:
            self.stray(values, "" if option.is_flag else flag, "" if option.is_flag else "one value")
            values = [Word(explicit, word.line, word.resolved)]
        if option.is_flag:
            if equals:
                self.tell("error", place, f"{flag} takes no value, and the parser stops at ={explicit}")
            elif values:
                self.stray(values, flag)
            self.give(option, option.const, place)
        else:
            self.take(option, flag, place, values, bool(equals))

    def take(self, option: Option, flag: str, place: Place, values: list[Word], equals: bool) -> None:
        if not option.is_list and not equals:
            self.stray(values[1:], "" if not values else flag, "one value")
            values = values[:1]
        if not values and option.nargs != "*":
            self.tell("error", place, f"{flag} has no value")
            return
        converted = []
        for value in values:
            if not value.resolved:
                converted.append(value.text)
                continue
            try:
                converted.append(convert(option, value.text))
            except ValueError as error:
                self.tell("error", self.place(value, flag), f"{flag}: {error}")
        if len(converted) < len(values):
            return
        for result in converted:
            self.choice(option, result, place)
        resolved = all(value.resolved for value in values)
        if not resolved:
            unknown = next(value.text for value in values if not value.resolved)
            self.tell("note", place, f"{flag}: {unknown} holds what is not set here: it is not checked")
        items = tuple(self.place(value, flag) for value in values)
        self.give(option, converted if option.is_list else converted[0], place, items, resolved)

    def choice(self, option: Option, value: Any, place: Place) -> None:
        message = wrong_choice(option, value)
        if message:
            self.tell("error", place, f"{place.flag}: {message}")

    def give(
        self, option: Option, value: Any, place: Place, items: tuple[Place, ...] = (), resolved: bool = True
    ) -> None:
        self.given.append(Given(option.dest, value, place, items, resolved=resolved))


def wrong_choice(option: Option, value: Any) -> str:
    """What is wrong with a value that is none of an option's choices; empty where it is one."""
    from lr_grid.errors import did_you_mean, listed

    if option.choices is None or value in option.choices:
        return ""
    names = [str(choice) for choice in option.choices]
    return f"{value!r} is none of {listed(names, 40)}.{did_you_mean(str(value), names)}".rstrip(".")


def parse_options(
    words: Sequence[Word], table: Mapping[str, Option], source: str = COMMAND_LINE
) -> tuple[list[Given], list[Finding]]:
    """(the arguments in order, unknown ones as known=False; what is wrong with the way they are written)."""
    reader = _Reader(words, table, source)
    reader.run()
    return reader.given, reader.findings
