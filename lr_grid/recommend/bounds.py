"""What the numbers of a recommendation may be: beyond these bounds no training run is meant, and floats run over."""

from __future__ import annotations

from lr_grid.errors import Problems

Bounds = tuple[float, float]
LR: Bounds = (1e-12, 1e3)
"""An absolute LR, or Prodigy's d."""
SIZE: Bounds = (1e-6, 1e6)
"""Ranks, alphas, ratios."""
COUNT: Bounds = (1, 1e9)
"""Samples and passes a step."""
_LONGEST = 24


def shown(value: float) -> str:
    """A number as a message holds it: a whole number of hundreds of digits is cut."""
    text = f"{value:d}" if isinstance(value, int) else f"{value:g}"
    return text if len(text) <= _LONGEST else f"{text[:8]}... ({len(text)} digits)"


def check(problems: Problems, name: str, value: float, bounds: Bounds) -> None:
    """Notes a number that is none, is not above 0, or lies outside its bounds."""
    low, high = bounds
    if not value > 0:
        problems.add(f"{name} must be a number above 0, not {shown(value)}")
    elif not low <= value <= high:
        problems.add(f"{name} must be from {low:g} to {high:g}, not {shown(value)}")
