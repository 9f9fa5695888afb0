"""What the optimizers of this package have in common: factors on a group's LR, and the options that they refuse."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.optim import Optimizer

from lr_grid.group_keys import FULL, NAMES
from lr_grid.scales import SCALES

_REFUSED = {
    "foreach": (False, "it steps in multi-tensor passes only"),
    "fused": (True, "there is no fused kernel with an LR per tensor"),
    "capturable": (True, "its LRs are Python numbers, which a CUDA graph would freeze"),
    "differentiable": (True, "multi-tensor passes have no gradients"),
}
"""Torch's words for ways to compute a step: what is refused, and why."""


class ScaledLrs(Optimizer):
    """An optimizer whose groups may carry ``lr_scales``, a factor on the group's LR for each of its parameters.

    The LR (absolute) of a parameter is ``group["lr"] * scale``. The scales are saved in the state and come back with
    it, as LRs do; a state that has none leaves them as they are.

    In full fine-tuning it takes the settings of a grid beside its own options: see ``take_grid``.
    """

    takes_lr_scales = True

    def take_grid(self, grid: Mapping[str, Any]) -> None:
        """Puts a grid on the tensors of a model that it has just been given (lr_grid.full); nothing without settings.

        Raises: GridError with every problem of the settings.
        """
        if grid:
            from lr_grid.full.attach import attach  # here: a LoRA's optimizer needs none of it

            attach(self, grid, self._named())

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's.

        Raises: ValueError for lr_scales that do not fit the parameters, and options that are not for this optimizer.
        """
        super().add_param_group(param_group)
        try:
            self._refuse(self.param_groups[-1])
            self._check_scales(self.param_groups[-1])
        except ValueError:
            self.param_groups.pop()
            raise

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's; takes the states of torch's own optimizer of the same name.

        Raises: ValueError where groups, parameters or lr_scales do not fit.
        """
        before = [group.get(SCALES) for group in self.param_groups]
        grid = getattr(self, "_lr_grid", None)
        if grid is not None:
            saved, plain = grid.before_load(state_dict)
            super().load_state_dict(plain)
            grid.after_load(saved, self.param_groups)
            return
        super().load_state_dict(_without_full_grid(state_dict))
        for group, scales in zip(self.param_groups, before, strict=True):
            if scales is not None:
                group.setdefault(SCALES, scales)
            self._check_scales(group)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            # How the saved run computed its steps is no part of what it had learnt.
            for key, (refused, _) in _REFUSED.items():
                if group.get(key) is refused:
                    group[key] = None if key in ("foreach", "fused") else False

    def _refuse(self, group: Mapping[str, Any]) -> None:
        for key, (refused, why) in _REFUSED.items():
            if group.get(key) is refused:
                raise ValueError(f"{self._named()}: {key}={refused} is not for it: {why}. Leave {key} out")

    def _check_scales(self, group: Mapping[str, Any]) -> None:
        scales, params = group.get(SCALES), group["params"]
        if scales is None:
            return
        if not isinstance(scales, (list, tuple)) or len(scales) != len(params):
            told = f"{len(scales)} of them" if isinstance(scales, (list, tuple)) else type(scales).__name__
            raise ValueError(
                f"{self._named()}: {SCALES} is a list with a number for each of the group's {len(params)} parameters,"
                f" not {told}"
            )
        wrong = [scale for scale in scales if not isinstance(scale, (int, float)) or not math.isfinite(scale)]
        if wrong:
            raise ValueError(f"{self._named()}: {SCALES} holds {wrong[0]!r}: each must be a finite number")

    @classmethod
    def _named(cls) -> str:
        return f"lr_grid.optim.{cls.__name__}"


def _without_full_grid(state_dict: dict[str, Any]) -> dict[str, Any]:
    """A saved state without the factors of a full fine-tuning under a grid, for a run that has no grid."""
    groups = [dict(group) for group in state_dict["param_groups"]]
    changed = 0
    for group in groups:
        if group.pop(FULL, False):
            changed += sum(scale != 1 for scale in group.pop(SCALES, ()))
            group.pop(NAMES, None)
    if changed:
        from lr_grid.report.announce import say  # here: this line alone needs it

        say(
            f"resumed: the saved state is of a run with a grid and this run has none: {changed} parameters take the LR"
            " of their group, their moments stay"
        )
    return {**state_dict, "param_groups": groups}


def lrs_in(group: Mapping[str, Any]) -> list[Any]:
    """The LR (absolute) of each parameter in a group: numbers, or tensors where the group's LR is one."""
    lr, scales, params = group["lr"], group.get(SCALES), group["params"]
    if isinstance(lr, torch.Tensor) and lr.ndim:
        lr = lr.squeeze()
    if scales is None:
        return [lr] * len(params)
    if len(scales) != len(params):
        raise ValueError(f"{SCALES}: {len(scales)} factors, and the group has {len(params)} parameters")
    return [lr * scale for scale in scales]
