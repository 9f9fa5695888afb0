"""Small corners in place of the network's tensors: every element gets the same gradient, so few tell as much as all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

MOST = 4
"""Elements that are kept of each dimension."""


def first_state(optimizer: torch.optim.Optimizer, whole: bool) -> dict[int, dict[str, Any]]:
    """What an optimizer keeps of each parameter before its first step (Adagrad's sums), of the corners only.

    Returns: parameter id -> its state.
    """
    kept: dict[int, dict[str, Any]] = {}
    for parameter, state in optimizer.state.items():
        kept[id(parameter)] = {
            key: _corner(value, whole) if isinstance(value, torch.Tensor) and value.shape == parameter.shape else value
            for key, value in state.items()
        }
    return kept


def _corner(tensor: torch.Tensor, whole: bool) -> torch.Tensor:
    return tensor.clone() if whole else tensor[tuple(slice(0, MOST) for _ in tensor.shape)].clone()


def start_over(optimizer: torch.optim.Optimizer, first: dict[int, dict[str, Any]]) -> None:
    """Gives an optimizer back the state it was made with."""
    optimizer.state.clear()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if id(parameter) in first:
                optimizer.state[parameter] = dict(first[id(parameter)])


def keep_corners(parameters: Iterable[torch.nn.Parameter], whole: bool) -> None:
    """Every parameter stays the same object, with a corner of its data: zeros in float32.

    Zeros, so that a step shows in full precision however small its LR, and so that optimizers which look at a weight's
    size see the same in every tensor.

    Args:
        whole: keep all elements.
    """
    for parameter in parameters:
        shape = parameter.shape if whole else [min(size, MOST) for size in parameter.shape]
        zeros = torch.zeros(shape)
        parameter.grad = None
        if parameter.is_meta:  # made like one of the base model's tensors; `data` cannot change its device
            torch.utils.swap_tensors(parameter, torch.nn.Parameter(zeros, parameter.requires_grad))
        else:
            parameter.data = zeros
