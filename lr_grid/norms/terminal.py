"""The heat map of norms in a terminal. Needs rich."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lr_grid.norms.heat import HeatTable, cell_text, heat_tables, means, middle
from lr_grid.norms.read import NormsRun
from lr_grid.norms.series import WHATS
from lr_grid.report.terminal import legend, tint


def heat_view(run: NormsRun, what: str, side: str | None) -> RenderableType:
    """Blocks down, components across, stack by stack: the mean over time, tinted against the geometric mean of all."""
    tables = heat_tables(run, what, side)
    centre = middle(means(tables))
    lines: list[RenderableType] = [_table(table, centre) for table in tables]
    if centre is not None:
        lines.append(legend(f"{WHATS[what]} against the geometric mean of all cells ({centre:.2g})"))
    lines += [Text(note, "yellow") for note in _notes(tables)]
    return Group(*lines)


def _table(table: HeatTable, centre: float | None) -> Table:
    drawn = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    drawn.add_column(table.name, no_wrap=True)
    for component in table.components:
        drawn.add_column(f" {component}", no_wrap=True)
    for block in table.blocks:
        row = [Text("" if block is None else str(block))]
        for component in table.components:
            cell = table.cells.get((block, component))
            if cell is None:
                row.append(Text(" -"))
            else:
                style = tint(cell.mean / centre) if cell.mean and centre else "dim"
                row.append(Text(f" {cell_text(cell)} ", style))
        drawn.add_row(*row)
    return drawn


def _notes(tables: list[HeatTable]) -> Iterator[str]:
    cells = [cell for table in tables for cell in table.cells.values()]
    wrong = [cell for cell in cells if cell.not_finite]
    if wrong:
        most = max(cell.not_finite for cell in wrong)
        yield f"!, nan: NaN or infinity in {len(wrong)} cells, in up to {most} steps; the means are over the others"
    if any(cell.mean is None and not cell.not_finite for cell in cells):
        yield "none: nothing there was measured (no gradient, or weights that are 0 and stay 0)"
