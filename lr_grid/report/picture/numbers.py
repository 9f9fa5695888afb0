"""Numbers as short as a cell of the picture wants them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def format_lr(lr: float) -> str:
    """Short text of an absolute LR, at most three digits: ``4e-4``, ``2.46e-4``."""
    mantissa, exponent = f"{lr:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def lr_or_range(lrs: Sequence[float]) -> str:
    """An LR, or the range of several at two digits: ``1e-4–4.2e-4``."""
    if several(lrs):
        return f"{_two_digits(min(lrs))}–{_two_digits(max(lrs))}"
    return format_lr(lrs[0])


def format_ratio(ratio: float) -> str:
    """``×4``, ``×0.25``."""
    return f"×{ratio:.3g}"


def ratio_or_range(ratios: Sequence[float]) -> str:
    """A ratio, or the range of several: ``×0.5–2``."""
    if several(ratios):
        return f"{format_ratio(min(ratios))}–{max(ratios):.3g}"
    return format_ratio(ratios[0])


def several(values: Sequence[float]) -> bool:
    """Are they more than one, rounding aside?"""
    return bool(values) and not math.isclose(min(values), max(values), rel_tol=1e-6)


def geometric_mean(values: Iterable[float]) -> float:
    """Of the sizes, whatever their signs: what a colour on a log scale shows (a negative LR unlearns at its size)."""
    logs = [math.log(abs(value)) for value in values]
    return math.exp(sum(logs) / len(logs))


def _two_digits(lr: float) -> str:
    mantissa, exponent = f"{lr:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
