"""Norms over time, of one cell or of several together, and what they come to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lr_grid.norms.cells import ABSENT, GRAD, MOVED, WEIGHT
from lr_grid.norms.read import NormsRun

Series = list[float | None]
"""A number a step; None where there is none: not measured, or 0 / 0."""
WHATS = {
    "grad": "gradient norm",
    "weight": "weight norm",
    "update": "update ratio",
}
"""What can be shown -> what it is called. The update ratio is the norm of what a step changed over the weight norm."""


def series(run: NormsRun, what: str, cells: Sequence[int]) -> Series:
    """What of some cells taken together (the L2 norm over all of them), step by step."""
    if what in (GRAD, WEIGHT):
        return _together([run.column(what, cell) for cell in cells])
    moved = [run.column(MOVED, cell) for cell in cells]
    # The weights of just those cells whose change was measured in a step.
    over = [
        [ABSENT if m == ABSENT else w for m, w in zip(column, run.column(WEIGHT, cell), strict=True)]
        if ABSENT in column
        else run.column(WEIGHT, cell)
        for column, cell in zip(moved, cells, strict=True)
    ]
    return [_ratio(m, w) for m, w in zip(_together(moved), _together(over), strict=True)]


def _together(columns: Sequence[Sequence[float]]) -> Series:
    partly = [column for column in columns if ABSENT in column]
    if not partly:
        return list(map(math.hypot, *columns))
    sums = map(math.hypot, *([0.0 if value == ABSENT else value for value in column] for column in columns))
    if len(partly) < len(columns):
        return list(sums)
    return [
        None if all(value == ABSENT for value in values) else norm
        for norm, values in zip(sums, zip(*columns, strict=True), strict=True)
    ]


def _ratio(moved: float | None, over: float | None) -> float | None:
    if moved is None or over is None:
        return None
    if over == 0:  # weights that are 0 and stay 0, as an up side does while the warm-up's LR is 0
        return None if moved == 0 else math.inf
    return moved / over


@dataclass(frozen=True, slots=True)
class Summary:
    """What a series comes to. Means are over finite numbers only."""

    mean: float | None
    least: float | None
    most: float | None
    last: float | None
    """None where the last number is not finite, or there is none."""
    steps: int
    """With a finite number."""
    not_finite: int
    """Steps with NaN or infinity."""


def summarize(values: Iterable[float | None]) -> Summary:
    """Mean, range and last of a series."""
    known = [value for value in values if value is not None]
    finite = [value for value in known if math.isfinite(value)]
    if not finite:
        return Summary(None, None, None, None, 0, len(known))
    last = known[-1] if math.isfinite(known[-1]) else None
    mean = math.fsum(finite) / len(finite)
    return Summary(mean, min(finite), max(finite), last, len(finite), len(known) - len(finite))


def rows_of(run: NormsRun, side: str | None) -> dict[str, list[int]]:
    """``double.self_attn`` -> its cells, of all blocks; ``side``: of one side only."""
    return _grouped(run, side, lambda cell: cell.row)


def places_of(run: NormsRun, side: str | None) -> dict[tuple, list[int]]:
    """(part, stack, block, component) -> its cells: both sides, or one."""
    return _grouped(run, side, lambda cell: cell.place)


def _grouped(run: NormsRun, side: str | None, key_of) -> dict:
    found: dict = {}
    for index, cell in enumerate(run.cells):
        if side in (None, cell.side):
            found.setdefault(key_of(cell), []).append(index)
    return found


def binned(steps: Sequence[int], values: Series, most: int) -> list[tuple[int, int, float | None]]:
    """(first step, last step, mean) of at most ``most`` runs of steps, as even as can be."""
    count = min(most, len(steps))
    edges = [round(index * len(steps) / count) for index in range(count + 1)]
    return [(steps[begin], steps[end - 1], summarize(values[begin:end]).mean) for begin, end in pairwise(edges)]
