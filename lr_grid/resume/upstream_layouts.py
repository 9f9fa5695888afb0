"""The optimizer groups that a wrapped module makes by itself: what a state saved without names may look like."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from lr_grid.resume.layout import Layout

_RATIOS = ("loraplus_lr_ratio", "loraplus_unet_lr_ratio", "loraplus_text_encoder_lr_ratio")
"""Attributes of kohya's LoRA networks: the LoRA+ ratios, None without."""


def layouts_of(network: nn.Module, base: str, prepare: Callable[..., Any], lrs: Sequence[Any]) -> list[Layout]:
    """The wrapped module's groups without and with LoRA+ (which splits each in two).

    Args:
        prepare: its prepare_optimizer_params, or the one with several text encoder LRs.
        lrs: the LRs of text encoders, U-Net and everything, as the trainer hands them over; they count only as given
            or not.
    """
    takes_one = next(iter(inspect.signature(prepare).parameters)) == "unet_lr"
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    made = []
    for words, ratio in ((base, None), (f"{base} with LoRA+", 2.0)):
        with _loraplus(network, ratio) as possible:
            if not possible:
                continue
            one = [_one(lr) for lr in lrs]
            # musubi-tuner's take the LR of the DiT by its name, and no other.
            result = prepare(unet_lr=one[1]) if takes_one else prepare(*one)
            groups = result[0] if isinstance(result, tuple) else result
            made.append(
                Layout(words, [[(names[id(p)], tuple(p.shape)) for p in list(group["params"])] for group in groups])
            )
    return made


def _one(lr: Any) -> Any:
    """An LR that leaves nothing out."""
    return [1.0 for _ in lr] if isinstance(lr, (list, tuple)) else lr if lr is None else 1.0


@contextmanager
def _loraplus(network: Any, ratio: float | None) -> Iterator[bool]:
    """Puts a LoRA+ ratio on a network for a while; tells whether it has one."""
    before = {name: getattr(network, name) for name in _RATIOS if hasattr(network, name)}
    for name in before:
        setattr(network, name, ratio if name == _RATIOS[0] else None)
    try:
        yield ratio is None or bool(before)
    finally:
        for name, value in before.items():
            setattr(network, name, value)
