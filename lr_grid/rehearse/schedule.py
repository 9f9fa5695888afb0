"""The whole schedule of the run, walked through on a thin copy of the optimizer with the trainer's own scheduler."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch

from lr_grid.rehearse.job import Report
from lr_grid.scales import SCALES, lrs_of

MOST_GROUPS = 8
MOST_STEPS = 200_000
TOLERANCE = 1e-3
_NEARLY_ZERO = 1e-6


class Schedule:
    """LRs of some groups at every step of the run, as factors of what the network asked for."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.base: list[float] = []
        """LRs (absolute) of the thin optimizer's groups, as they were asked for."""
        self.lrs: list[list[float]] = []
        """Step -> LR of each thin group."""
        self.name = ""
        self.initial: dict[int, float] = {}
        """Parameter id -> the LR (absolute) that the scheduler scales, before a saved state is loaded."""
        self.found = False

    def made(self, make: Callable[[Any], Any], optimizer: Any, args: Any) -> Any:
        """Lets the trainer make its scheduler; then once more for a copy of the optimizer with a few groups, which is
        walked through to the end.

        Args:
            make: the trainer's own function, given an optimizer.
        """
        asked = [float(group["lr"]) if group.get("lr") is not None else None for group in optimizer.param_groups]
        thin = _thin(optimizer, asked)
        real = make(optimizer)
        self.name = type(real).__name__
        self.initial = initial_lrs(optimizer)
        if thin is None or not hasattr(real, "get_last_lr"):
            return real
        self.base = [group["lr"] for group in thin.param_groups]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the steps of the optimizer between those of the scheduler are left out
            try:
                walking = make(thin)
            except Exception as error:  # e.g. an argument with a value for each group
                self.report.note(f"the schedule of {self.name} was not walked through: with fewer groups, {error}")
                return real
            try:
                self._walk(walking, thin, min(int(args.max_train_steps), MOST_STEPS))
            except Exception as error:  # e.g. OneCycleLR made for fewer steps than the run has
                self.found = True
                self.report.find("scheduler", f"{self.name} stops the run at step {len(self.lrs)}: {error}")
        return real

    def _walk(self, scheduler: Any, thin: Any, steps: int) -> None:
        for _ in range(max(steps, 1)):
            self.lrs.append([float(group["lr"]) for group in thin.param_groups])
            scheduler.step()

    def judge(self) -> None:
        """Tells the schedule, and whether every group keeps its share of it."""
        if not self.lrs:
            return
        factors = [[lr / base for lr, base in zip(row, self.base, strict=True)] for row in self.lrs]
        tops = [max(row) for row in factors]
        worst, at = 0.0, 0
        for step, (row, top) in enumerate(zip(factors, tops, strict=True)):
            if top > _NEARLY_ZERO and (spread := 1 - min(row) / top) > worst:
                worst, at = spread, step
        points = self._points(tops)
        shown = ", ".join(f"x{tops[step]:.3g} at step {step + 1}" for step in points)
        self.report.data["schedule"] = {
            "scheduler": self.name,
            "steps": len(self.lrs),
            "factors": {str(step + 1): tops[step] for step in points},
            "worst_ratio_error": worst,
        }
        if worst <= TOLERANCE:
            groups = f"all {len(self.base)} LRs looked at" if len(self.base) > 1 else "the one LR"
            keep = f"{groups} keep their ratios at each of {len(self.lrs)} steps" if len(self.base) > 1 else groups
            self.report.verify("scheduler", f"{self.name}: {shown}; {keep}")
            return
        low, high = self._extremes()
        before = f"1 : {self.base[high] / self.base[low]:.3g}" if self.base[low] else "0 : 1"
        now = self.lrs[at]
        after = f"1 : {now[high] / now[low]:.3g}" if now[low] else "0 : 1"
        self.found = True
        text = (
            f"{self.name} does not keep the LRs apart as the network asked: at step {at + 1} of {len(self.lrs)}, groups"
            f" of {self.base[low]:.3g} and {self.base[high]:.3g} ({before}) train at {now[low]:.3g} and {now[high]:.3g}"
            f" ({after})"
        )
        cure = (
            "Schedulers that keep them: constant_with_warmup, cosine, cosine_with_restarts, linear, cosine_with_min_lr"
        )
        self.report.find("scheduler", text, cure)

    def _extremes(self) -> tuple[int, int]:
        order = sorted(range(len(self.base)), key=self.base.__getitem__)
        return order[0], order[-1]

    def _points(self, tops: list[float]) -> list[int]:
        """The steps worth telling: the first, the end of the warm-up, the middle, the last."""
        last = len(tops) - 1
        peak = next(step for step, top in enumerate(tops) if top >= max(tops) * (1 - 1e-9))
        return sorted({0, peak, last // 2, last})


def initial_lrs(optimizer: Any) -> dict[int, float]:
    """Parameter id -> the LR (absolute) that the scheduler scales; empty without one."""
    groups = [group for group in optimizer.param_groups if group.get("initial_lr") is not None]
    return {id(p): lr for group in groups for p, lr in zip(group["params"], lrs_of(group, "initial_lr"), strict=True)}


def _thin(optimizer: Any, asked: list[float | None]) -> Any:
    """A copy of an optimizer with a few of its groups, each with one parameter of its own; None without LRs."""
    numbers = sorted({lr for lr in asked if lr})
    if not numbers:
        return None
    stride = max(1, -(-len(numbers) // MOST_GROUPS))
    chosen = list(dict.fromkeys([*numbers[::stride], numbers[-1]]))
    first = {lr: index for index, lr in reversed(list(enumerate(asked))) if lr}
    thin = copy.copy(optimizer)
    thin.__dict__ = dict(vars(optimizer))
    thin.state = type(optimizer.state)(optimizer.state.default_factory)
    thin.param_groups = [
        {**optimizer.param_groups[first[lr]], "params": [torch.nn.Parameter(torch.zeros(1))]} for lr in chosen
    ]
    for group in thin.param_groups:
        group.pop(SCALES, None)
    return thin
