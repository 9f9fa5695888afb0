"""SGD with momentum (Sutskever et al. 2013) in multi-tensor passes, with an LR per tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from lr_grid.full.arguments import split_options
from lr_grid.optim.batches import Batch, batches, entries
from lr_grid.optim.products import factor
from lr_grid.optim.scaled import ScaledLrs

_SHARED = ("momentum", "dampening", "weight_decay", "nesterov", "maximize")
_BUFFER = "momentum_buffer"


class SGD(ScaledLrs, torch.optim.SGD):
    """torch.optim.SGD, bit for bit as with foreach=False on a CPU, whatever the number of distinct LRs.

    A group may carry ``lr_scales``, a factor on its LR for each of its parameters. States are torch's own and go both
    ways. Refused: foreach=False, fused and differentiable (ValueError), sparse gradients (RuntimeError).
    """

    def __init__(self, params: ParamsT, lr: float | Tensor = 1e-3, *args: Any, **options: Any):
        """
        Args:
            lr: absolute.
            args, options: torch.optim.SGD's own; in full fine-tuning the settings of a grid, too.
        """
        own, grid = split_options(options, torch.optim.SGD.__init__, self._named())
        super().__init__(params, lr, *args, **own)
        self.take_grid(grid)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of every parameter that has a gradient.

        Raises: RuntimeError for sparse gradients.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for batch in batches(self, _SHARED):
            _step(self, batch)
        return loss


def _step(optimizer: SGD, batch: Batch) -> None:
    """The operations of torch's single-tensor SGD (torch/optim/sgd.py) in their order, each over all tensors."""
    momentum, dampening, decay, nesterov, maximize = batch.settings
    grads = list(torch._foreach_neg(batch.grads)) if maximize else batch.grads
    if decay != 0:
        grads = list(torch._foreach_add(grads, batch.params, alpha=decay))
    if momentum != 0:
        buffers = _gather_momentum(batch.states(optimizer), grads, momentum, dampening)
        grads = list(torch._foreach_add(grads, buffers, alpha=momentum)) if nesterov else buffers
    # A sum takes one factor for all tensors, and any other way to it rounds differently.
    by_lr: dict[float, tuple[list[Tensor], list[Tensor]]] = {}
    for param, grad, lr in zip(batch.params, grads, map(float, batch.lrs), strict=True):
        params, updates = by_lr.setdefault(lr, ([], []))
        params.append(param)
        updates.append(grad)
    for lr, (params, updates) in by_lr.items():
        torch._foreach_add_(params, updates, alpha=-lr)


def _gather_momentum(
    states: list[dict[str, Any]], grads: list[Tensor], momentum: float, dampening: float
) -> list[Tensor]:
    """The momentum of each parameter with this step's gradient in it; a parameter's first is its gradient."""
    going = [
        (state[_BUFFER], grad) for state, grad in zip(states, grads, strict=True) if state.get(_BUFFER) is not None
    ]
    if going:
        buffers = [buffer for buffer, _ in going]
        torch._foreach_mul_(buffers, factor(momentum, buffers[0]))
        torch._foreach_add_(buffers, [grad for _, grad in going], alpha=1 - dampening)
    for state, grad in zip(states, grads, strict=True):
        if state.get(_BUFFER) is None:
            state[_BUFFER] = grad.detach().clone()
    return entries(states, _BUFFER)
