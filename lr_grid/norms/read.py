"""Reads a norms file: its runs, and the numbers of each. Needs no torch."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lr_grid.errors import GridError
from lr_grid.norms.cells import QUANTITIES, NormCell, cell_of
from lr_grid.norms.fileformat import HEAD, STEPS, SUFFIX, VERSION, chunks, record_size, unpack, whole_bytes


@dataclass
class NormsRun:
    """One run's norms."""

    facts: dict[str, Any]
    """Of its head: ``model``, ``started``, ``base_lr``, ``arguments``, ..."""
    cells: tuple[NormCell, ...]
    steps: list[int] = field(default_factory=list)
    """Numbers of the recorded steps, from 1; where the trainer has a log, as they stand there."""
    numbers: array[float] = field(default_factory=lambda: array("f"))
    """For each step, for each quantity, one of every cell."""

    def column(self, quantity: str, cell: int) -> array[float]:
        """A quantity of a cell, step by step; ABSENT where it was not measured."""
        start = QUANTITIES.index(quantity) * len(self.cells) + cell
        return self.numbers[start :: len(QUANTITIES) * len(self.cells)]

    def cut(self, first: int | None, last: int | None) -> NormsRun:
        """The same run with steps ``first`` to ``last`` only."""
        width = len(QUANTITIES) * len(self.cells)
        kept = [
            index
            for index, step in enumerate(self.steps)
            if (first is None or step >= first) and (last is None or step <= last)
        ]
        numbers = array("f")
        for index in kept:
            numbers += self.numbers[index * width : (index + 1) * width]
        return NormsRun(self.facts, self.cells, [self.steps[index] for index in kept], numbers)


@dataclass
class NormsFile:
    """All runs of a file, in the order they began."""

    path: Path
    runs: list[NormsRun]
    damaged: int
    """Bytes that belong to no whole record: a run was killed in the middle of a write, or the disk was full."""


def read_norms(name: str) -> NormsFile:
    """Reads a norms file; of one that was cut off, all that is whole.

    Raises: GridError where there is no such file, or it holds no norms that can be read.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        found = sorted(file.name for file in path.glob(f"*{SUFFIX}"))
        hint = f"; in it: {', '.join(found)}" if found else ""
        raise GridError([f"{name}: is a folder: name a file that ends in {SUFFIX}{hint}"])
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise GridError(
            [f"{name}: no such file. A run with log_grad_norms=true writes <output_name>{SUFFIX} beside the LoRA"]
        ) from None
    except OSError as error:
        raise GridError([f"{name}: cannot be read: {error.strerror or error}"]) from None
    return norms_of(name, data)


def norms_of(name: str, data: bytes) -> NormsFile:
    """The runs in the bytes of a norms file called ``name``.

    Raises: GridError where they are none.
    """
    if not data:
        raise GridError([f"{name}: is empty"])
    runs = _runs(name, data)
    if not runs:
        raise GridError([f"{name}: is no norms file (log_grad_norms=true writes <output_name>{SUFFIX})"])
    return NormsFile(Path(name).expanduser(), runs, len(data) - whole_bytes(data))


def _runs(name: str, data: bytes) -> list[NormsRun]:
    """Raises: GridError for a run of another version of the format."""
    runs: dict[int, NormsRun] = {}
    sizes: dict[int, int] = {}
    for kind, number, content in chunks(data):
        if kind == HEAD:
            facts = json.loads(content)
            if facts.get("version") != VERSION:
                by = facts.get("lr_grid", "an unknown version")
                raise GridError(
                    [f"{name}: is of format {facts.get('version')} (lr-grid {by}); this lr-grid reads format {VERSION}"]
                )
            try:
                cells = tuple(map(cell_of, facts.pop("cells")))
            except (KeyError, TypeError) as error:
                raise GridError([f"{name}: its head cannot be understood: {error}"]) from None
            runs[number] = NormsRun(facts, cells)
            sizes[number] = record_size(len(cells), len(QUANTITIES))
        elif kind == STEPS and number in runs:
            steps, numbers = unpack(content, sizes[number], runs[number].facts["byteorder"])
            runs[number].steps += steps
            runs[number].numbers += numbers
    return list(runs.values())


def chosen_run(file: NormsFile, number: int | None) -> tuple[NormsRun, int]:
    """(a run, its number from 1): the last that has steps where none is named.

    Raises: GridError where there is no such run, or nothing in it.
    """
    filled = [index for index, run in enumerate(file.runs, 1) if run.steps]
    if number is None:
        if not filled:
            raise GridError([f"{file.path}: holds no step yet: they are written in blocks, about every half minute"])
        number = filled[-1]
    if not 1 <= number <= len(file.runs):
        raise GridError([f"--run {number}: {file.path} holds {len(file.runs)} (1 is the oldest)"])
    if number not in filled:
        raise GridError([f"--run {number}: holds no step; runs with steps: {_listed(filled) or 'none'}"])
    return file.runs[number - 1], number


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
