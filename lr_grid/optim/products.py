"""Products of many tensors with numbers, to the bits of a single tensor's product.

On a CPU torch's multi-tensor product rounds a number to bf16 or fp16 before it multiplies (0.9999 becomes 1), the
product of a single tensor does not; a tensor of one element is not rounded either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def rounds_numbers(tensor: Tensor) -> bool:
    """Whether multi-tensor products round numbers to this tensor's dtype."""
    return tensor.device.type == "cpu" and tensor.dtype in (torch.float16, torch.bfloat16)


def factor(number: float, like: Tensor) -> Any:
    """One factor for all of some tensors."""
    return torch.tensor(number, dtype=torch.float64) if rounds_numbers(like) else number


def factors(numbers: Sequence[float], like: Tensor) -> Any:
    """A factor for each of some tensors."""
    if not rounds_numbers(like):
        return numbers
    made = {number: torch.tensor(number, dtype=torch.float64) for number in set(numbers)}
    return [made[number] for number in numbers]
