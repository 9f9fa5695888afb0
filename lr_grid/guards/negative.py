"""Negative LRs (unlearning) and the optimizers that cannot climb."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from lr_grid.errors import Problems
from lr_grid.guards.chosen import Chosen, optimizer_of


def _refuses(name: str) -> str:
    """Why an optimizer (its class in lower case) cannot take a negative LR; empty where it can."""
    if name == "radamschedulefree":
        return "weighs its steps by the largest LR so far, which stays 0, so nothing would move"
    if name.startswith(("dadapt", "prodigy")):
        return "estimates its step size on the way down, so a way up has none"
    return ""


def check_negative(args: argparse.Namespace, lrs: Iterable[float]) -> None:
    """Raises GridError for a negative LR (unlearning) where the trainer's optimizer does not take one."""
    problems = Problems()
    note_negative(args, sorted(set(lrs)), problems)
    problems.raise_if_any()


def note_negative(args: argparse.Namespace, lrs: Sequence[float], problems: Problems) -> None:
    """Notes what stands against the negative ones among absolute LRs."""
    least = min(lrs, default=0)
    if least >= 0:
        return
    note_negative_of(optimizer_of(args), lrs, problems)
    if (getattr(args, "learning_rate", None) or 0) < 0:
        problems.add(
            f"--learning_rate {args.learning_rate:g}: optimizers refuse a negative default LR; give --learning_rate as"
            " a positive number and the negative one as --unet_lr or in the grid"
        )


def note_negative_of(optimizer: Chosen, lrs: Sequence[float], problems: Problems) -> None:
    """Notes an optimizer that cannot take the negative ones among absolute LRs."""
    least, reason = min(lrs, default=0), _refuses(optimizer.name)
    if least < 0 and reason:
        problems.add(f"an LR of {least:g} is negative (unlearning), and {optimizer.option} {reason}. Use AdamW")
