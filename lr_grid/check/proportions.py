"""LRs out of proportion to the run's base LR: mostly a forgotten x (1.5 in place of 1.5x), or one zero too many."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lr_grid.blocks import parse_block_values
from lr_grid.check.subject import Subject
from lr_grid.keys import split_section
from lr_grid.module_rules import parse_module_rules
from lr_grid.plan import Plan, Row, TrainerLrs
from lr_grid.values import Rate, rate
from lr_grid.words import COMPONENTS, MAIN_PART

MOST, LEAST = 10, 1 / 100
"""Factors of the base LR between which an LR is in proportion."""
_FORGOTTEN = 0.01
"""From here on an absolute LR looks like a multiple without its x."""


def out_of_proportion(lr: float, base: float) -> bool:
    """Whether an LR (absolute) is far from its base; a frozen one (0) is not."""
    return bool(lr and base) and not LEAST * (1 - 1e-9) <= abs(lr / base) <= MOST * (1 + 1e-9)


def check_proportions(subject: Subject, plan: Plan | None, lrs: TrainerLrs) -> None:
    """Notes settings whose LR is out of proportion, then cells of the plan that are so for another reason."""
    base = lrs.base
    told = False
    for key, entry, given in _absolute(subject):
        of = lrs.of_encoder(0) if split_section(key)[0] else base
        if out_of_proportion(given.value, of):
            told = True
            cure = (
                f"A multiple of the trainer's LR has an x: {given.value:g}x" if abs(given.value) >= _FORGOTTEN else ""
            )
            message = f"network_args: {entry} is {_times(given.value, of)} the base LR ({of:g})"
            subject.tell("warning", subject.config.network_args_where[key], message, cure)
    if plan is not None and not told:
        _check_cells(subject, plan, lrs)


def _times(lr: float, base: float) -> str:
    ratio = lr / base
    return f"{ratio:g} times" if abs(ratio) >= 1 else f"1/{1 / ratio:g} of"


def _absolute(subject: Subject) -> Iterator[tuple[str, str, Rate]]:
    """(key, the entry as it was written, LR) of the absolute LRs among --network_args; what does not parse is told
    elsewhere."""
    for key, text in subject.config.network_args.items():
        name = split_section(key)[1]
        try:
            if name == "component_lr":
                pairs = [item.rpartition(":") for item in text.split(",")]
                entries = [(f"{key}={component}:{value}", rate(value)) for component, _, value in pairs]
            elif name == "block_lr":
                entries = [(f"{key}={one.text}", one.value) for one in parse_block_values(text, rate).entries]
            elif name == "module_lr":
                entries = [(f"{key}={rule.pattern.pattern}", rule.value) for rule in parse_module_rules(text, rate)]
            elif name == "default_lr" or name.removesuffix("_lr") in COMPONENTS:
                entries = [(f"{key}={text}", rate(text))]
            else:
                continue
        except ValueError:
            continue
        yield from ((key, entry, value) for entry, value in entries if not value.relative)


def _check_cells(subject: Subject, plan: Plan, lrs: TrainerLrs) -> None:
    """Multiples and weights that come to an LR out of proportion; the up side of LoRA+ is meant to be high."""
    far: dict[str, list[Row]] = {}
    for row in plan.rows:
        if not row.frozen and out_of_proportion(_lr(row), _base(plan, row, lrs)):
            far.setdefault(row.rule, []).append(row)
    for rows in far.values():
        row = max(rows, key=lambda row: abs(math.log(abs(_lr(row) / _base(plan, row, lrs)))))
        base, lr = _base(plan, row, lrs), _lr(row)
        where = f"{row.site.stack} {row.site.block}, " if row.site.stack else ""
        message = f"{where}{row.site.component} gets {lr:g}, {_times(lr, base)} the base LR ({base:g}): {row.why}"
        more = f" (and {len(rows) - 1} more modules)" if len(rows) > 1 else ""
        subject.tell("warning", subject.place_of(row.rule), f"network_args: {message}{more}")


def _lr(row: Row) -> float:
    """Without LoRA+."""
    return row.lr_down or row.lr_up


def _base(plan: Plan, row: Row, lrs: TrainerLrs) -> float:
    return plan.base_lr if row.site.part == MAIN_PART else lrs.of_encoder(int(row.site.part[-1]) - 1)
