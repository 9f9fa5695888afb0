"""The LR of every parameter in an optimizer group: the group's, times a factor of the parameter's own where it has one.

A group may carry ``lr_scales``, a list with a factor for each of its ``params``. The optimizers of lr_grid.optim move
each parameter by ``group["lr"] * factor``; schedulers and logs see the group's LR alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

SCALES = "lr_scales"
_NEAR = 4
"""So many doubles on either side are tried as a factor."""


def scales_of(group: Mapping[str, Any]) -> list[float]:
    """The factor of each parameter in a group; 1 where it has none of its own."""
    scales = group.get(SCALES)
    return [1.0] * len(group["params"]) if scales is None else list(scales)


def lrs_of(group: Mapping[str, Any], key: str = "lr") -> list[float]:
    """The LR (absolute) of each parameter in a group.

    Args:
        key: which of the group's LRs: ``lr``, ``initial_lr``.
    """
    lr = float(group[key])
    return [lr * scale for scale in scales_of(group)]


def scale_between(base: float, lr: float) -> float:
    """The factor that makes ``lr`` of ``base`` (absolute LRs): to the last bit of a double where there is one that
    does, else within one.

    Raises: ZeroDivisionError for a base of 0.
    """
    best = up = down = lr / base
    for _ in range(_NEAR):
        if base * best == lr:
            break
        up, down = math.nextafter(up, math.inf), math.nextafter(down, -math.inf)
        best = next((scale for scale in (up, down) if base * scale == lr), best)
    return best
