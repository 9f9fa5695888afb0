"""The groups that the network hands to the optimizer, and what the optimizer makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from lr_grid.rehearse.corner import first_state
from lr_grid.rehearse.job import Report

STAND_IN = (
    "{} runs on a GPU only: torch's AdamW with the same groups stood in for it, its own movement was not measured"
)
_GPU_ONLY = ("bitsandbytes",)


@dataclass
class Asked:
    """What the network asked of the optimizer."""

    groups: list[dict[str, Any]]
    """As the network made them: params and lr (absolute)."""
    name: str = ""
    stood_in: bool = False


class Optimizers:
    """Watches the trainer making its optimizer."""

    def __init__(self, report: Report, whole: bool = False) -> None:
        self.report, self.whole = report, whole
        self.first: dict[int, dict[str, Any]] = {}
        """Parameter id -> the state that the optimizer was made with."""
        self.asked: Asked | None = None
        self.found = False
        """Whether the optimizer dropped the LRs of its groups."""

    def made(self, make: Callable[[], tuple[Any, ...]], trainable: Any, default_lr: float | None) -> tuple[Any, ...]:
        """Lets the trainer make its optimizer, and replaces one that needs a GPU.

        Args:
            make: the trainer's own function; the optimizer is the third of what it returns.
            trainable: what the network hands to the optimizer: groups, or bare parameters.
        """
        groups = [item if isinstance(item, dict) else {"params": [item]} for item in trainable]
        self.asked = Asked([{**g, "lr": g.get("lr", default_lr), "params": _listed(g["params"])} for g in groups])
        result = list(make())
        optimizer = result[2]
        self.asked.name = type(optimizer).__name__
        self._tell_dropped(optimizer)
        if type(optimizer).__module__.split(".")[0] in _GPU_ONLY:
            lr = optimizer.defaults.get("lr", default_lr)
            keep = ("params", "lr", "param_names", "initial_lr")
            bare = [{k: v for k, v in group.items() if k in keep} for group in optimizer.param_groups]
            result[2] = torch.optim.AdamW(bare, lr=lr)
            self.asked.stood_in = True
            self.report.note(STAND_IN.format(f"bitsandbytes' {self.asked.name}"))
        self.first = first_state(result[2], self.whole)
        return tuple(result)

    def _tell_dropped(self, optimizer: Any) -> None:
        """An optimizer that keeps no LR of a group sets its own (Adafactor with relative_step)."""
        assert self.asked is not None
        if all(group.get("lr") is not None for group in optimizer.param_groups):
            return
        lrs = sorted({float(group["lr"]) for group in self.asked.groups if group["lr"] is not None})
        if len(lrs) < 2:
            self.report.note(f"{self.asked.name} sets its own LR: the one of the command is not used")
            return
        self.found = True
        span = f"{lrs[0]:.3g} to {lrs[-1]:.3g}"
        text = f"{self.asked.name} sets its own LR: the {len(lrs)} that the network asks for ({span}) are dropped"
        cure = "Add --optimizer_args relative_step=False scale_parameter=False warmup_init=False"
        self.report.find("optimizer", text, cure if self.asked.name == "Adafactor" else "")


def _listed(params: Any) -> list[Any]:
    return [params] if isinstance(params, torch.Tensor) else list(params)
