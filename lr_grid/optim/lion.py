"""Lion (Chen et al. 2023, arXiv:2302.06675) in multi-tensor passes, with an LR per tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.optim.optimizer import ParamsT

from lr_grid.full.arguments import split_options
from lr_grid.optim.batches import Batch, batches, decay_weights, entries
from lr_grid.optim.products import factor, factors, rounds_numbers
from lr_grid.optim.scaled import ScaledLrs


class Lion(ScaledLrs):
    """Moves every number by its LR, in the direction of the sign of an interpolation of momentum and gradient.

    Bit for bit what lion-pytorch's Lion does without its Triton kernel and its decoupled_weight_decay; states go both
    ways. A group may carry ``lr_scales``, a factor on its LR for each of its parameters.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        **grid: Any,
    ):
        """
        Args:
            lr: absolute; the paper has 3 to 10 times less than for AdamW.
            weight_decay: goes with the LR, so 3 to 10 times AdamW's.
            grid: in full fine-tuning the settings of a grid.

        Raises: ValueError for a number that is out of bounds, and for complex parameters.
        """
        if not lr >= 0:
            raise ValueError(f"{self._named()}: lr={lr}: must be 0 or more")
        if not all(0 <= beta <= 1 for beta in betas):
            raise ValueError(f"{self._named()}: betas={betas}: each must be from 0 to 1")
        if not weight_decay >= 0:
            raise ValueError(f"{self._named()}: weight_decay={weight_decay}: must be 0 or more")
        _, settings = split_options(grid, _options_of_lion, self._named())
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})
        self.take_grid(settings)

    def _refuse(self, group: Mapping[str, Any]) -> None:
        super()._refuse(group)
        if any(param.is_complex() for param in group["params"]):
            raise ValueError(f"{self._named()}: a complex number has no sign: it takes real parameters")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of every parameter that has a gradient.

        Raises: RuntimeError for sparse gradients.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for batch in batches(self, ("betas",)):
            _step(batch, batch.states(self))
        return loss


def _options_of_lion(lr: float, betas: tuple[float, float], weight_decay: float) -> None:
    """The names of its own options, for the hint at a misspelt one."""


def _step(batch: Batch, states: list[dict[str, Any]]) -> None:
    ((beta1, beta2),) = batch.settings
    for param, state in zip(batch.params, states, strict=True):
        if not state:
            state["exp_avg"] = torch.zeros_like(param)
    decays = decay_weights(batch)
    if decays is not None:
        torch._foreach_mul_(batch.params, factors(decays, batch.params[0]))
    averages = entries(states, "exp_avg")
    updates = torch._foreach_mul(averages, factor(beta1, averages[0]))
    torch._foreach_add_(updates, batch.grads, alpha=1 - beta1)
    torch._foreach_sign_(updates)
    sizes = [-float(lr) for lr in batch.lrs]
    # A sum takes one factor for all tensors; these ways to a factor for each come to the same bits, for signs.
    if rounds_numbers(updates[0]):  # as a single tensor's sum then does
        torch._foreach_mul_(updates, sizes)
        torch._foreach_add_(batch.params, updates)
    else:
        torch._foreach_addcmul_(batch.params, updates, torch._foreach_abs(updates), sizes)
    torch._foreach_mul_(averages, factor(beta2, averages[0]))
    torch._foreach_add_(averages, batch.grads, alpha=1 - beta2)
