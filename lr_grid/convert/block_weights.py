"""Blocks that formats of other tools name: held against a model, and checked."""

from __future__ import annotations

from collections.abc import Mapping

from lr_grid.blocks import Block
from lr_grid.convert.source import COMMON_WHY, Source, block_carried, tell_uncurved
from lr_grid.errors import Problems


def check_weights(weights: Mapping[str, float], problems: Problems) -> None:
    """Notes negative weights: no multiplier of an LR means them."""
    for name, weight in weights.items():
        if weight < 0:
            problems.add(f"{name}: {weight:g} is negative, and a multiplier of an LR is not: give 0 or more")


def factors_to_write(source: Source, holds: str) -> dict[Block, float]:
    """The factor of each block of a grid, for a format that holds nothing else; what it loses is told.

    Raises: GridError where nothing of the grid fits, or a factor is negative.
    """
    source.finish(block_carried, {**COMMON_WHY, "holds": holds})
    factors = source.multipliers()
    tell_uncurved(source)
    problems = Problems()
    check_weights({f"{stack}_{i}": factor for (stack, i), factor in factors.items()}, problems)
    problems.raise_if_any()
    return factors
