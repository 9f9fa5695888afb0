"""Small corners in place of the network's tensors: every element gets the same gradient, so few tell as much as all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

MOST = 4
"""Elements that are kept of each dimension."""


def corner(tensor: torch.Tensor) -> torch.Tensor:
    """The first elements of each dimension, as a tensor of its own."""
    return tensor[tuple(slice(0, MOST) for _ in tensor.shape)].contiguous().clone()


def keep_corners(parameters: Iterable[torch.nn.Parameter], whole: bool) -> None:
    """Every parameter stays the same object, with a corner of its data: zeros in float32.

    Zeros, so that a step shows in full precision however small its LR, and so that optimizers which look at a weight's
    size see the same in every tensor.

    Args:
        whole: keep all elements.
    """
    for parameter in parameters:
        data = parameter.data if whole else corner(parameter.data)
        parameter.grad = None
        parameter.data = torch.zeros_like(data, dtype=torch.float32)


def state_of(optimizer: torch.optim.Optimizer, parameter: torch.nn.Parameter) -> dict[str, Any]:
    """What an optimizer keeps of a parameter; empty where it has none yet."""
    return optimizer.state.get(parameter, {})
