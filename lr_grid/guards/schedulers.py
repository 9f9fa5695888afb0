"""Whether a scheduler keeps the ratios between the LRs of a grid: what to refuse, and what to tell."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lr_grid.guards.chosen import Chosen, warms_up
from lr_grid.guards.scheduler_table import FLATTENS, FLOOR, LISTS, SCHEDULERS, UNUSABLE

_USE = "Use constant, cosine, linear, polynomial or another that scales each group's own"
MOST_BEND = 0.1
"""By how much a floor may shift two groups' LRs against each other, on average over the run, before it is refused."""
_CLOSE = 1e-6
"""Relative, as in the proof at the first step."""
_MOST_LISTED = 8
_POLYNOMIAL_END = 1e-7
"""transformers' default of lr_end."""


def scheduler_refusals(args: argparse.Namespace, scheduler: Chosen, lrs: Sequence[float]) -> list[str]:
    """Why the run cannot train the grid with a scheduler, each with its cure.

    Args:
        lrs: the distinct LRs (absolute), in the order of the groups as far as it is known.
    """
    conduct = SCHEDULERS.get(scheduler.package, {}).get(scheduler.name)
    if conduct is None:
        return []
    shown, n = scheduler.option, len(lrs)
    if conduct.kind == UNUSABLE:
        return [f"{shown} {conduct.why}: the run stops. {conduct.cure or _USE}"]
    found = _that_stop(args, scheduler)
    if n < 2:
        return found
    if conduct.kind == FLATTENS:
        found.append(f"{shown} gives all groups one LR and flattens the grid's {n}. {_USE}")
    if scheduler.name == "rex" and warms_up(args):
        cure = "Leave --lr_warmup_steps out (rex without a warm-up keeps each group's own LR), or use cosine"
        found.append(f"{shown} with --lr_warmup_steps gives all groups one LR and flattens the grid's {n}. {cure}")
    if conduct.kind == LISTS:
        found += [text for option in conduct.options if (text := _list_problem(scheduler, option, lrs))]
    if conduct.kind == FLOOR and _bend(_floor(scheduler), lrs) > MOST_BEND:
        found.append(f"{_floor_text(scheduler, lrs)} {_floor_cure(scheduler)}")
    return found


def scheduler_notices(scheduler: Chosen, lrs: Sequence[float]) -> list[str]:
    """What the user should know where the run is right and something bends all the same."""
    conduct = SCHEDULERS.get(scheduler.package, {}).get(scheduler.name)
    if conduct is None:
        if not scheduler.package:
            return []  # a name that no trainer knows: it says so itself
        return [
            f"{scheduler.option} was not measured (docs/optimizers.md): whether it keeps the ratios of the grid's LRs"
            " is not known; lr-grid rehearse measures that"
        ]
    if len(lrs) > 1 and conduct.kind == FLOOR and 0 < _bend(_floor(scheduler), lrs) <= MOST_BEND:
        return [f"{_floor_text(scheduler, lrs)} {_floor_cure(scheduler)}"]
    if len(lrs) > 1 and conduct.kind == LISTS:
        peak = _numbers(scheduler.given.get(conduct.options[-1]))
        factor = max(map(abs, peak), default=0) / max(map(abs, lrs))
        if factor and abs(factor - 1) > _CLOSE:
            return [f"{scheduler.option} takes its LRs from {conduct.options[-1]}: {factor:.4g} times the grid's"]
    return []


def order_problems(scheduler: Chosen, lrs: Sequence[float]) -> list[str]:
    """Why lists of LRs do not fit the groups, one by one.

    Args:
        lrs: the LRs (absolute) of the groups, in their order.
    """
    conduct = SCHEDULERS.get(scheduler.package, {}).get(scheduler.name)
    if conduct is None or conduct.kind != LISTS or len(lrs) < 2:
        return []
    return [text for option in conduct.options if (text := _list_problem(scheduler, option, lrs, ordered=True))]


def _that_stop(args: argparse.Namespace, scheduler: Chosen) -> list[str]:
    """What stops the run before its first step, without a grid too, but after the model was loaded."""
    if scheduler.name == "polynomial":
        end = scheduler.given.get("lr_end", _POLYNOMIAL_END)
        base = getattr(args, "learning_rate", None)
        if base is not None and isinstance(end, (int, float)) and base <= end:
            return [
                f"{scheduler.option} ends at lr_end {end:g}, which must be below --learning_rate {base:g} (it does not"
                " look at the grid's LRs): the run stops. Give --learning_rate as the base of the grid, or a smaller"
                " lr_end in --lr_scheduler_args"
            ]
    if scheduler.name == "cosine_with_min_lr" and not {"min_lr", "min_lr_rate"} & scheduler.given.keys():
        share = getattr(args, "lr_scheduler_min_lr_ratio", 0)
        if share is None:
            return [f"{scheduler.option} needs its floor: the run stops. Add --lr_scheduler_min_lr_ratio 0.1"]
    return []


def _list_problem(scheduler: Chosen, option: str, lrs: Sequence[float], ordered: bool = False) -> str:
    """What is wrong with an option that must hold an LR for every group; empty for nothing."""
    value = scheduler.given.get(option)
    cure = "Use --lr_scheduler cosine with --lr_warmup_steps, which scales each group's own"
    if len(lrs) <= _MOST_LISTED:
        listed = ",".join(f"{lr:.9g}" for lr in lrs)
        cure = f"Give one for each group, {option}=[{listed}], or use --lr_scheduler cosine with --lr_warmup_steps"
    if not isinstance(value, (list, tuple)):
        return f"{scheduler.option} gives all groups one LR and flattens the grid's {len(lrs)}. {cure}"
    numbers = _numbers(value)
    given, wanted = (numbers, list(lrs)) if ordered else (sorted(set(numbers)), sorted(set(lrs)))
    if len(numbers) != len(lrs) or not _in_proportion(given, wanted):
        shown = ",".join(f"{number:.9g}" for number in numbers[:_MOST_LISTED])
        more = f", ... ({len(numbers)})" if len(numbers) > _MOST_LISTED else ""
        return f"{scheduler.option}: {option}=[{shown}{more}] is not in proportion to the grid's {len(lrs)} LRs. {cure}"
    return ""


def _numbers(value: object) -> list[float]:
    items = value if isinstance(value, (list, tuple)) else [value]
    return [float(item) for item in items if isinstance(item, (int, float)) and not isinstance(item, bool)]


def _in_proportion(given: Sequence[float], wanted: Sequence[float]) -> bool:
    if len(given) != len(wanted) or not all(wanted):
        return False
    factors = [a / b for a, b in zip(given, wanted, strict=True)]
    return factors[0] > 0 and all(abs(factor / factors[0] - 1) <= _CLOSE for factor in factors)


def _floor(scheduler: Chosen) -> float:
    found = _numbers(scheduler.given.get("eta_min", 0))
    return found[0] if found else 0.0


def _bend(floor: float, lrs: Sequence[float]) -> float:
    """By how much a floor shifts the largest and the smallest LR against each other: 0.1 is 10 %.

    An annealed LR is (lr + floor) / 2 on average, 1 + floor / lr times what it is without the floor.
    """
    shares = [1 + floor / lr for lr in lrs]
    return max(shares) / min(shares) - 1 if min(shares) > 0 else float("inf")


def _floor_text(scheduler: Chosen, lrs: Sequence[float]) -> str:
    floor, least = _floor(scheduler), min(lrs, key=abs)
    far = _bend(floor, lrs)
    much = f"by {far:.1%} over the run" if far != float("inf") else "and a negative LR becomes a positive one"
    return (
        f"{scheduler.option}: eta_min={floor:g} is one absolute LR for all groups, at which the grid's ratios end as"
        f" 1:1 (an LR of {least:g} gains on the highest {much})."
    )


def _floor_cure(scheduler: Chosen) -> str:
    return "Use eta_min=0, or --lr_scheduler cosine_with_min_lr --lr_scheduler_min_lr_ratio 0.1, a share of each LR"
