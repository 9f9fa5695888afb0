"""What the plan needs to know of a live network and of the trainer's call: ranks, sides, sizes, the trainer's LRs."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from torch import nn

from lr_grid.errors import GridError
from lr_grid.plan import ModuleFacts, TrainerLrs
from lr_grid.sides import side_of
from lr_grid.torch_walk import Tensors, held, own_tensors
from lr_grid.upstream import module_name, own_parameters, trained_of


def facts_of(module: nn.Module) -> ModuleFacts:
    """Rank, alpha and sides of a network module."""
    tensors = own_tensors(module)
    return facts_from(*rank_and_alpha(module), trained_of(module, tensors[0]), saved_numbers(module, tensors))


def facts_from(
    rank: int | None, alpha: float | None, parameters: Sequence[tuple[str, nn.Parameter]], saved: int = 0
) -> ModuleFacts:
    """The facts, with the sides told by the names of what trains."""
    names, tensors = zip(*parameters, strict=True) if parameters else ((), ())
    has_up, has_down = _sides(names)
    return ModuleFacts(rank, alpha, has_up, has_down, tuple([tuple(tensor.shape) for tensor in tensors]), saved)


@cache  # a network's modules share a handful of names
def _sides(names: tuple[str, ...]) -> tuple[bool, bool]:
    """(whether any is of an up side, whether any is of a down side)"""
    sides = {side_of(name) for name in names}
    return "up" in sides, "down" in sides


def saved_numbers(module: nn.Module, tensors: Tensors | None = None) -> int:
    """How many numbers a network module puts into the LoRA file (its alpha among them).

    Args:
        tensors: its ``own_tensors``, where they are at hand.
    """
    if held(module, "custom_state_dict") is not None:  # LyCORIS, where a module says itself what it saves
        return sum(tensor.numel() for tensor in module.state_dict().values())
    parameters, buffers = tensors or own_tensors(module)
    numbers = sum([tensor.numel() for _, tensor in parameters]) + sum([tensor.numel() for _, tensor in buffers])
    pieces = len(held(module, "split_dims") or ())
    up = held(module, "lora_up") if pieces > 1 else None
    if isinstance(up, nn.ModuleList):
        # Split into q, k, v, it is saved as one pair: the up sides on the diagonal of a matrix of zeros.
        numbers += (pieces - 1) * sum(parameter.numel() for parameter in up.parameters())
    return numbers


def rank_and_alpha(module: nn.Module | None) -> tuple[int | None, float | None]:
    """Of a network module of kohya's or LyCORIS (rank of OFT: the number of blocks), as far as it has them."""
    alpha: Any = held(module, "alpha")
    rank = held(module, "lora_dim") or held(module, "num_blocks")
    known = alpha is not None and not getattr(alpha, "is_meta", False)
    return rank, float(alpha) if known else None


Trained = list[tuple[str, nn.Parameter]]
"""(name within the network, parameter)"""


def named_parameters(module: nn.Module, name: str) -> Trained:
    """What a network module trains."""
    return [(f"{name}.{parameter_name}", parameter) for parameter_name, parameter in own_parameters(module)]


def facts_and_parameters(modules: Iterable[nn.Module]) -> tuple[dict[str, ModuleFacts], dict[str, Trained]]:
    """(``facts_of``, ``named_parameters``) of a network's modules by their names, in one walk."""
    facts, named = {}, {}
    for module in modules:
        name, tensors = module_name(module), own_tensors(module)
        trained = trained_of(module, tensors[0])
        facts[name] = facts_from(*rank_and_alpha(module), trained, saved_numbers(module, tensors))
        named[name] = [(f"{name}.{parameter_name}", parameter) for parameter_name, parameter in trained]
    return facts, named


def lrs_of_args(args: argparse.Namespace) -> TrainerLrs:
    """The trainer's LRs from its command line."""
    return trainer_lrs(
        getattr(args, "text_encoder_lr", None), getattr(args, "unet_lr", None), getattr(args, "learning_rate", None)
    )


def trainer_lrs(text_encoder_lr: Any, unet_lr: float | None, default_lr: float | None) -> TrainerLrs:
    """The trainer's three LRs as it hands them over: each may be missing, text_encoder_lr may be a list."""
    if unet_lr is None and default_lr is None:
        raise GridError(["no learning rate: give --learning_rate or --unet_lr"])
    if text_encoder_lr is None:
        encoders: tuple[float, ...] = ()
    elif isinstance(text_encoder_lr, (list, tuple)):
        encoders = tuple(float(lr) for lr in text_encoder_lr)
    else:
        encoders = (float(text_encoder_lr),)
    default = float(default_lr) if default_lr is not None else float(unet_lr or 0)
    return TrainerLrs(default, None if unet_lr is None else float(unet_lr), encoders)
