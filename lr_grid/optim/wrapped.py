"""A grid for any other optimizer in full fine-tuning: ``--optimizer_type lr_grid.optim.Grid`` and its name beside."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

import torch
from torch.optim import Optimizer

from lr_grid.errors import GridError
from lr_grid.full.arguments import WORDS, split_options

_KEY = "optimizer"


class Grid:
    """Makes the optimizer that ``optimizer`` names, with the grid that the other options say.

    What comes out is that optimizer itself, of a subclass of its class; without settings of a grid, of its class.
    A name without a dot is torch.optim's, as in the trainers.
    """

    schedule_free = False

    def __new__(cls, params: Iterable[Any], lr: float = 1e-3, **options: Any) -> Optimizer:  # type: ignore[misc]
        """
        Args:
            lr: absolute.
            options: ``optimizer``, the named optimizer's own options, and settings of a grid.

        Raises: GridError where there is no such optimizer, and with every problem of the settings.
        """
        name = options.pop(_KEY, None)
        own_name = f"lr_grid.optim.{cls.__name__}"
        if not isinstance(name, str) or not name.strip(". "):
            raise GridError([f"{own_name} wants the optimizer's name: {WORDS} \"{_KEY}='torch.optim.NAdam'\""])
        made_by = load_optimizer(name)
        path = name if "." in name else f"torch.optim.{name}"
        own, grid = split_options(options, made_by, path, more=(_KEY,))
        cls._check(made_by, own_name)
        made = made_by(params, lr=lr, **own)  # type: ignore[call-arg]
        if grid:
            from lr_grid.full.attach import attach

            attach(made, grid, path, own)
        return made

    @classmethod
    def _check(cls, made_by: type[Optimizer], own_name: str) -> None:
        """Raises: GridError where the trainer would treat a schedule-free optimizer as another, or the other way."""
        is_free = callable(getattr(made_by, "train", None)) and callable(getattr(made_by, "eval", None))
        if is_free == cls.schedule_free:
            return
        other = "Grid" if cls.schedule_free else "GridScheduleFree"
        why = "has no train() and eval()" if cls.schedule_free else "has train() and eval() (schedule-free)"
        raise GridError(
            [
                f"{made_by.__name__} {why}, and the trainers tell such an optimizer by its name: give --optimizer_type"
                f" lr_grid.optim.{other} instead of {own_name}"
            ]
        )


class GridScheduleFree(Grid):
    """The same for schedule-free optimizers: the trainers know them by a name that ends in ScheduleFree."""

    schedule_free = True


def load_optimizer(name: str) -> type[Optimizer]:
    """The class of an optimizer by its dotted name.

    Raises: GridError where there is none, or where it is no torch optimizer.
    """
    module_name, _, class_name = name.rpartition(".")
    try:
        module = importlib.import_module(module_name) if module_name else torch.optim
    except ImportError as error:
        raise GridError([f"{WORDS} {_KEY}: {name}: {error}"]) from None
    found = getattr(module, class_name, None)
    if not isinstance(found, type) or not issubclass(found, Optimizer):
        what = "has no" if found is None else "is no torch optimizer:"
        raise GridError([f"{WORDS} {_KEY}: {name}: {module.__name__} {what} {class_name}"])
    return found
