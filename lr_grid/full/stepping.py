"""Optimizer classes whose step() sees the groups taken apart by LR factor: a live optimizer's class becomes a subclass
of itself, so that isinstance, train() and eval(), hooks and schedulers find what they expect."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer

from lr_grid.full.parts import SAVED, Parts

if TYPE_CHECKING:
    from lr_grid.full.grid import OptimizerGrid


class SplitSteps:
    """Overrides of an optimizer's methods. ``super()`` is the optimizer's own class."""

    takes_lr_scales = True
    _lr_grid: OptimizerGrid
    param_groups: list[dict[str, Any]]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """The optimizer's own step, on the groups' parts."""
        parts, groups = self._lr_grid.parts, self.param_groups
        assert parts is not None
        self._lr_grid.drop_frozen()
        self.param_groups = parts.expand(groups)
        try:
            return _bare(super().step)(closure) if closure is not None else _bare(super().step)()  # type: ignore[misc]
        finally:
            self.param_groups = groups
            parts.collect(groups)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The optimizer's own, with what the parts keep for themselves."""
        parts = self._lr_grid.parts
        state: dict[str, Any] = super().state_dict(*args, **kwargs)  # type: ignore[misc]
        assert parts is not None
        for group, saved in zip(state["param_groups"], parts.saved(), strict=False):
            if any(entry["own"] for entry in saved):
                group[SAVED] = saved
        return state

    def load_state_dict(self, state_dict: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """The optimizer's own; the grid is that of this run, not the saved one's."""
        saved, plain = self._lr_grid.before_load(state_dict)
        super().load_state_dict(plain, *args, **kwargs)  # type: ignore[misc]
        self._lr_grid.after_load(saved, self.param_groups)
        self._lr_grid.parts = Parts(self.param_groups)
        self._lr_grid.parts.restore(self.param_groups, [group.get(SAVED) for group in saved])


def split_steps(optimizer: Optimizer) -> None:
    """Makes a live optimizer one whose step() works on parts. Its groups carry ``lr_scales`` by then."""
    optimizer.__class__ = _subclass(type(optimizer))
    # torch wraps a class's step() so that hooks are called; the subclass's has to be, too.
    optimizer._patch_step_function()


_MADE: dict[type[Optimizer], type[Optimizer]] = {}


def _subclass(cls: type[Optimizer]) -> type[Optimizer]:
    if cls not in _MADE:
        members = {"__doc__": cls.__doc__, "__module__": cls.__module__}
        _MADE[cls] = type(f"Grid{cls.__name__}", (SplitSteps, cls), members)
    return _MADE[cls]


def _bare(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step() without torch's wrapper round it, which would call the hooks a second time."""
    function = getattr(step, "__func__", None)
    if getattr(function, "hooked", False) and hasattr(function, "__wrapped__"):
        bare: Callable[..., Any] = function.__wrapped__.__get__(step.__self__)  # type: ignore[union-attr, attr-defined]
        return bare
    return step
