"""The printed grid: blocks down, components across, the LR in each cell, stack by stack."""

from __future__ import annotations

from collections.abc import Sequence

from lr_grid.blocks import compact
from lr_grid.plan import Plan
from lr_grid.report.cells import Cell, Table, encoder_cells, has_loraplus, tables
from lr_grid.words import MAIN_PART

PREFIX = "[lr_grid]"


def render(plan: Plan, groups: int, params: int) -> str:
    """The whole printed text. LRs are absolute; ``a/b`` is down side/up side, ``a..b`` a range, ``x2`` two modules.

    Args:
        groups, params: how many optimizer groups there are, and how many tensors they hold.
    """
    frozen = sum(row.frozen for row in plan.rows)
    facts = [("model", plan.family), *plan.header, ("base_lr", f"{plan.base_lr:g}"), ("groups", str(groups))]
    facts += [("params", str(params)), ("modules", str(len(plan.rows) - frozen)), ("frozen_modules", str(frozen))]
    lines = [f"{PREFIX} " + " ".join(f"{key}={value}" for key, value in facts)]
    if has_loraplus(plan.rows):
        lines.append(f"{PREFIX} LoRA+ is on: LRs are down side/up side")
    for table in tables(plan):
        lines += _render_table(table, any(has_loraplus(cell.trained) for cell in table.cells.values()))
    for part, cell in encoder_cells(plan).items():
        lines.append(f"{part} (text encoder)  {_cell(cell, has_loraplus(cell.trained))}")
    lines += [f"{PREFIX} note: {notice}" for notice in plan.notices]
    return "\n".join(lines)


def _render_table(table: Table, both: bool) -> list[str]:
    body: list[tuple[list[int | None], list[str]]] = []
    for block in table.blocks:
        if not any((block, component) in table.cells for component in table.components):
            continue
        texts = [_cell(table.cells.get((block, component)), both) for component in table.components]
        if body and body[-1][1] == texts:
            body[-1][0].append(block)
        else:
            body.append(([block], texts))
    name = "outside" if table.stack is None else table.stack
    if table.part != MAIN_PART:
        name = f"{table.part} {name}"
    rows = [[name, *table.components]]
    for blocks, texts in body:
        rows.append(["" if blocks == [None] else compact([b for b in blocks if b is not None]), *texts])
    return _align(rows)


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cell(cell: Cell | None, both: bool) -> str:
    if cell is None:
        return "-"
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
