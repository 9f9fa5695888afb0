"""A whole command line, taken apart: the grid, the run's LR and rank, and the words that stay as they are."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lr_grid.convert.texts import NETWORK_ARGS
from lr_grid.errors import GridError, Problems
from lr_grid.training.command import TrainingCommand, find_command
from lr_grid.training.config import TrainingConfig
from lr_grid.training.parse_options import parse_options
from lr_grid.training.run import model_of
from lr_grid.training.tables import options, trainer_of
from lr_grid.ui.raw_words import RawWord, raw_words, requoted

_ONE_VALUE = ("--network_module", "--unet_lr", "--learning_rate", "--network_dim", "--network_alpha")


@dataclass
class PastedCommand:
    """What of a command line is the page's own, and the rest."""

    arguments: dict[str, str] = field(default_factory=dict)
    """--network_args"""
    values: dict[str, str] = field(default_factory=dict)
    """Option of ``_ONE_VALUE`` -> its text, of those that the page writes itself."""
    words: list[str] = field(default_factory=list)
    """All other words, raw."""
    model: str | None = None
    """The catalogue's name of the model, where the command tells it."""
    script: str = ""
    notes: list[str] = field(default_factory=list)


def is_command(text: str) -> bool:
    """Whether a text is a command line, with or without its script, and not --network_args alone."""
    flags = set(re.findall(r"(?:^|\s)['\"]?(--[A-Za-z]\w*)", text))
    has_script = re.search(r"(?:^|\s)\S*\.py\b|\b(?:accelerate|torchrun)\s", text) is not None
    return bool(flags) and (has_script or bool(flags - {NETWORK_ARGS}))


def read_command(text: str) -> PastedCommand:
    """Takes a command apart.

    Raises: GridError where it cannot be read, or names --network_args twice.
    """
    words = raw_words(text)
    result = PastedCommand()
    if words is None:
        words = requoted(text)
        result.notes.append(
            "this is more than one plain command for bash: the training command's words are taken, quoted for bash"
        )
    _tell_model(text, result)
    problems = Problems()
    own = set(_ONE_VALUE)
    if any(word.text.partition("=")[0] == "--unet_lr" for word in words):
        own.remove("--learning_rate")  # it is the text encoders' then, and none of the page's
    at, seen = 0, 0
    while at < len(words):
        word = words[at]
        flag, equals, value = word.text.partition("=")
        if word.text == NETWORK_ARGS:
            seen += 1
            end = _end_of_values(words, at + 1)
            _take_pairs(words[at + 1 : end], result, problems)
            at = end
        elif flag in own and (equals or at + 1 < len(words)):
            if flag in result.values:
                problems.add(f"{flag} stands there twice: the trainer keeps the last")
            result.values[flag] = value if equals else words[at + 1].text
            at += 1 if equals else 2
        else:
            result.words.append(word.raw)
            at += 1
    if seen > 1:
        problems.add(f"{NETWORK_ARGS} stands there {seen} times: the trainer keeps the last alone; put all behind one")
    if any(re.match(r"['\"]?--config_file\b", word) for word in result.words):
        result.notes.append("--config_file: the page reads no file by its name; what it sets is not known here")
    problems.raise_if_any()
    return result


def _end_of_values(words: list[RawWord], at: int) -> int:
    while at < len(words) and not re.match(r"--?[A-Za-z]", words[at].text):
        at += 1
    return at


def _take_pairs(words: list[RawWord], result: PastedCommand, problems: Problems) -> None:
    for word in words:
        key, equals, value = word.text.partition("=")
        if not equals or not re.fullmatch(r"\w+", key):
            problems.add(f"{word.text!r} is not key=value")
        elif key in result.arguments:
            problems.add(f"{key} is given twice")
        else:
            result.arguments[key] = value


def _tell_model(text: str, result: PastedCommand) -> None:
    config = training_of(text)
    if config is not None:
        result.script = config.script or config.foreign
        result.model = model_of(config) if config.script else None


def training_of(text: str) -> TrainingConfig | None:
    """The run of a command line; None where there is no command in it. No file that it names is read."""
    try:
        command: TrainingCommand = find_command(text)
    except GridError:
        return None
    trainer = trainer_of(command.script) if command.script else None
    config = TrainingConfig("", trainer, command.script, foreign=command.foreign)
    if command.script:
        given, _ = parse_options(command.words, options(trainer, command.script))
        config.values = {one.dest: one.value for one in given if one.known}
    return config
