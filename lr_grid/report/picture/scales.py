"""Colour scales: a value's colour, the ink that reads on it, and the ticks of the colour bar. All are logarithmic."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import matplotlib
from matplotlib.colors import ListedColormap

from lr_grid.report.picture.numbers import format_lr, format_ratio

# All three can be read with any kind of colour vision.
LR_COLOURS = "viridis"
RANK_COLOURS = "cividis"
RATIO_COLOURS = "RdBu_r"
_MOST_TICKS = 8

Colour = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """From ``low`` to ``high`` on a log scale."""

    colours: str
    low: float
    high: float
    ticks: tuple[float, ...]
    tick_text: Callable[[float], str]
    label: str
    diverging: bool = False
    """Its middle is 1, nearly white (tiles need an outline); one end may be nearer to it than the other."""

    def colour(self, value: float) -> Colour:
        """Of a value above 0; beyond the ends that of the end."""
        low, high = math.log(self.low), math.log(self.high)
        if self.diverging:
            high = max(-low, high)
            low = -high
        place = (math.log(value) - low) / (high - low)
        red, green, blue, alpha = matplotlib.colormaps[self.colours](min(max(place, 0.0), 1.0))
        return red, green, blue, alpha

    def colour_map(self) -> ListedColormap:
        """Its colours from low to high, evenly on the log scale."""
        values = (self.low * (self.high / self.low) ** (step / 255) for step in range(256))
        return ListedColormap([self.colour(value) for value in values])


def lr_scale(lrs: Iterable[float], label: str = "LR, log scale") -> Scale | None:
    """Of absolute LRs above 0, from dark (low) to bright; None without any."""
    found = list(lrs)
    if not found:
        return None
    low, high = min(found), max(found)
    if high / low < 1.01:
        # One LR everywhere: a colour in the middle of a scale that has room for ticks.
        low, high = low / 2, high * 2
    return Scale(LR_COLOURS, low, high, tuple(_round_ticks(low, high)), format_lr, label)


def rank_scale(ranks: Iterable[float]) -> Scale | None:
    """Of ranks; its ticks are the ranks that occur."""
    found = sorted(set(ranks))
    if not found:
        return None
    low, high = found[0], found[-1]
    ticks = [low]
    for rank in found[1:-1]:
        if min(math.log(rank / ticks[-1]), math.log(high / rank)) >= math.log(high / low) / _MOST_TICKS:
            ticks.append(rank)
    if high > low:
        ticks.append(high)
    else:
        low, high = low / 2, high * 2
    return Scale(RANK_COLOURS, low, high, tuple(ticks), lambda rank: f"{rank:.3g}", "rank, log scale")


def ratio_scale(ratios: Iterable[float], label: str) -> Scale | None:
    """Of ratios above 0: white is 1, red above, blue below; a ratio and its inverse are equally far from white."""
    found = list(ratios)
    if not found:
        return None
    low, high = min(1.0, *found), max(1.0, *found)
    if high / low < 1.01:
        low, high = 0.5, 2.0
    step = max(1, math.ceil(math.log2(high / low) / 6))
    first, last = math.ceil(math.log2(low) / step), math.floor(math.log2(high) / step)
    inner = (2.0 ** (step * power) for power in range(first, last + 1))
    room = 2 ** (0.4 * step)
    ticks = (low, *(tick for tick in inner if tick / low > room and high / tick > room), high)
    return Scale(RATIO_COLOURS, low, high, ticks, format_ratio, label, diverging=True)


def ink(colour: Colour) -> str:
    """Black or white, whichever reads better on the colour: by WCAG's luminance, a little in favour of white."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.21 else "white"


def _round_ticks(low: float, high: float) -> list[float]:
    """The ends of the range, and between them round LRs (1, 3, 2 and 5, then any digit, times a power of ten) with
    room."""
    ticks = [low, high]
    room = 0.14 * math.log(high / low)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (3,), (2, 5), (4, 6, 7, 8, 9)):
        for tick in (digit * 10.0**exponent for exponent in exponents for digit in digits):
            if low < tick < high and all(abs(math.log(tick / other)) >= room for other in ticks):
                ticks.append(tick)
    return sorted(ticks)
