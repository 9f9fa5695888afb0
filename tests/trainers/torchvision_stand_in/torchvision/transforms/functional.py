"""The functional half of the stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch


def pil_to_tensor(image: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(image, copy=True)).permute(2, 0, 1)


def resize(image: torch.Tensor, size: Sequence[int], interpolation: Any, **_kwargs: Any) -> torch.Tensor:
    assert interpolation == "nearest", "the torchvision stand-in has one way to resize: no test needs another"
    return torch.nn.functional.interpolate(image, size=tuple(size), mode="nearest")


def gaussian_blur(*_args: Any, **_kwargs: Any) -> torch.Tensor:
    raise NotImplementedError("the torchvision stand-in has no gaussian_blur: no test needs it")
