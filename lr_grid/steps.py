"""Calls before and after each step of the optimizer that holds a network's parameters, whatever wraps it.

torch's global hooks are reached through accelerate's wrapper, a gradient scaler and a resumed state alike; with
gradient accumulation they see only the steps that are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, finalize, ref

from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

OnStep = Callable[[Optimizer], None]


class StepWatch:
    """Calls ``before(optimizer)`` and ``after(optimizer)`` round each step, until it is closed or nobody holds it.

    What they raise stops the run, before the step or after it.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], before: OnStep, after: OnStep | None = None):
        """
        Args:
            parameters: the network's; an optimizer that holds none of them is somebody else's and not watched.
        """
        self._parameters = list(parameters)  # held, so that no id is used again
        self._ids = {id(parameter) for parameter in self._parameters}
        self._ours: WeakKeyDictionary[Optimizer, bool] = WeakKeyDictionary()
        self._before, self._after = before, after
        # torch wraps `step` of a class and of the class it inherits from: one step then calls the hooks twice, nested.
        self._depth = 0
        self._closed = False
        # torch's list of hooks must not keep a network alive that nobody else holds.
        this = ref(self)
        handles = [
            register_optimizer_step_pre_hook(_weak(this, StepWatch._pre)),
            register_optimizer_step_post_hook(_weak(this, StepWatch._post)),
        ]
        self._remove = finalize(self, _remove, handles)

    def close(self) -> None:
        """No more calls. May be called from within one."""
        self._closed = True
        if not self._depth:  # else torch goes through its hooks just now, and would stumble over one that is taken away
            self._remove()

    def _pre(self, optimizer: Optimizer) -> None:
        if not self._closed and self._holds(optimizer):
            self._depth += 1
            if self._depth == 1:
                self._before(optimizer)

    def _post(self, optimizer: Optimizer) -> None:
        if not self._closed and self._depth and self._holds(optimizer):
            self._depth -= 1
            if self._depth == 0 and self._after is not None:
                self._after(optimizer)

    def _holds(self, optimizer: Optimizer) -> bool:
        held = self._ours.get(optimizer)
        if held is None:
            held = any(id(p) in self._ids for group in optimizer.param_groups for p in group["params"])
            self._ours[optimizer] = held
        return held


def _weak(this: ReferenceType[StepWatch], method: Callable[..., None]) -> Callable[..., None]:
    def hook(optimizer: Any, *_: Any) -> None:
        watch = this()
        if watch is not None:
            method(watch, optimizer)

    return hook


def _remove(handles: Iterable[Any]) -> None:
    for handle in handles:
        handle.remove()
