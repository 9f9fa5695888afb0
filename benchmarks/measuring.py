"""What the benchmarks share: how sides are measured in turn, and the table that a measurement comes to."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class Skip(Exception):
    """A benchmark that cannot run here, with the reason."""


@dataclass(frozen=True)
class Options:
    """What the command was given."""

    rounds: int = 9
    trainers: Path | None = None
    """The folder of ready trainers that the tests use (LR_GRID_TRAINERS)."""


@dataclass(frozen=True)
class Table:
    """One measurement, as it stands in the page."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    about: str = ""

    def markdown(self) -> str:
        """The table in Markdown."""
        lines = [f"## {self.title}", "", *([self.about, ""] if self.about else [])]
        lines += [f"| {' | '.join(self.columns)} |", f"|{'-|' * len(self.columns)}"]
        return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in self.rows)])


def interleaved(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every side in every round: the sides take turns, so that a busy machine is busy for all of them. One
    round before the first warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(rounds + 1):
        for name, side in sides.items():
            began = time.perf_counter()
            side()
            if round_:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio(seconds: Sequence[float], to: Sequence[float]) -> float:
    """The median of the ratios round by round."""
    return statistics.median(a / b for a, b in zip(seconds, to, strict=True))


def milliseconds(seconds: Sequence[float]) -> str:
    """The median in ms."""
    return f"{statistics.median(seconds) * 1e3:.3g}"


def power(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The exponent that cost grows with, by least squares on logarithms: 1 is linear, 2 is quadratic."""
    return statistics.linear_regression(*([math.log(x) for x in values] for values in (sizes, seconds))).slope
