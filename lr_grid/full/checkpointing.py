"""Gradients for what stands behind frozen parts under reentrant activation checkpointing.

torch.utils.checkpoint with use_reentrant=True (sd-scripts' SDXL U-Net, Anima's --unsloth_offload_checkpointing, the
text encoders of transformers) gives the weights of a block no gradient where none of the block's inputs asks for one:
with the embedders frozen, nothing behind them would learn. So the model's inputs are made to ask.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lr_grid.full.naming import Root
from lr_grid.words import MAIN_PART


def keep_gradients(roots: Iterable[Root], frozen: set[int], args: argparse.Namespace | None) -> list[str]:
    """Makes the inputs of models ask for gradients where that is needed; returns lines that say so.

    Args:
        frozen: ids of the tensors that the grid freezes.
        args: the trainer's arguments.
    """
    if not (getattr(args, "gradient_checkpointing", False) or getattr(args, "unsloth_offload_checkpointing", False)):
        return []
    asked = []
    for root in roots:
        if not frozen & root.held:
            continue
        encoder: Any = root.model
        if root.part == MAIN_PART and _is_reentrant(root.model, args):
            root.model.register_forward_pre_hook(_ask_for_gradients, with_kwargs=True)
            asked.append(root.part)
        elif root.part != MAIN_PART and hasattr(root.model, "enable_input_require_grads"):
            encoder.enable_input_require_grads()  # transformers' own way
            asked.append(root.part)
    if not asked:
        return []
    return [
        f"gradient checkpointing of {', '.join(asked)} gives no gradient behind frozen parts (it is reentrant), so the"
        " inputs were made to ask for one: the frozen parts take memory and time in the backward pass all the same"
    ]


def _is_reentrant(model: nn.Module, args: argparse.Namespace | None) -> bool:
    module = sys.modules.get(type(model).__module__)
    return bool(getattr(module, "USE_REENTRANT", False) or getattr(args, "unsloth_offload_checkpointing", False))


def _ask_for_gradients(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not (model.training and torch.is_grad_enabled()):
        return None
    return tuple(_asking(args)), dict(zip(kwargs, _asking(list(kwargs.values())), strict=True))


def _asking(values: Sequence[Any]) -> list[Any]:
    return [
        value.detach().requires_grad_(True)
        if isinstance(value, Tensor) and value.is_floating_point() and not value.requires_grad
        else value
        for value in values
    ]
