"""What the trainer's command line lost before anybody looked: list options given twice, lists of a --config_file.

argparse keeps the last of several ``--network_args`` without a word, and the command line's list replaces the config
file's as a whole. lr_grid.training reads the same for ``lr-grid check``.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lr_grid.errors import GridError

if TYPE_CHECKING:
    from lr_grid.training.config import Given
    from lr_grid.training.tables import Option


def check_repeats(args: argparse.Namespace) -> None:
    """Raises GridError for list options that this process was given more than once, where ``args`` come from there.

    Args:
        args: the trainer's arguments.
    """
    if not _worth_reading():
        return
    from lr_grid.training.finding import Finding  # here, and below: most runs need none of it
    from lr_grid.training.repeats import tell_repeats

    given, table = _own(args)
    findings: list[Finding] = []
    tell_repeats([one for one in given if table[one.dest].is_list], findings, table)
    problems = [finding.text for finding in findings if finding.severity == "error"]
    if problems:
        raise GridError(problems)


def overruled(args: argparse.Namespace) -> list[str]:
    """Lines about lists of the --config_file that the command line replaced.

    Args: as of ``check_repeats``.
    """
    if not _worth_reading():
        return []
    from lr_grid.training.config_file import parse_config_file, read_text
    from lr_grid.training.finding import Finding
    from lr_grid.training.repeats import tell_overruled

    given, table = _own(args)
    file = next((str(one.value) for one in reversed(given) if one.dest == "config_file"), "")
    if not file:
        return []
    name = f"{file.removesuffix('.toml')}.toml"
    findings: list[Finding] = []
    try:
        below, _ = parse_config_file(read_text(Path(name)), name, table)
    except GridError:
        return []  # the trainer has read it: whatever this is, it is not its file
    tell_overruled(below, given, findings)
    return [finding.text for finding in findings]


def _worth_reading() -> bool:
    """Whether an option on this process' command line may be there twice, or names a config file. argparse takes the
    beginning of an option's name for the whole."""
    given = sorted(word.partition("=")[0] for word in sys.argv[1:] if word.startswith("--"))
    twice = any(after.startswith(before) for before, after in itertools.pairwise(given))
    return twice or any("--config_file".startswith(option) for option in given)


def _own(args: argparse.Namespace) -> tuple[list[Given], dict[str, Option]]:
    """The arguments on the command line of this process, in order, and the script's options: only those whose last
    value is the trainer's, so that a program that makes its own ``args`` is left alone."""
    from lr_grid.training.parse_options import parse_options
    from lr_grid.training.shell_words import Word
    from lr_grid.training.tables import options, trainer_of

    script = Path(sys.argv[0] if sys.argv else "").name
    trainer = trainer_of(script)
    if trainer is None:
        return [], {}
    table = options(trainer, script)
    given, _ = parse_options([Word(text, 0) for text in sys.argv[1:]], table)
    last = {one.dest: one.value for one in given if one.known}
    # The trainers take the suffix off.
    own = {
        dest
        for dest, value in last.items()
        if dest == "config_file" or (hasattr(args, dest) and getattr(args, dest) == value)
    }
    return [one for one in given if one.dest in own], table
