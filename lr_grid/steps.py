"""Calls before and after each step of the optimizer that holds a network's parameters, whatever wraps it.

torch's global hooks are reached through accelerate's wrapper, a gradient scaler and a resumed state alike; with
gradient accumulation they see only the steps that are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

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
        _hook_in()
        _keep(lambda watch: watch is not None)
        _WATCHES.append(ref(self))  # torch's hooks must not keep a network alive that nobody else holds

    def close(self) -> None:
        """No more calls. May be called from within one."""
        _keep(lambda watch: watch is not self)

    def _pre(self, optimizer: Optimizer) -> None:
        if self._holds(optimizer):
            self._depth += 1
            if self._depth == 1:
                self._before(optimizer)

    def _post(self, optimizer: Optimizer) -> None:
        if self._depth and self._holds(optimizer):
            self._depth -= 1
            if self._depth == 0 and self._after is not None:
                self._after(optimizer)

    def _holds(self, optimizer: Optimizer) -> bool:
        held = self._ours.get(optimizer)
        if held is None:
            held = any(id(p) in self._ids for group in optimizer.param_groups for p in group["params"])
            self._ours[optimizer] = held
        return held


_WATCHES: list[ReferenceType[StepWatch]] = []
"""In the order they were made."""
_hooked: list[Any] = []


def _keep(wanted: Callable[[StepWatch | None], bool]) -> None:
    _WATCHES[:] = [this for this in _WATCHES if wanted(this())]


def _hook_in() -> None:
    """Two hooks for all watches, once and for good: torch goes through its own list of hooks as it stands, so that one
    that takes itself out in the middle of a step breaks the step ("mutated during iteration")."""
    if not _hooked:
        _hooked.append(register_optimizer_step_pre_hook(_all(StepWatch._pre)))
        _hooked.append(register_optimizer_step_post_hook(_all(StepWatch._post)))


def _all(method: Callable[[StepWatch, Optimizer], None]) -> Callable[..., None]:
    def hook(optimizer: Any, *_: Any) -> None:
        for this in list(_WATCHES):
            watch = this()
            if watch is not None and this in _WATCHES:
                method(watch, optimizer)

    return hook
