"""Depth factors merged to a few levels, so that fewer LRs are told apart: the levels that keep the worst relative error
of any factor smallest.

A level stands for a run of neighbouring factors, lowest to highest. The level 2 * lowest * highest / (lowest + highest)
is as far from both as can be, relatively: (highest - lowest) / (highest + lowest). For a given error, runs taken as
long as they may be, from the lowest factor on, are the fewest; so the smallest error that K runs can keep is found by
bisection, exact to rounding. It is never above that of K evenly spaced or K geometric levels.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lr_grid.blocks import Block
from lr_grid.depth import depth_factor, depth_factors
from lr_grid.grid_settings import GridSettings

_HALVINGS = 50  # of the error; from 1 down to below what floats tell apart
_SAME = 1e-12
"""Relative difference below which two factors differ by rounding only."""


class Merged(NamedTuple):
    """Depth factors (not LRs) of every block, merged."""

    factors: dict[Block, float]
    levels: int
    """How many levels were asked for; 0: none, the factors are the curve's own."""
    error: float = 0.0
    """The worst relative error: every factor, and so every LR, lies within it of the exact curve's."""


def exact_factors(settings: GridSettings, stacks: Mapping[str, int]) -> dict[Block, float]:
    """The depth factor of every block, as the curve has it."""
    curve = (settings.min_depth_factor, settings.peak_position)
    return depth_factors(
        stacks, settings.depth_scope, lambda at, of: depth_factor(settings.depth_strategy, at, of, *curve)
    )


def merge(factors: Mapping[Block, float], levels: int) -> Merged:
    """The factors on ``levels`` levels, shared by all stacks; 0: as they are. A factor of 0 means frozen and stays 0,
    beside the levels."""
    runs = _runs(sorted({factor for factor in factors.values() if factor > 0}), levels) if levels else []
    if not runs:
        return Merged(dict(factors), levels)
    level_of = {factor: _level(run) for run in runs for factor in run}
    return Merged({b: level_of.get(f, f) for b, f in factors.items()}, levels, max(map(_error, runs)))


def distinct(factors: Mapping[Block, float]) -> int:
    """How many levels keep every factor as it is."""
    return len(_longest_runs(sorted({factor for factor in factors.values() if factor > 0}), _SAME))


def _runs(ordered: Sequence[float], levels: int) -> list[Sequence[float]]:
    """At most ``levels`` runs of ``ordered`` with the smallest worst error; none where all factors can stay."""
    if len(_longest_runs(ordered, _SAME)) <= levels:
        return []
    low, high = 0.0, _error([ordered[0], ordered[-1]])
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if len(_longest_runs(ordered, middle)) <= levels:
            high = middle
        else:
            low = middle
    return _longest_runs(ordered, high)


def _longest_runs(ordered: Sequence[float], error: float) -> list[Sequence[float]]:
    """Runs of ``ordered``, none with a worse error, as few as can be."""
    runs: list[Sequence[float]] = []
    start = 0
    while start < len(ordered):
        # (highest - lowest) / (highest + lowest) = error; a run over everything has an error below 1.
        highest = ordered[start] * (1 + error) / (1 - error)
        end = max(bisect_right(ordered, highest, lo=start), start + 1)
        runs.append(ordered[start:end])
        start = end
    return runs


def _level(run: Sequence[float]) -> float:
    return 2 * run[0] * run[-1] / (run[0] + run[-1]) if run[-1] > run[0] else run[0]


def _error(run: Sequence[float]) -> float:
    return (run[-1] - run[0]) / (run[-1] + run[0])
