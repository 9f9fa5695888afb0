"""The transforms that HiDream-O1 in musubi-tuner imports, with torchvision's semantics for images."""

from __future__ import annotations

from typing import Any

import torch

from . import Compose, Normalize
from .functional import pil_to_tensor

__all__ = ["Compose", "Normalize", "ToDtype", "ToImage"]


class ToImage:
    def __call__(self, image: Any) -> torch.Tensor:
        return pil_to_tensor(image)


class ToDtype:
    def __init__(self, dtype: torch.dtype, scale: bool = False) -> None:
        self.dtype, self.scale = dtype, scale

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        scaled = self.scale and tensor.dtype == torch.uint8
        return tensor.to(self.dtype).div(255) if scaled else tensor.to(self.dtype)
