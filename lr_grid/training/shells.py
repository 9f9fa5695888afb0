"""Cuts a text into commands and words as bash, PowerShell or cmd would; every word keeps its line.

Only what people write around a training command is understood: quotes, escapes, continued lines, comments, variables
that the same text sets. What comes of pipes, redirections and substitutions is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
_CMD = re.compile(r"%(\w+)%")
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


def shell_of(text: str, suffix: str = "") -> Shell:
    """The shell a text is written for: by the file's suffix, else by how its lines go on, else by its backslashes."""
    if suffix.lower() in SHELLS:
        return SHELLS[suffix.lower()]
    for shell in (BASH, POWERSHELL, CMD):
        if re.search(re.escape(shell.escape) + r"[ \t]*\r?\n", text):
            return shell
    windows = re.search(r"(?:^|[\s\"'=])(?:[A-Za-z]:|\.{1,2})\\\w", text)
    return CMD if windows and "'" not in text else POWERSHELL if windows else BASH


class _Splitter:
    def __init__(self, text: str, shell: Shell) -> None:
        self.text = text.replace("\r\n", "\n")
        self.shell = shell
        self.at, self.line = 0, 1
        self.commands: list[Command] = [Command()]
        self.variables: dict[str, str] = {}
        self.begin()

    def begin(self) -> None:
        self.parts: list[str] | None = None
        self.started, self.resolved, self.idle = self.line, True, False

    def run(self) -> list[Command]:
        while self.at < len(self.text):
            self.step()
        self.end_command()
        return [command for command in self.commands if command.words]

    def step(self) -> None:
        char, shell = self.text[self.at], self.shell
        if char == "\n":
            self.end_command()
            self.line += 1
            self.at += 1
        elif char == shell.escape:
            self.escaped()
        elif char in " \t":
            self.end_word()
            self.at += 1
        elif char in shell.quotes:
            self.quoted(char)
        elif self.parts is None and self.is_comment():
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end
        elif char in ";|&<>" and not (char == ";" and shell is CMD):
            self.operator(char)
        else:
            self.plain()

    def is_comment(self) -> bool:
        rest = self.text[self.at :]
        if self.shell is CMD:
            return not self.commands[-1].words and re.match(r"@?rem\b|::", rest, re.IGNORECASE) is not None
        return rest.startswith(self.shell.comment)

    def escaped(self) -> None:
        blanks = re.match(r"[ \t]*(?:\n|$)", self.text[self.at + 1 :])
        if blanks and blanks[0] not in ("", "\n") and blanks[0].strip(" \t") == "\n":
            self.commands[-1].broken = self.line
            self.at += len(blanks[0])  # the newline then ends the command
        elif blanks:
            self.line += blanks[0].count("\n")
            self.at += 1 + len(blanks[0])
        else:
            self.add(self.text[self.at + 1 : self.at + 2])
            self.at += 2

    def quoted(self, quote: str) -> None:
        self.add("")
        self.at += 1
        inside: list[str] = []
        while self.at < len(self.text) and self.text[self.at] != quote:
            char, following = self.text[self.at], self.text[self.at + 1 : self.at + 2]
            if quote == '"' and self.shell is not POWERSHELL and char == "\\" and following in _escapable(self.shell):
                self.take("".join(inside), quote)
                inside = []
                self.add("" if following == "\n" else following)
                self.line += following == "\n"
                self.at += 2
                continue
            if quote == '"' and self.shell is POWERSHELL and char == "`":
                inside.append(following)
                self.at += 2
                continue
            self.line += char == "\n"
            inside.append(char)
            self.at += 1
        self.take("".join(inside), quote)
        self.at += 1

    def take(self, text: str, quote: str) -> None:
        """Text between quotes: variables count between double ones."""
        self.add(text if quote == "'" else self.expanded(text))

    def plain(self) -> None:
        stop = re.compile(r"[\s;|&<>" + re.escape(self.shell.quotes + self.shell.escape) + "]")
        match = stop.search(self.text, self.at + 1)
        end = match.start() if match else len(self.text)
        raw = self.text[self.at : end]
        self.at = end
        value = self.expanded(raw)
        if value == raw or self.shell is POWERSHELL:
            self.add(value)
            return
        pieces = re.split(r"\s+", value)  # outside quotes, the words of a variable are words of the command
        for piece in pieces[:-1]:
            self.add(piece)
            self.end_word()
        self.add(pieces[-1])

    def expanded(self, text: str) -> str:
        def value(match: re.Match[str]) -> str:
            name = next((group for group in match.groups() if group), "")
            if name in self.variables:
                return self.variables[name]
            self.resolved = False
            return match[0]

        if self.shell is BASH and ("$(" in text or "`" in text or "${" in text):
            self.resolved = self.resolved and bool(re.fullmatch(r"[^`]*", text)) and "$(" not in text
        return self.shell.variable.sub(value, text)

    def operator(self, char: str) -> None:
        calls = self.shell is POWERSHELL and char == "&" and not self.commands[-1].words and self.parts is None
        if char in "<>" and self.parts is not None and "".join(self.parts).isdigit():
            self.parts = None  # the 2 of 2>
        self.end_word()
        self.at += 1
        if self.text[self.at : self.at + 1] == char:
            self.at += 1
            if char not in "<>":
                self.end_command()
        elif char in "|<>":
            self.idle = True  # what follows is another program, or a file
            if self.text[self.at : self.at + 1] == "&":
                self.at += 1
        elif not calls:
            self.end_command()

    def add(self, text: str) -> None:
        if self.parts is None:
            self.parts, self.started = [], self.line
        self.parts.append(text)

    def end_word(self) -> None:
        if self.parts is not None and not self.idle:
            self.commands[-1].words.append(Word("".join(self.parts), self.started, self.resolved))
        self.parts, self.resolved = None, True

    def end_command(self) -> None:
        self.end_word()
        self.idle = False
        words = [word.text for word in self.commands[-1].words]
        if words:
            assigned = _assignments(words, self.shell)
            self.variables.update(assigned)
            if assigned:
                self.commands.pop()
            self.commands.append(Command())


def _escapable(shell: Shell) -> tuple[str, ...]:
    return ('"', "\\", "$", "`", "\n") if shell is BASH else ('"',)


def _assignments(words: list[str], shell: Shell) -> Mapping[str, str]:
    """The variables that a command sets, where it does nothing else."""
    if shell is CMD:
        match = re.fullmatch(r"set (\w+)=(.*)", " ".join(words), re.IGNORECASE)
        return {match[1]: match[2]} if match else {}
    if shell is POWERSHELL:
        match = re.fullmatch(r"\$((?:env:)?\w+) *= *(.*)", " ".join(words), re.DOTALL | re.IGNORECASE)
        return {match[1]: match[2]} if match else {}
    words = words[1:] if words[0] == "export" else words
    pairs = [re.fullmatch(r"(\w+)=(.*)", word, re.DOTALL) for word in words]
    return {pair[1]: pair[2] for pair in pairs if pair} if all(pairs) else {}


def split(text: str, shell: Shell) -> list[Command]:
    """The commands of a text."""
    return _Splitter(text, shell).run()
