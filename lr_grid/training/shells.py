"""Cuts a text into commands and words as bash, PowerShell or cmd would; every word keeps its line.

Only what people write around a training command is understood: quotes, escapes, continued lines, comments, variables
that the same text sets. What comes of pipes, redirections and substitutions is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from lr_grid.training.shell_arrays import Arrays
from lr_grid.training.shell_words import BASH, CMD, POWERSHELL, SHELLS, Command, Shell, Word

__all__ = ["BASH", "CMD", "POWERSHELL", "SHELLS", "Command", "Shell", "Word", "shell_of", "split"]

_PLAIN_QUOTES = str.maketrans("\u201c\u201d\u201e\u2018\u2019\u201a\u201b", "\"\"\"''''")
_DEFAULT = re.compile(r"\$\{(\w+):?-([^{}]*)\}")
"""``${NAME:-value}`` of bash."""
_PLACEHOLDER = re.compile(r"(?<!\$)\{[A-Za-z_]\w*\}|^\(?(\.\.\.|\u2026)\)?$")
"""``{lr}`` of a notebook, and the dots of a text that leaves something out."""


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
        self.text = text.removeprefix("\ufeff").replace("\r\n", "\n")
        if shell is POWERSHELL:  # it takes typographic quotes for plain ones
            self.text = self.text.translate(_PLAIN_QUOTES)
        self.shell = shell
        self.at, self.line = 0, 1
        self.commands: list[Command] = [Command()]
        self.variables: dict[str, str] = {}
        self.arrays = Arrays(shell)
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
        if self.array_step(char):
            pass
        elif char == "\n":
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

    def array_step(self, char: str) -> bool:
        """Takes up what is about an array: its beginning, its end, and what separates its items; a use of one."""
        arrays = self.arrays
        if arrays.is_open:
            if char in ")\n,"[: 3 if self.shell is POWERSHELL else 2]:
                self.end_word()
                self.line += char == "\n"
                self.at += 1
                if char == ")":
                    arrays.close(self.commands.pop().words)
                return True
            return False
        if self.parts is not None:
            return False
        words = self.commands[-1].words
        length = arrays.begin(self.text, self.at, [word.text for word in words])
        if length:
            self.at += length
            if arrays.is_open:
                self.commands.append(Command())
            return True
        used = arrays.use(self.text, self.at) if words else None
        if used is None:
            return False
        words += used[0]
        self.at += used[1]
        return True

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
        self.resolved = self.resolved and not _PLACEHOLDER.search(text)
        self.add(text if quote == "'" else self.expanded(text))

    def plain(self) -> None:
        ends = ("),"[: 2 if self.shell is POWERSHELL else 1]) if self.arrays.is_open else ""
        stop = re.compile(r"[\s;|&<>" + re.escape(self.shell.quotes + self.shell.escape + ends) + "]")
        match = stop.search(self.text, self.at + 1)
        end = match.start() if match else len(self.text)
        raw = self.text[self.at : end]
        if "$(" in raw and raw.count("(") > raw.count(")"):  # a substitution, with spaces in it
            end = _closing(self.text, self.at + raw.index("$(") + 1)
            raw = self.text[self.at : end]
            self.line += raw.count("\n")
        self.at = end
        self.resolved = self.resolved and not _PLACEHOLDER.search(raw)
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

        if self.shell is BASH:
            text = _DEFAULT.sub(lambda match: self.variables.get(match[1]) or match[2], text)
        if "$(" in text or (self.shell is BASH and "`" in text):
            self.resolved = False
        result = self.shell.variable.sub(value, text)
        if self.shell is BASH and "${" in result:
            self.resolved = False
        return result

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
            self.arrays.pass_by(words)
            assigned = _assignments(words, self.shell)
            for name, value in assigned.items():
                self.variables.pop(name, None)
                if not (self.shell.variable.search(value) or "$(" in value or "${" in value):
                    self.variables[name] = value
            if assigned:
                self.commands.pop()
            self.commands.append(Command())


def _closing(text: str, at: int) -> int:
    """Behind the parenthesis that closes the one at a place."""
    depth = 0
    for end in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0:
            return end + 1
    return len(text)


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
