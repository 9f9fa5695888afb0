"""One optimizer group a part: the trainer's LR for it, and for each of its parameters a factor (``lr_scales``).

Schedulers and logs then see as many groups as there are parts, and another grid keeps the layout.
"""

from __future__ import annotations

from lr_grid.own_optimizers import takes_scales
from lr_grid.plan import Plan, lrs_of_rows


def base_lr(plan: Plan, part: str) -> float:
    """The LR (absolute) of a part's group: the trainer's for it, or where that is 0 the largest in it."""
    trainers = plan.part_lrs.get(part, 0.0)
    return trainers or max(abs(lr) for lr in lrs_of_rows(row for row in plan.rows if row.site.part == part))


def scheduled_lrs(plan: Plan, optimizer_type: str | None) -> list[float]:
    """The LRs (absolute) that a scheduler gets to see: those of the groups."""
    if not takes_scales(optimizer_type):
        return lrs_of_rows(plan.rows)
    return [base_lr(plan, part) for part in dict.fromkeys(row.site.part for row in plan.rows if not row.frozen)]
