"""Puts a grid on a live optimizer of a full fine-tuning: plans, tells, freezes, has the first step proven."""

from __future__ import annotations

import argparse
import weakref
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer

from lr_grid.errors import GridError, Problems, listed
from lr_grid.full.arguments import PLAN_FILE
from lr_grid.full.callers import callers
from lr_grid.full.grid import OptimizerGrid
from lr_grid.full.parts import Parts
from lr_grid.full.run import FullRun, plan_path, run_for
from lr_grid.full.stepping import split_steps
from lr_grid.guards.chosen import Chosen
from lr_grid.guards.negative import note_negative_of
from lr_grid.guards.optimizers import optimizer_notice, optimizer_refusal
from lr_grid.norms.start import norms_file, start_norms
from lr_grid.plan import lr_key, lrs_of_rows
from lr_grid.proof import Proof
from lr_grid.report.announce import say
from lr_grid.report.trackers import log_picture
from lr_grid.scales import SCALES

_MANY = 64
"""From so many distinct LRs on, an optimizer that takes a group each is slower than it has to be."""
GRID = "_lr_grid"
"""The attribute of an optimizer that has a grid."""


def attach(
    optimizer: Optimizer, grid: Mapping[str, Any], named: str = "", options: Mapping[str, Any] | None = None
) -> Optimizer:
    """Puts a grid on an optimizer that has just been made of a model's bare tensors, and returns it.

    Its groups stay what they are; each gets a factor for each of its parameters (``lr_scales``), by which step()
    multiplies the group's LR. An LR of 0 sets ``requires_grad=False``.

    Args:
        grid: settings (``{"self_attn_lr": "1.5x"}``), and ``plan_file``.
        named: what the optimizer is called in the plan; its class, where that is not said.
        options: its own options, to judge whether it obeys a grid.

    Raises: GridError with every problem, before anything has changed.
    """
    if hasattr(optimizer, GRID):
        raise GridError([f"{type(optimizer).__name__} has a grid already"])
    takes_scales = getattr(optimizer, "takes_lr_scales", False)
    frames = callers()
    name = named or f"{type(optimizer).__module__}.{type(optimizer).__name__}"
    run, new = run_for(optimizer.param_groups, grid, frames)
    if new:
        path = plan_path(grid.get(PLAN_FILE), run.args)
        several = len(run.groups) > len(optimizer.param_groups)
        run.note(_judge(run, name, {} if options is None else options, takes_scales, several))
        run.freeze()
        run.announce(name, path)
    settled = OptimizerGrid(optimizer.param_groups, run.planning.tensors, run.settings.resume_grid, run)
    if takes_scales:
        optimizer.register_step_pre_hook(lambda *_: settled.drop_frozen())
    else:
        settled.parts = Parts(optimizer.param_groups)
        split_steps(optimizer)
    setattr(optimizer, GRID, settled)
    settled.proof = _proof(optimizer, run)
    if run.settings.log_grad_norms and new:
        recorder = start_norms(run.plan, run.planning.modules, path and norms_file(path))
        if recorder is not None:
            weakref.finalize(optimizer, recorder.close)
    return optimizer


def _judge(run: FullRun, name: str, options: Mapping[str, Any], takes_scales: bool, several: bool) -> list[str]:
    """What the user should know of the optimizer under this plan.

    Raises: GridError where it cannot train it.
    """
    lrs = list({lr_key(lr): lr for lr in lrs_of_rows(run.plan.rows)}.values())
    chosen = Chosen(f"the optimizer {name}", name.partition(".")[0].lower(), name.rpartition(".")[2].lower(), options)
    problems = Problems()
    refused = optimizer_refusal(chosen, lrs, run.plan.base_lr)
    if refused:
        problems.add(refused)
    note_negative_of(chosen, lrs, problems)
    if several and run.settings.log_grad_norms:
        problems.add("log_grad_norms: this run has an optimizer for every group of parameters, and no common step")
    fused = getattr(run.args, "fused_backward_pass", False)  # there each tensor is moved by itself
    if fused and chosen.name != "adafactor":
        problems.add(
            f"--fused_backward_pass takes Adafactor alone, not {name}: give --optimizer_type adafactor and start the"
            " command by lr-grid launch"
        )
    if fused and run.settings.log_grad_norms:
        problems.add("log_grad_norms: with --fused_backward_pass there is no step at which all gradients are there")
    problems.raise_if_any()
    lines = [] if takes_scales else [optimizer_notice(chosen, lrs)]
    if not takes_scales and not fused and len(lrs) > _MANY:
        lines.append(
            f"{len(lrs)} distinct LRs: {name} takes each as a group of its own, which costs time in every step;"
            " depth_levels=8 makes them fewer, lr_grid.optim.AdamW takes all in one pass"
        )
    if several and getattr(run.args, "resume", None):
        lines.append(f"the trainer restores the state of the first of its {len(run.groups)} optimizers only")
    return [line for line in lines if line]


def _proof(optimizer: Optimizer, run: FullRun) -> Proof:
    """Watches for the optimizer's first step."""
    count = len(run.groups)
    single = len(optimizer.param_groups) == count

    def tell(line: str) -> None:
        run.proven += 1
        if single:
            say(line)
        elif run.proven == 1:
            say(f"{line} (the first of {count} optimizers; the others are held against the plan in silence)")

    held = weakref.ref(optimizer)

    def begin() -> None:
        if run.proven == 0 and run.args is not None:
            log_picture(run.plan, run.args)
        _tell_without_gradient(held(), run)

    args = run.args or argparse.Namespace()
    groups = [{**group, SCALES: list(group[SCALES])} for group in optimizer.param_groups]
    resumed, keeps = bool(getattr(args, "resume", None)), run.settings.resume_grid == "keep"
    return Proof(groups, {}, tell, resumed=resumed, at_first_step=begin, own_lrs=not (resumed and keeps))


def _tell_without_gradient(optimizer: Optimizer | None, run: FullRun) -> None:
    """Says at the first step which tensors of the plan no gradient has reached."""
    if optimizer is None or getattr(run.args, "fused_backward_pass", False):
        return
    planned = run.planning.tensors
    tensors = (tensor for group in optimizer.param_groups for tensor in group["params"] if tensor.grad is None)
    names = [planned[id(t)].name for t in tensors if id(t) in planned and planned[id(t)].lr != 0]
    if names:
        say(
            f"note: {len(names)} tensors of the plan have no gradient at the first step and do not move"
            f" ({listed(names, 3)}): the trainer's forward pass does not use them, or the trainer has frozen them"
        )
