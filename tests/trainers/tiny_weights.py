"""Random weights for the tiny models, and the shrinking of hard-coded constants while they are made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import shrink
import torch
from library import flux_utils
from safetensors.torch import save_file

STD = 0.02


def save_random(model: Any, file: Path, prefix: str = "", *more: tuple[Any, str]) -> None:
    """Save weights for a model's whole state dict (and further models', with their prefixes) in one file."""
    weights: dict[str, Any] = {}
    for part, start in ((model, prefix), *more):
        weights.update(random_weights(part.state_dict().items(), start))
    save_file(weights, file)


def random_weights(entries: Iterable[tuple[str, Any]], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Weights for named tensors, of which only names and shapes are read: they may be on meta."""
    for name, entry in entries:
        is_norm = name.endswith("weight") and re.search(r"norm|\bln_", name)  # "adaln_" is none
        if name.endswith(("scale", "gamma")) or is_norm:
            tensor = torch.ones(entry.shape)
        elif name.endswith("bias"):
            tensor = torch.zeros(entry.shape)
        else:
            tensor = torch.randn(entry.shape) * STD
        yield prefix + name, tensor.to(torch.bfloat16)


@contextmanager
def shrunk(family: str) -> Iterator[None]:
    """Shrink a family's constants for a while: families share some of them (flux and sd3 have one T5 config)."""
    t5 = flux_utils.T5Config
    shrink.FAMILIES[family]()
    try:
        yield
    finally:
        flux_utils.T5Config = t5
