"""The printed grid with colour: cells tinted by their LR against the base LR. Needs rich."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table as RichTable
from rich.text import Text

from lr_grid.plan import Plan
from lr_grid.report.cells import Cell, Table, encoder_cells, has_loraplus, tables
from lr_grid.report.columns import folded, table_name
from lr_grid.report.diff import CellDiff, PlanDiff
from lr_grid.report.ranks import rank_cell, rank_lines, size_line
from lr_grid.report.text import LORAPLUS_IS_ON, cell_text, header
from lr_grid.sizes import parameters

_OCTAVES = 4
"""A factor of 2 to this power, up or down, has the full colour; beyond it nothing gets stronger."""
_COLD, _WARM = (40, 95, 190), (215, 110, 20)
"""RGB of LRs far below and far above the base (blue and orange: told apart by every kind of colour vision)."""
_NEUTRAL = (88, 88, 88)
_FROZEN = Style(dim=True)


def plan_view(plan: Plan, groups: int, params: int) -> RenderableType:
    """The whole plan: what the run prints, with the LRs tinted."""
    lines: list[RenderableType] = [Text(header(plan, groups, params), "bold")]
    if has_loraplus(plan.rows):
        lines.append(Text(LORAPLUS_IS_ON))
    lines += _lr_tables(plan)
    lines.append(legend("LR against the base LR"))
    ranks = rank_lines(plan)
    if ranks:
        lines.append(Text(ranks[0]))
        if len(ranks) > 1:
            lines += [_table(table, rank_cell, _plain) for table in tables(plan)]
    if parameters(plan):
        lines.append(Text(size_line(plan)))
    lines += [Text(f"note: {notice}", "yellow") for notice in plan.notices]
    return Group(*lines)


def diff_view(first: Plan, second: Plan) -> RenderableType:
    """The second plan's LRs over the first's; ``new`` and ``gone`` count modules that train in one only.

    Raises: GridError where the plans are of different models.
    """
    diff = PlanDiff(first, second)
    lines: list[RenderableType] = []
    for table in tables(diff.joined):
        both = any(of.down != of.up for of in map(diff.of, table.cells.values()))
        lines.append(_table(table, partial(_diff_text, diff, both), partial(_by_ratio, diff)))
    for part, cell in encoder_cells(diff.joined).items():
        of = diff.of(cell)
        lines.append(Text(f"{part} (text encoder)  {diff_text(of, of.down != of.up)}"))
    lines.append(legend("second LR over first"))
    if diff.ranks_differ():
        lines.append(Text("ranks or alphas differ, too: show each grid by itself"))
    return Group(*lines)


def _diff_text(diff: PlanDiff, both: bool, cell: Cell) -> str:
    return diff_text(diff.of(cell), both)


def diff_text(diff: CellDiff, both: bool) -> str:
    """``x0.5``, ``x0.5/x8`` (down/up side), ``x0.5..x2``; ``-`` where nothing trains in either."""
    words = []
    if diff.down:
        words.append(_span(diff.down) + (f"/{_span(diff.up)}" if both else ""))
    words += [f"new x{diff.new}"] if diff.new else []
    words += [f"gone x{diff.gone}"] if diff.gone else []
    return " ".join(words) or "frozen"


def legend(words: str) -> Text:
    """What the colours mean."""
    text = Text(f"{words}: ")
    for power in range(-_OCTAVES, _OCTAVES + 1, 2):
        text.append(f" x{2.0**power:.4g} ", tint(2.0**power))
    return text


def tint(factor: float) -> Style:
    """The background of an LR that is ``factor`` times the base: blue below, grey at, orange above it."""
    share = max(-1.0, min(1.0, math.log2(factor) / _OCTAVES)) if factor > 0 else -1.0
    end = _WARM if share > 0 else _COLD
    red, green, blue = (round(a + (b - a) * abs(share)) for a, b in zip(_NEUTRAL, end, strict=True))
    return Style(color="rgb(255,255,255)", bgcolor=f"rgb({red},{green},{blue})")


def _lr_tables(plan: Plan) -> Iterator[RenderableType]:
    for table in tables(plan):
        both = any(has_loraplus(cell.trained) for cell in table.cells.values())
        yield _table(table, partial(cell_text, both=both), partial(_by_lr, plan.base_lr))
    for part, cell in encoder_cells(plan).items():
        yield Text(f"{part} (text encoder)  {cell_text(cell, has_loraplus(cell.trained))}")


def _plain(_: Cell, text: str) -> Text:
    return Text(f" {text} ")


def _by_lr(base: float, cell: Cell, text: str) -> Text:
    lrs = [abs(lr) for lr in cell.lrs("down")]
    return Text(f" {text} ", tint(_mean(lrs) / abs(base)) if lrs and base else _FROZEN)


def _mean(values: Sequence[float]) -> float:
    """Geometric mean."""
    return math.exp(sum(math.log(value) for value in values) / len(values))


def _by_ratio(diff: PlanDiff, cell: Cell, text: str) -> Text:
    ratios = [abs(ratio) for ratio in diff.of(cell).down if ratio]
    return Text(f" {text} ", tint(_mean(ratios)) if ratios else _FROZEN)


def _table(table: Table, text_of: Callable[[Cell], str], draw: Callable[[Cell, str], Text]) -> RichTable:
    drawn = RichTable(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    drawn.add_column(table_name(table), no_wrap=True)
    for component in table.components:
        drawn.add_column(f" {component}", no_wrap=True)
    for blocks, texts, cells in folded(table, text_of):
        row = [draw(cell, text) if cell is not None else Text(" -") for text, cell in zip(texts, cells, strict=True)]
        drawn.add_row(Text(blocks), *row)
    return drawn


def _span(ratios: Sequence[float]) -> str:
    low, high = f"x{ratios[0]:.3g}", f"x{ratios[-1]:.3g}"
    return low if low == high else f"{low}..{high}"
