"""Optimizers and schedulers that cannot obey the plan, and options that do nothing: lr_grid.guards, before the run."""

from __future__ import annotations

from lr_grid.arguments import settings_among
from lr_grid.check.network_module import has_grid
from lr_grid.check.subject import Subject
from lr_grid.errors import GridError
from lr_grid.folding import scheduled_lrs
from lr_grid.guards import bending, check_optimizer, idle_options
from lr_grid.keys import is_grid_key
from lr_grid.models.blueprint import known_arguments
from lr_grid.plan import Plan, lrs_of_rows
from lr_grid.quirks import takes_a_dropout

_NAMING = ("optimizer_type", "optimizer_args", "lr_scheduler_type", "lr_scheduler_args")


def check_optimizers(subject: Subject, plan: Plan | None, base: str) -> None:
    """Notes an optimizer or scheduler that would flatten the plan's LRs, and idle options of the trainer.

    Args:
        plan: of the run; None where it is not known (then one is told only of a grid with any setting of LRs).
        base: the wrapped module.
    """
    config = subject.config
    if not has_grid(str(config.values.get("network_module") or "")):
        return
    takes_dropout = "dropout" in config.network_args if base.startswith("lycoris") else takes_a_dropout(base)
    subject.tell_each("warning", idle_options(subject.args, base, takes_dropout), "network_dropout")
    if not any(map(is_grid_key, settings_among(base, known_arguments().get(base), config.network_args))):
        return
    lrs = lrs_of_rows(plan.rows if plan else ())
    scheduled = scheduled_lrs(plan, getattr(subject.args, "optimizer_type", None)) if plan else None
    try:
        check_optimizer(subject.args, lrs, scheduled)
    except GridError as error:
        subject.tell_each("error", error.problems, "optimizer_type")
    else:
        if all(map(subject.is_known, _NAMING)):
            subject.tell_each("warning", bending(subject.args, lrs, scheduled), "optimizer_type")
