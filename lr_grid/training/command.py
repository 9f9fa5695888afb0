"""Finds the training command in a text: its script, what stands before it, and the words after it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lr_grid.errors import GridError, did_you_mean
from lr_grid.training.finding import COMMAND_LINE, Finding, Place
from lr_grid.training.shells import Command, Shell, Word, shell_of, split
from lr_grid.training.tables import TRAINERS, scripts, trainer_of


@dataclass
class TrainingCommand:
    """One training command."""

    script: str | None
    words: list[Word]
    launch: list[str] = field(default_factory=list)
    foreign: str = ""
    """The script's name where it is neither trainer's."""
    findings: list[Finding] = field(default_factory=list)
    path: str = ""
    """The script as it was written: a file, or a module's dotted name behind -m."""


def find_command(text: str, source: str = COMMAND_LINE, suffix: str = "") -> TrainingCommand:
    """The first training command of a text.

    Args:
        text: a command line, or a script that holds one.
        source: what the text is called in places.
        suffix: of the file it comes from (``.ps1``).

    Raises: GridError where there is none.
    """
    shell = shell_of(text, suffix)
    findings: list[Finding] = []
    commands = _joined(split(text, shell), shell, source, findings)
    found = [(command, index) for command in commands for index in [_script_at(command)] if index is not None]
    known = [pair for pair in found if trainer_of(_name(pair[0].words[pair[1]].text))]
    if not (known or found):
        bare = next((command for command in commands if command.words[0].text.startswith("--")), None)
        if bare is None:
            raise GridError(
                [f"{source}: no training command in it: write `accelerate launch flux_train_network.py --...`"]
            )
        return TrainingCommand(None, bare.words, findings=findings)
    command, index = (known or found)[0]
    word = command.words[index]
    name = _name(word.text)
    if not known:
        every = [script for trainer in TRAINERS for script in scripts(trainer)]
        findings.append(
            Finding(
                "warning",
                Place(source, word.line),
                f"{name} is no training script of {' or '.join(TRAINERS)}{did_you_mean(name, every)}",
            )
        )
    for other, at in known[1:]:
        message = f"a second training command ({_name(other.words[at].text)}) is not looked at"
        findings.append(Finding("note", Place(source, other.words[at].line), message, "Check it by itself"))
    launch = [w.text for w in command.words[:index]]
    words = command.words[index + 1 :]
    path = command.words[index].text
    return TrainingCommand(name if known else None, words, launch, "" if known else name, findings, path)


def _name(word: str) -> str:
    """``src/musubi_tuner/wan_train_network.py`` or ``musubi_tuner.wan_train_network`` -> the file's name."""
    name = re.split(r"[/\\]", word)[-1]
    return name if name.endswith(".py") else f"{name.rpartition('.')[2]}.py"


def _script_at(command: Command) -> int | None:
    """Where the script stands among the words of a command."""
    for index, word in enumerate(command.words):
        is_module = index > 0 and command.words[index - 1].text == "-m" and trainer_of(_name(word.text)) is not None
        if word.text.endswith(".py") or is_module:
            return index
        if word.text.startswith("--") and index == 0:
            return None
    return None


def _joined(commands: list[Command], shell: Shell, source: str, findings: list[Finding]) -> list[Command]:
    """Takes up what a missing or broken continuation mark cut off a command, and tells it."""
    result: list[Command] = []
    told: Command | None = None
    for command in commands:
        first = command.words[0]
        if not result or not first.text.startswith("--") or _script_at(result[-1]) is None:
            result.append(command)
            continue
        broken = result[-1].broken
        reason = (
            f"the {shell.escape} of line {broken} is followed by a space"
            if broken
            else f"no {shell.escape} at the end of the line before, or a comment between"
        )
        message = f"{shell.name} ends the command before this line ({reason}): {first.text} and what follows are lost"
        cure = f"Continue each line with {shell.escape} as its very last character"
        if told is not result[-1]:  # one is enough for all lines of a command
            findings.append(Finding("error", Place(source, first.line, first.text), message, cure))
        told = result[-1]
        result[-1].words += command.words
        result[-1].broken = command.broken
    return result
