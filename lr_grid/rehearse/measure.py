"""Measures what the optimizer does: with the same gradient everywhere, a tensor's movement tells the LR it got."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from lr_grid.rehearse.cells import Cells
from lr_grid.rehearse.corner import keep_corners, start_over
from lr_grid.rehearse.job import Job, Report
from lr_grid.rehearse.optimizer import Optimizers
from lr_grid.rehearse.schedule import Schedule, initial_lrs
from lr_grid.scales import lrs_of
from lr_grid.steps import StepWatch

TOLERANCE = 0.02
"""Of a movement against the LR; float32 gives 1e-6, optimizers with an epsilon some 1e-3."""


@dataclass(eq=False)
class Step:
    """One step of the optimizer."""

    lrs: dict[int, float | None]
    """Parameter id -> the LR (absolute) of its group."""
    moved: dict[int, float] = field(default_factory=dict)
    """Parameter id -> the mean movement of an element."""


class Measure:
    """Watches the steps of the optimizer that holds the network."""

    def __init__(
        self,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        resume: str | None,
        job: Job,
        optimizers: Optimizers,
        schedule: Schedule,
        report: Report,
    ) -> None:
        self.report, self.resume, self.optimizer = report, resume, optimizer
        self.asked, self.optimizers, self.schedule = optimizers.asked, optimizers, schedule
        self.held = [p for group in optimizer.param_groups for p in group["params"]]
        self.cells = Cells(network, optimizers.asked.groups if optimizers.asked else optimizer.param_groups)
        self.shapes = sum(p.numel() for p in self.held)
        self._tell_resume()
        everything = list({id(p): p for p in (*network.parameters(), *self.held)}.values())
        self.loose = self._loose(network)
        keep_corners(everything, job.whole)
        start_over(optimizer, optimizers.first)
        self.everything = everything
        self.steps: list[Step] = []
        self._before: dict[int, torch.Tensor] = {}
        self._watch = StepWatch(self.held, self._pre, self._post)

    def loss(self) -> torch.Tensor:
        """A loss with gradient 1 in every element that wants one."""
        training = [p for p in self.everything if p.requires_grad]
        return torch.stack([p.sum() for p in training]).sum()

    def close(self) -> None:
        """No more watching."""
        self._watch.close()

    def _pre(self, optimizer: Any) -> None:
        lrs: dict[int, float | None] = {}
        for group in optimizer.param_groups:
            own = lrs_of(group) if group.get("lr") is not None else [None] * len(group["params"])
            lrs |= zip(map(id, group["params"]), own, strict=True)
        self.steps.append(Step(lrs))
        self._before = {id(p): p.detach().clone() for p in self.held}

    def _post(self, optimizer: Any) -> None:
        moved = self.steps[-1].moved
        for p in self.held:
            moved[id(p)] = float((p.detach() - self._before[id(p)]).abs().mean())

    def _loose(self, network: torch.nn.Module) -> int:
        """How many of the network's tensors want a gradient and are in no group."""
        held = {id(p) for p in self.held}
        return sum(p.requires_grad and id(p) not in held for p in network.parameters())

    def _tell_resume(self) -> None:
        """What came back of a saved state. (Its moments are not the same everywhere: the measuring starts without.)"""
        folder = self.resume
        if not folder:
            return
        states = [self.optimizer.state.get(p) for p in self.held]
        loaded = [state for state in states if state]
        wrong = 0
        for p, state in zip(self.held, states, strict=True):
            moments = [v for k, v in (state or {}).items() if isinstance(v, torch.Tensor) and v.dim() and "exp" in k]
            wrong += any(moment.shape != p.shape for moment in moments)
        if wrong:
            self.report.find(
                "resume",
                f"{wrong} of {len(self.held)} tensors got another tensor's moments from {folder}: their shapes differ",
                "Resume with the arguments of the saved run, or start from its LoRA with --network_weights",
            )
        now = initial_lrs(self.optimizer)
        old = [i for i, lr in self.schedule.initial.items() if abs(now.get(i, lr) - lr) > 1e-6 * abs(lr)]
        if old:
            first = self.schedule.initial[old[0]]
            self.report.find(
                "resume",
                f"{folder} brings the saved LRs back for {len(old)} tensors (e.g. {now[old[0]]:.3g}, the command says"
                f" {first:.3g})",
                "Under lr-grid's module resume_grid=remap makes the new ones count; or go on with --network_weights",
            )
        elif not wrong:
            self.report.verify("resume", f"{folder}: {len(loaded)} of {len(self.held)} tensors have saved moments")
        self.report.data["resume"] = {"tensors": len(self.held), "with_moments": len(loaded), "wrong_shapes": wrong}

    def best_step(self) -> Step | None:
        """The last step in which anything moved."""
        return next((step for step in reversed(self.steps) if any(step.moved.values())), None)
