"""What one multi-tensor pass moves together: tensors of one device and dtype whose groups agree in some settings."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from lr_grid.optim.scaled import lrs_in

_IN_CACHE = 1 << 17
"""Elements of a piece on a CPU, where a pass over more than its cache holds waits for the memory at every operation."""
_IN_MEMORY = 1 << 27
"""Elements of a piece elsewhere, where every operation is a launch. A pass makes a copy of what it moves: in full
fine-tuning that would be of the whole model."""


@dataclass(slots=True)
class Batch:
    """Parallel lists."""

    settings: tuple[Any, ...]
    """Of the groups, as asked for."""
    params: list[Tensor] = field(default_factory=list)
    grads: list[Tensor] = field(default_factory=list)
    lrs: list[Any] = field(default_factory=list)
    """Absolute; numbers or tensors of one element."""
    decays: list[Any] = field(default_factory=list)
    """weight_decay of the parameter's group."""

    def pieces(self) -> Iterator[Batch]:
        """The batch in pieces that are worked off one by one."""
        most = _IN_CACHE if self.params[0].device.type == "cpu" else _IN_MEMORY
        start = size = 0
        for stop, param in enumerate(self.params):
            numel = param.numel()
            if size and size + numel > most:
                yield self._between(start, stop)
                start, size = stop, 0
            size += numel
        yield self._between(start, len(self.params)) if start else self

    def _between(self, start: int, stop: int) -> Batch:
        lists = (self.params, self.grads, self.lrs, self.decays)
        return Batch(self.settings, *(each[start:stop] for each in lists))

    def states(self, optimizer: Optimizer) -> list[dict[str, Any]]:
        """What the optimizer keeps of each parameter; empty before its first step."""
        return [optimizer.state[param] for param in self.params]


def batches(optimizer: Optimizer, shared: Sequence[str]) -> Iterator[Batch]:
    """All parameters with a gradient, in pieces.

    Nothing is remembered from step to step: LRs, gradients, state and parameters are those of this very step.

    Args:
        shared: keys of a group whose values must be equal in groups that go together.

    Raises: RuntimeError for sparse gradients, before anything has moved.
    """
    found: dict[Hashable, Batch] = {}
    for group in optimizer.param_groups:
        settings = tuple(group[key] for key in shared)
        decay = group["weight_decay"]
        last: Hashable = None
        for param, lr in zip(group["params"], lrs_in(group), strict=True):
            grad = param.grad
            if grad is None:
                continue
            if grad.is_sparse:
                raise RuntimeError(f"lr_grid.optim.{type(optimizer).__name__} does not support sparse gradients")
            place = (param.device, param.dtype, grad.dtype)
            if place != last:
                last = place
                batch = found.setdefault((place, settings), Batch(settings))
            batch.params.append(param)
            batch.grads.append(grad)
            batch.lrs.append(lr)
            batch.decays.append(decay)
    for batch in found.values():
        yield from batch.pieces()


def entries(states: Sequence[dict[str, Any]], key: str) -> list[Tensor]:
    """One entry of every parameter's state."""
    return [state[key] for state in states]


def decay_weights(batch: Batch) -> list[float] | None:
    """1 - LR * weight_decay of each parameter; None where nothing decays."""
    if not any(batch.decays):
        return None
    return [float(1 - lr * decay) for lr, decay in zip(batch.lrs, batch.decays, strict=True)]
