"""The trainers' way from network to saved state, on small models: accelerate, optimizer, scheduler, --resume."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import accelerate
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from small_models import Flux, make_network, trainer_args
from torch import nn

STEPS = 8
"""Of the whole schedule."""


def adamw(groups: Any, args: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=args.learning_rate)


def cosine_like(optimizer: torch.optim.Optimizer) -> Any:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / (2 * STEPS))


@dataclass
class Trained:
    network: Any
    optimizer: torch.optim.Optimizer
    scheduler: Any
    lrs: list[dict[str, float]]
    """By name, at each step."""

    def weights(self) -> dict[str, torch.Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}

    def state(self, key: str = "exp_avg") -> dict[str, torch.Tensor]:
        """What the optimizer keeps under a key, by the parameter's name."""
        names = {id(parameter): name for name, parameter in self.network.named_parameters()}
        return {names[id(p)]: held[key].clone() for p, held in self.optimizer.state.items() if key in held}


def train(
    grid: dict[str, str],
    steps: int,
    *,
    save: Path | None = None,
    resume: Path | str | None = None,
    at: int = 0,
    model: nn.Module | None = None,
    make_optimizer: Callable[[Any, Any], torch.optim.Optimizer] = adamw,
    make_scheduler: Callable[[Any], Any] | None = cosine_like,
    seed: int = 0,
    dim: int = 2,
    scale: float = 1.0,
    **changes: Any,
) -> Trained:
    """Trains some steps, the gradients being a function of parameter and step alone.

    Args:
        save: a folder to save the state into.
        at: the number of the first step, for the gradients.
        scale: a factor on the gradients.
    """
    for state in (AcceleratorState, PartialState):
        state._reset_state()
    GradientState._reset_state()
    accelerator = accelerate.Accelerator(cpu=True)
    torch.manual_seed(seed)
    model = model or Flux()
    network = make_network(model, dim=dim, **grid)
    args = trainer_args(resume=None if resume is None else str(resume), **changes)
    network.prepare_network(args)
    network.apply_to(None, model, False, True)
    groups, _ = network.prepare_optimizer_params(args.text_encoder_lr, args.unet_lr, args.learning_rate)
    optimizer = make_optimizer(groups, args)
    scheduler = make_scheduler(optimizer) if make_scheduler else None
    prepared = accelerator.prepare(*[thing for thing in (network, optimizer, scheduler) if thing is not None])
    network.prepare_grad_etc(None, model)
    if args.resume:
        accelerator.load_state(args.resume)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    lrs = []
    for step in range(at, at + steps):
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.grad = scale * _gradient(names[id(parameter)], step, parameter.shape)
        lrs.append({names[id(p)]: float(g["lr"]) for g in optimizer.param_groups for p in g["params"]})
        prepared[1].step()
        if scheduler is not None:
            prepared[2].step()
        prepared[1].zero_grad()
    if save is not None:
        accelerator.save_state(str(save))
    return Trained(network, optimizer, scheduler, lrs)


def _gradient(name: str, step: int, shape: torch.Size) -> torch.Tensor:
    """A direction of the parameter's own, with noise of the step."""
    own, noise = (
        torch.Generator().manual_seed(int(hashlib.sha256(text.encode()).hexdigest()[:8], 16))
        for text in (name, f"{name} {step}")
    )
    return torch.randn(shape, generator=own) + 0.5 * torch.randn(shape, generator=noise)
