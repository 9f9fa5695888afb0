"""``down_lr_weight``, ``mid_lr_weight``, ``up_lr_weight`` of networks.lora, worked out without it.

Source: sd-scripts, networks/lora.py, get_block_lr_weight: lists are padded with 1 and cut to the model's length,
weights up to block_lr_zero_threshold are 0, and SDXL's first and last block (of 23) weigh 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from lr_grid.passed_on import BLOCK_WEIGHTS

CURVES: dict[str, tuple[Callable[[float], float], bool]] = {
    "sine": (lambda t: math.sin(math.pi * t / 2), False),
    "cosine": (lambda t: math.sin(math.pi * t / 2), True),
    "linear": (lambda t: t, False),
    "reverse_linear": (lambda t: t, True),
    "zeros": (lambda t: 0.0, False),
}
"""Name -> (weight at t, 0: the first value of the list, 1: the last; whether the list runs backwards); ``+base`` is
added."""

_SIDES = {"down_lr_weight", "up_lr_weight"}
"""A list that is too long is cut, together with the other one; where that is not given, the cut crashes."""

LENGTHS = {True: (9, 3, 9), False: (12, 1, 12)}
"""SDXL or not -> how many weights down, mid and up have."""


def weights_of(base: str, arguments: Mapping[str, Any], is_sdxl: bool) -> list[float] | None:
    """One weight a block in kohya's numbering; None where no argument gives any.

    Args:
        base: the network module.
        arguments: already checked (passed_on.check_block_curves).

    Raises: ValueError for a list that sd-scripts crashes at, and where the module has no weights for the model.
    """
    if not any(key in arguments for key in BLOCK_WEIGHTS):
        return None
    if is_sdxl and base == "networks.lora_fa":
        raise ValueError(f"{base} has no block weights for SDXL: give block_lr_weight")
    threshold = float(arguments.get("block_lr_zero_threshold") or 0)
    weights: list[float] = []
    for key, count in zip(BLOCK_WEIGHTS, LENGTHS[is_sdxl], strict=True):
        if key not in arguments:
            weights += [1.0] * count
            continue
        text = str(arguments[key])
        if "," in text or key == "mid_lr_weight":
            values = [float(item or 0) for item in text.split(",")]
            if len(values) > count and key != "mid_lr_weight" and len(_SIDES & arguments.keys()) < len(_SIDES):
                raise ValueError(f"{key}: {len(values)} values, but there are {count} blocks")
            values = [*values, *[1.0] * count][:count]
        else:
            name, _, base = text.partition("+")
            values = curve(name, count, float(base or 0))
        weights += [value if value > threshold else 0.0 for value in values]
    return [1.0, *weights, 1.0] if is_sdxl else weights


def curve(name: str, count: int, base: float = 0.0) -> list[float]:
    """``count`` weights of a curve of ``CURVES``, with ``base`` added to each: upstream's numbers to the last digit."""
    function, backwards = CURVES[name]
    values = [function(i / (count - 1)) + base for i in range(count)]
    return values[::-1] if backwards else values
