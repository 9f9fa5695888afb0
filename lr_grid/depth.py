"""Depth curves: the factor of block i of N, between ``min_depth_factor`` and 1.

Every curve is a pure function of the position t = i / (N - 1) in its stack (0 = first block, 1 = last), the lowest
factor m and, for inverted_u, the position p of the peak. The formulas are the published per-layer system's (its tables
for cosine and inverted_u contradict them; the formulas are meant).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from lr_grid.blocks import Block

Curve = Callable[[float, float, float], float]


def flat(t: float, m: float, p: float) -> float:
    """1 everywhere."""
    return 1.0


def linear(t: float, m: float, p: float) -> float:
    """Falls from 1 at the first block to m at the last."""
    return 1 - t * (1 - m)


def cosine(t: float, m: float, p: float) -> float:
    """Half a cosine from 1 down to m."""
    return m + (1 - m) * (1 + math.cos(math.pi * t)) / 2


def geometric(t: float, m: float, p: float) -> float:
    """m to the power t: the same ratio from each block to the next (needs m above 0)."""
    return m**t


def sine(t: float, m: float, p: float) -> float:
    """Half a sine: m at both ends, 1 in the middle."""
    return m + (1 - m) * math.sin(math.pi * min(t, 1 - t))  # sin(pi) itself is not quite 0


def inverted_u(t: float, m: float, p: float) -> float:
    """A parabola on each side of the peak p: 1 there, m at the ends. A side of zero width is flat."""
    if t < p:
        d = (p - t) / p
    elif t > p:
        d = (t - p) / (1 - p)
    else:
        d = 0.0
    return 1 - (1 - m) * d * d


def _reverse(curve: Curve) -> Curve:
    def reversed_curve(t: float, m: float, p: float) -> float:
        return curve(1 - t, m, p)

    reversed_curve.__doc__ = f"{curve.__name__}, from the last block to the first."
    return reversed_curve


CURVES: dict[str, Curve] = {
    "flat": flat,
    "linear": linear,
    "cosine": cosine,
    "inverted_u": inverted_u,
    "sine": sine,
    "geometric": geometric,
    "reverse_linear": _reverse(linear),
    "reverse_cosine": _reverse(cosine),
    "reverse_geometric": _reverse(geometric),
}


def depth_factor(
    strategy: str, block: int, num_blocks: int, min_depth_factor: float, peak_position: float = 0.5
) -> float:
    """The factor (not an LR) of one block.

    Args:
        strategy: a name in CURVES.
        block: 0 .. num_blocks - 1. A stack of one block has factor 1.
        min_depth_factor: the curve's lowest value, 0..1.
        peak_position: where inverted_u peaks, 0..1.
    """
    if num_blocks <= 1:
        return 1.0
    return CURVES[strategy](block / (num_blocks - 1), min_depth_factor, peak_position)


def depth_factors(stacks: Mapping[str, int], scope: str, factor: Callable[[int, int], float]) -> dict[Block, float]:
    """The factor of every block of a model.

    Args:
        stacks: name -> number of blocks.
        scope: ``stack`` (the curve begins anew in each) or ``model`` (it runs through all blocks).
        factor: (block, number of blocks) -> factor.
    """
    factors, offset, total = {}, 0, sum(stacks.values())
    for stack, size in stacks.items():
        for i in range(size):
            factors[stack, i] = factor(offset + i, total) if scope == "model" else factor(i, size)
        offset += size
    return factors
