"""What stands in the frames of those who call: the trainer's arguments, its models, and all of its parameter groups.

A full fine-tune script hands its optimizer bare tensors and nothing else.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

Locals = dict[str, Any]
_DEEPEST = 40
"""Frames: a trainer's own are the next three or four."""
_MOST_MODELS = 16
"""In a list; longer ones are lists of something else."""


def callers() -> list[Locals]:
    """The local names of everyone who calls, the nearest first; what belongs to this package is left out."""
    found: list[Locals] = []
    frame = sys._getframe(1)
    while frame is not None and len(found) < _DEEPEST:
        if not str(frame.f_globals.get("__name__", "")).startswith("lr_grid.full"):
            found.append(dict(frame.f_locals))
        frame = frame.f_back  # type: ignore[assignment]
    return found


def trainer_args(frames: Sequence[Locals]) -> argparse.Namespace | None:
    """The trainer's parsed arguments: what it calls ``args`` and holds an ``output_dir``."""
    for names in frames:
        args = names.get("args")
        if isinstance(args, argparse.Namespace) and hasattr(args, "output_dir"):
            return args
    return None


def models_in(frames: Sequence[Locals]) -> Iterator[tuple[str, nn.Module]]:
    """(name of the variable, model) of every model that a caller knows, in lists too (``text_encoders[1]``)."""
    for names in frames:
        for name, value in names.items():
            if _is_module(value):
                yield name, value
            elif isinstance(value, (list, tuple)) and len(value) <= _MOST_MODELS:
                for index, item in enumerate(value):
                    if _is_module(item):
                        yield f"{name}[{index}]", item


def all_groups(frames: Sequence[Locals], group: dict[str, Any]) -> list[dict[str, Any]]:
    """The longest list of parameter groups that a caller holds and that ``group`` is one of: a trainer that makes an
    optimizer for every group has them all before it makes the first. Without such a list: the group alone."""
    best = [group]
    for names in frames:
        for value in names.values():
            longer = isinstance(value, list) and len(value) > len(best) and any(item is group for item in value)
            if longer and all(_is_group(item) for item in value):
                best = value
    return best


def _is_group(value: Any) -> bool:
    params = value.get("params") if isinstance(value, dict) else None
    return isinstance(params, (list, tuple)) and all(isinstance(param, Tensor) for param in params)


def _is_module(value: Any) -> bool:
    # type() and not isinstance, which would run other objects' __class__ properties (lazy proxies load themselves).
    return issubclass(type(value), nn.Module)
