"""What the guards say of each measured cell, from the arguments that a user would give."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from inventories.optimizer_cases import OPTIMIZERS, SCHEDULERS, lr_of

from lr_grid.errors import GridError
from lr_grid.guards import bending, check_optimizer
from lr_grid.training.parse_options import parse_options
from lr_grid.training.shell_words import Word
from lr_grid.training.tables import options

SCRIPTS = {"sd-scripts": "train_network.py", "musubi-tuner": "wan_train_network.py"}


@dataclass(frozen=True)
class Verdict:
    """Of one cell: why it is refused, or what is told with the grid."""

    refused: tuple[str, ...]
    notices: tuple[str, ...]


def arguments_of(trainer: str, optimizer: str, scheduler: str) -> list[str]:
    """The command line of a cell."""
    every = {name: given for cases, _ in OPTIMIZERS[trainer].values() for name, given in cases.items()}
    return [*every[optimizer], *SCHEDULERS[scheduler], f"--learning_rate={lr_of(optimizer)}"]


def namespace(trainer: str, words: list[str]) -> argparse.Namespace:
    """The arguments as the trainer's parser would make them."""
    table = options(trainer, SCRIPTS[trainer])
    given, findings = parse_options([Word(word, 0) for word in words], table)
    assert not findings, findings
    values = {dest: option.default for dest, option in table.items()}
    return argparse.Namespace(**(values | {one.dest: one.value for one in given}))


def verdict(trainer: str, optimizer: str, scheduler: str) -> Verdict:
    """What the guards say of a grid with two LRs, the trainer's and half of it."""
    args = namespace(trainer, arguments_of(trainer, optimizer, scheduler))
    lrs = [lr_of(optimizer), lr_of(optimizer) / 2]
    try:
        check_optimizer(args, lrs)
    except GridError as error:
        return Verdict(tuple(error.problems), ())
    return Verdict((), tuple(bending(args, lrs)))
