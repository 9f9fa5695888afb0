"""Full fine-tuning in one process: small models, a trainer's way to its optimizer, and LRs by a formula of its own."""

from __future__ import annotations

import argparse
from typing import Any

import torch
from small_models import Flux, TextEncoder
from torch import nn

LR = 1e-3
TE_LR = 2e-4


class CLIPTextModel(TextEncoder):
    """A text encoder under a name that lr-grid knows."""


class T5EncoderModel(nn.Module):
    """T5's names, two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.block = nn.ModuleList(nn.ModuleDict({"layer": self._layer()}) for _ in range(2))

    @staticmethod
    def _layer() -> nn.ModuleList:
        attention, feed_forward = nn.Module(), nn.Module()
        attention.SelfAttention = nn.Linear(8, 8)
        feed_forward.DenseReluDense = nn.Linear(8, 8)
        return nn.ModuleList([attention, feed_forward])


GRID = {"self_attn_lr": "1.5x", "cross_attn_lr": "0.5x", "ffn_lr": 2e-3, "depth_strategy": "linear"}
BLOCKS = {"double_blocks": 3, "single_blocks": 4}


def lr_of(name: str, base: float = LR) -> float:
    """The LR (absolute) of a Flux tensor under GRID, by the formula in the README."""
    stack, _, rest = name.partition(".")
    if stack not in BLOCKS:
        return base
    block, _, inside = rest.partition(".")
    depth = 1 - int(block) / (BLOCKS[stack] - 1) * (1 - 0.3)
    component = inside.partition(".")[0]
    if component in ("linear1", "linear2"):
        own = (1.5 * base * 2e-3) ** 0.5
    else:
        own = {"img_attn": 1.5 * base, "txt_attn": 0.5 * base, "txt_mlp": 0.5 * base, "img_mlp": 2e-3}.get(
            component, base
        )
    return own * depth


def make_flux(seed: int = 0, dtype: torch.dtype = torch.float32) -> Flux:
    torch.manual_seed(seed)
    return Flux().to(dtype)


def train_script(make: Any, model: nn.Module, *encoders: nn.Module, args: Any = None, **options: Any) -> Any:
    """What sd-scripts' flux_train.py does: one group a model, in a function that has them as variables.

    Args:
        make: the optimizer's class.
    """
    flux, lrs = model, [LR, *[TE_LR] * len(encoders)]
    args = args or argparse.Namespace(output_dir=None, output_name=None, resume=None, learning_rate=LR)
    text_encoders = list(encoders)
    params_to_optimize = [
        {"params": list(each.parameters()), "lr": lr} for each, lr in zip([flux, *text_encoders], lrs, strict=True)
    ]
    return make(params_to_optimize, lr=args.learning_rate, **options)


def give_gradients(model: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        gradient = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
        parameter.grad = gradient if parameter.requires_grad else None


def train(optimizer: Any, model: nn.Module, steps: int = 3, start: int = 0, scheduler: Any = None) -> None:
    for step in range(start, start + steps):
        give_gradients(model, step)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        optimizer.zero_grad(set_to_none=True)


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    """Bit for bit."""
    theirs = values(other)
    for name, tensor in values(one).items():
        assert torch.equal(tensor, theirs[name]), name


def split_by_hand(model: nn.Module, without: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """A group for each LR of the formula."""
    groups: dict[float, list[Any]] = {}
    for name, parameter in model.named_parameters():
        if not any(word in name for word in without):
            groups.setdefault(lr_of(name), []).append(parameter)
    return [{"params": parameters, "lr": lr} for lr, parameters in groups.items()]
