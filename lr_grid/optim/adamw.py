"""AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) in one multi-tensor pass, with an LR per tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from lr_grid.full.arguments import split_options
from lr_grid.optim.batches import Batch, batches, decay_weights, entries
from lr_grid.optim.products import factor, factors
from lr_grid.optim.scaled import ScaledLrs


class AdamW(ScaledLrs, torch.optim.AdamW):
    """torch.optim.AdamW, bit for bit as with foreach=False on a CPU, whatever the number of distinct LRs.

    A group may carry ``lr_scales``, a factor on its LR for each of its parameters. Weight decay is decoupled and goes
    with the parameter's own LR. States are torch's own and go both ways. Refused with a ValueError: foreach=False,
    fused, capturable, differentiable, and betas that are tensors.
    """

    def __init__(self, params: ParamsT, lr: float | Tensor = 1e-3, *args: Any, **options: Any):
        """
        Args:
            lr: absolute.
            args, options: torch.optim.AdamW's own; in full fine-tuning the settings of a grid, too.
        """
        own, grid = split_options(options, torch.optim.AdamW.__init__, self._named())
        super().__init__(params, lr, *args, **own)
        self.take_grid(grid)

    def _refuse(self, group: Any) -> None:
        super()._refuse(group)
        if any(isinstance(beta, Tensor) for beta in group["betas"]):
            raise ValueError(f"{self._named()}: betas must be numbers, not tensors")

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for held in self.state.values():
            # torch keeps the count on the GPU for fused and capturable; here it is read at every step.
            if isinstance(held.get("step"), Tensor):
                held["step"] = held["step"].cpu()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of every parameter that has a gradient.

        Raises: RuntimeError for sparse gradients.
        """
        _check_capture(self)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for batch in batches(self, ("betas", "eps", "amsgrad", "maximize")):
            _step(batch, batch.states(self))
        return loss


def _check_capture(optimizer: Any) -> None:
    """torch's own check that no CUDA graph is being captured, under its name in this version of torch."""
    for name in ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check"):
        if hasattr(optimizer, name):
            getattr(optimizer, name)()
            return


def _begin(param: Tensor, state: dict[str, Any], amsgrad: bool) -> None:
    dtype = torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32
    state["step"] = torch.tensor(0.0, dtype=dtype)
    state["exp_avg"] = torch.zeros_like(param, memory_format=torch.preserve_format)
    state["exp_avg_sq"] = torch.zeros_like(param, memory_format=torch.preserve_format)
    if amsgrad:
        state["max_exp_avg_sq"] = torch.zeros_like(param, memory_format=torch.preserve_format)


def _step(batch: Batch, states: list[dict[str, Any]]) -> None:
    """The operations of torch's single-tensor AdamW (torch/optim/adam.py) in their order, each over all tensors."""
    (beta1, beta2), eps, amsgrad, maximize = batch.settings
    params, grads = batch.params, batch.grads
    for param, state in zip(params, states, strict=True):
        if not state:
            _begin(param, state, amsgrad)
    if maximize:
        grads = list(torch._foreach_neg(grads))
    steps = entries(states, "step")
    torch._foreach_add_(steps, _ONE, alpha=1.0)
    decays = decay_weights(batch)
    if decays is not None:
        torch._foreach_mul_(params, factors(decays, params[0]))
    averages, squares = entries(states, "exp_avg"), entries(states, "exp_avg_sq")
    maxima = entries(states, "max_exp_avg_sq") if amsgrad else []
    if params[0].is_complex():
        params, grads, averages, squares, maxima = (
            [torch.view_as_real(tensor) for tensor in each] for each in (params, grads, averages, squares, maxima)
        )
    torch._foreach_lerp_(averages, grads, 1 - beta1)
    torch._foreach_mul_(squares, factor(beta2, squares[0]))
    torch._foreach_addcmul_(squares, grads, grads, 1 - beta2)
    if amsgrad:
        torch._foreach_maximum_(maxima, squares)
        squares = maxima
    counts = [step.item() for step in steps]
    corrections = {count: (1 - beta1**count, (1 - beta2**count) ** 0.5) for count in set(counts)}
    denominators = torch._foreach_sqrt(squares)
    torch._foreach_div_(denominators, [corrections[count][1] for count in counts])
    torch._foreach_add_(denominators, eps)
    sizes = [float(-(lr / corrections[count][0])) for lr, count in zip(batch.lrs, counts, strict=True)]
    torch._foreach_addcdiv_(params, averages, denominators, sizes)


_ONE = torch.tensor(1.0)
"""A number would be made a tensor again for every tensor that it is added to."""
