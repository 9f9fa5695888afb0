"""The printed grid: blocks down, components across, the LR in each cell, stack by stack; then ranks and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from lr_grid.plan import Plan
from lr_grid.report.cells import Cell, encoder_cells, has_loraplus, tables
from lr_grid.report.columns import render_table
from lr_grid.report.ranks import rank_lines, size_line
from lr_grid.sizes import parameters

PREFIX = "[lr_grid]"
LORAPLUS_IS_ON = "LoRA+ is on: LRs are down side/up side"


def render(plan: Plan, groups: int, params: int) -> str:
    """The whole printed text. LRs are absolute; ``a/b`` is down side/up side, ``a..b`` a range, ``x2`` two modules.

    Args:
        groups, params: how many optimizer groups there are, and how many tensors they hold.
    """
    lines = [f"{PREFIX} {header(plan, groups, params)}"]
    if has_loraplus(plan.rows):
        lines.append(f"{PREFIX} {LORAPLUS_IS_ON}")
    for table in tables(plan):
        both = any(has_loraplus(cell.trained) for cell in table.cells.values())
        lines += render_table(table, partial(cell_text, both=both))
    for part, cell in encoder_cells(plan).items():
        lines.append(f"{part} (text encoder)  {cell_text(cell, has_loraplus(cell.trained))}")
    ranks = rank_lines(plan)
    if ranks:
        lines += [f"{PREFIX} {ranks[0]}", *ranks[1:]]
    if parameters(plan):
        lines.append(f"{PREFIX} {size_line(plan)}")
    lines += [f"{PREFIX} note: {notice}" for notice in plan.notices]
    return "\n".join(lines)


def header(plan: Plan, groups: int, params: int) -> str:
    """The first line: model, strategy, counts."""
    frozen = sum(row.frozen for row in plan.rows)
    facts = [("model", plan.family), *plan.header, ("base_lr", f"{plan.base_lr:g}"), ("groups", str(groups))]
    facts += [("params", str(params)), ("modules", str(len(plan.rows) - frozen)), ("frozen_modules", str(frozen))]
    return " ".join(f"{key}={value}" for key, value in facts)


def cell_text(cell: Cell, both: bool) -> str:
    """The LRs of a cell; ``both``: of both sides."""
    trained = len(cell.trained)
    if not trained:
        return f"frozen x{len(cell.rows)}"
    text = _span(cell.lrs("down"))
    if both:
        text += "/" + _span(cell.lrs("up"))
    text += f" x{trained}"
    return text if trained == len(cell.rows) else f"{text} (frozen x{len(cell.rows) - trained})"


def _span(lrs: Sequence[float]) -> str:
    low, high = f"{lrs[0]:.2e}", f"{lrs[-1]:.2e}"
    return low if low == high else f"{low}..{high}"
