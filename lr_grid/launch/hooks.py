"""The two functions of a trainer that are wrapped: the one that makes its optimizer, and the one that lets Adafactor
move each tensor as soon as its gradient is there (--fused_backward_pass).

sd-scripts has get_optimizer in library/train_util.py, musubi-tuner as a method of its trainers.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from weakref import WeakValueDictionary

from torch import Tensor

from lr_grid.errors import GridError
from lr_grid.full.attach import GRID, attach

_NAME = "get_optimizer"
_FUSED = {"library.train_util": "library.adafactor_fused", "musubi_tuner": "musubi_tuner.modules.adafactor_fused"}
"""Whose trainer -> the module that patches Adafactor."""

_done: WeakValueDictionary[int, Any] = WeakValueDictionary()
"""Optimizers that got their grid here."""


def hook_in(names: Mapping[str, Any], grid: Mapping[str, Any]) -> None:
    """Wraps what makes the optimizer.

    Args:
        names: of the script, all defined.
        grid: settings.

    Raises: GridError where the script has no such function.
    """
    homes = list(_homes(names))
    for home in homes:
        setattr(home, _NAME, _gridded(getattr(home, _NAME), grid))
    if not homes:
        raise GridError([f"the script has no {_NAME}: it is no training script of sd-scripts or musubi-tuner"])


def _homes(names: Mapping[str, Any]) -> Iterator[Any]:
    """Modules and classes that define the function."""
    train_util = sys.modules.get("library.train_util")
    if train_util is not None and hasattr(train_util, _NAME):
        yield train_util
        return
    seen: set[type] = set()
    for value in list(names.values()):
        if isinstance(value, type):
            home = next((cls for cls in value.__mro__ if _NAME in vars(cls)), None)
            if home is not None and home not in seen:
                seen.add(home)
                yield home


def _gridded(make: Callable[..., Any], grid: Mapping[str, Any]) -> Callable[..., Any]:
    @functools.wraps(make)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        made = make(*args, **kwargs)
        optimizer = made[2]
        if id(optimizer) in _done:  # a subclass's function that has called its parent's
            return made
        if hasattr(optimizer, GRID):
            raise GridError(["lr-grid launch has a grid, and --optimizer_args have one, too: keep one of the two"])
        attach(optimizer, grid, options=optimizer.defaults)
        _done[id(optimizer)] = optimizer
        if any(getattr(each, "fused_backward_pass", False) for each in (*args, *kwargs.values())):
            _hook_fused()
        return made

    return wrapped


def _hook_fused() -> None:
    """Wraps the trainer's patch of Adafactor, once."""
    for owner, name in _FUSED.items():
        if owner not in sys.modules:
            continue
        module: Any = importlib.import_module(name)
        patch = module.patch_adafactor_fused
        if getattr(patch, GRID, False):
            continue
        module.patch_adafactor_fused = _moving(patch)


def _moving(patch: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(patch)
    def wrapped(prepared: Any) -> None:
        """``prepared``: accelerate's wrapper of the optimizer, which gets a method that moves one tensor."""
        patch(prepared)
        optimizer = getattr(prepared, "optimizer", prepared)
        grid = getattr(optimizer, GRID, None)
        if grid is None:
            return
        move = prepared.step_param

        def step_param(tensor: Tensor, group: dict[str, Any]) -> None:
            grid.proof.look(optimizer)
            own = grid.group_for(tensor, group, prepared.param_groups)
            if own is not None:
                move(tensor, own)

        prepared.step_param = step_param

    setattr(wrapped, GRID, True)
    return wrapped
