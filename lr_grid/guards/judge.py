"""Optimizer and scheduler of a run held against the LRs of its grid."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from lr_grid.errors import Problems
from lr_grid.guards.chosen import optimizer_of, scheduler_of
from lr_grid.guards.negative import note_negative
from lr_grid.guards.optimizers import optimizer_notice, optimizer_refusal
from lr_grid.guards.schedulers import order_problems, scheduler_notices, scheduler_refusals
from lr_grid.own_optimizers import unknown_name


def _distinct(lrs: Iterable[float]) -> list[float]:
    """In their first order; LRs that differ only by rounding share a group (groups.py), so they are one here."""
    found: dict[str, float] = {}
    for lr in lrs:
        found.setdefault(f"{lr:.12g}", lr)
    return list(found.values())


def check_optimizer(args: argparse.Namespace, lrs: Iterable[float], scheduled: Iterable[float] | None = None) -> None:
    """Raises GridError where the trainer's optimizer or scheduler cannot give the groups of a grid their LRs.

    Args:
        args: the trainer's arguments.
        lrs: the absolute LRs of all parameters.
        scheduled: those of the groups, where parameters of one group have factors on its LR (folding.py).
    """
    distinct = _distinct(lrs)
    seen = distinct if scheduled is None else _distinct(scheduled)
    problems = Problems()
    unknown = unknown_name(getattr(args, "optimizer_type", None))
    if unknown:
        problems.add(unknown)
    unet_lr = getattr(args, "unet_lr", None)
    base = getattr(args, "learning_rate", None) if unet_lr is None else unet_lr
    refused = optimizer_refusal(optimizer_of(args), distinct, base)
    if refused:
        problems.add(refused)
    scheduler = scheduler_of(args)
    if scheduler is not None:
        problems.add_all(scheduler_refusals(args, scheduler, seen))
    note_negative(args, distinct, problems)
    problems.raise_if_any()


def bending(args: argparse.Namespace, lrs: Iterable[float], scheduled: Iterable[float] | None = None) -> list[str]:
    """Lines about what bends where the run is right: how optimizer and scheduler take the LRs of a grid.

    Args: as of ``check_optimizer``, which says what is wrong.
    """
    distinct = _distinct(lrs)
    seen = distinct if scheduled is None else _distinct(scheduled)
    told = [optimizer_notice(optimizer_of(args), distinct)]
    scheduler = scheduler_of(args)
    if scheduler is not None:
        told += scheduler_notices(scheduler, seen)
    return [text for text in told if text]


def check_groups(args: argparse.Namespace, lrs: Iterable[float]) -> None:
    """Raises GridError where a scheduler's list of LRs does not fit the groups one by one.

    Args:
        args: the trainer's arguments.
        lrs: the absolute LR of each group, in their order.
    """
    problems = Problems()
    scheduler = scheduler_of(args)
    if scheduler is not None:
        problems.add_all(order_problems(scheduler, list(lrs)))
    problems.raise_if_any()
