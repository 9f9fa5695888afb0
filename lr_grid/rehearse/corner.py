"""Small corners in place of the network's tensors: every element gets the same gradient, so few tell as much as all."""

from __future__ import annotations

from collections.abc import Iterable

import torch

MOST = 4
"""Elements that are kept of each dimension."""


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

