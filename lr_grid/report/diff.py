"""Two plans of one model, cell by cell: the LRs of the second over those of the first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lr_grid.errors import GridError
from lr_grid.plan import Plan
from lr_grid.report.cells import Cell, Table, tables


@dataclass(frozen=True, slots=True)
class CellDiff:
    """One cell of two plans."""

    down: tuple[float, ...]
    """Distinct ratios second/first of the down sides of modules that train in both, lowest first."""
    up: tuple[float, ...]
    """The same of the up sides."""
    gone: int
    """Modules that train in the first plan only."""
    new: int
    """Modules that train in the second plan only."""

    @property
    def changed(self) -> bool:
        """Whether anything differs."""
        return bool(self.gone or self.new) or any(ratio != 1 for ratio in (*self.down, *self.up))


def diff_cell(cell: Cell, other: Cell | None) -> CellDiff:
    """What became of the modules of a cell in the other plan."""
    theirs = {row.site.name: row for row in other.trained} if other else {}
    mine = {row.site.name: row for row in cell.trained}
    both = [(row, theirs[name]) for name, row in mine.items() if name in theirs]
    down = _ratios((a.lr_down or a.lr_up, b.lr_down or b.lr_up) for a, b in both)
    up = _ratios((a.lr_up, b.lr_up) for a, b in both)
    return CellDiff(down, up, len(mine.keys() - theirs.keys()), len(theirs.keys() - mine.keys()))


def diff_tables(first: Plan, second: Plan) -> list[tuple[Table, dict[int, CellDiff]]]:
    """The first plan's tables, with what differs in each cell by ``id(cell)``.

    Raises: GridError where the plans are of different models.
    """
    if (first.family, first.stacks) != (second.family, second.stacks):
        raise GridError([f"diff: one grid is for {first.family}, the other for {second.family}"])
    others = {(table.part, table.stack): table for table in tables(second)}
    found = []
    for table in _with_missing(tables(first), tables(second)):
        other = others.get((table.part, table.stack))
        cells = {id(cell): diff_cell(cell, other.cells.get(at) if other else None) for at, cell in table.cells.items()}
        found.append((table, cells))
    return found


def _with_missing(own: list[Table], others: Iterable[Table]) -> list[Table]:
    """The tables, with empty cells where only the other plan has modules."""
    by_place = {(table.part, table.stack): table for table in own}
    for other in others:
        place = (other.part, other.stack)
        if place not in by_place:
            by_place[place] = Table(other.part, other.stack, other.blocks, list(other.components), {})
            own.append(by_place[place])
        table = by_place[place]
        table.components += [c for c in other.components if c not in table.components]
        for at in other.cells:
            table.cells.setdefault(at, Cell())
    return own


def _ratios(pairs: Iterable[tuple[float, float]]) -> tuple[float, ...]:
    # Six digits: LRs that differ only by rounding are the same.
    return tuple(sorted({float(f"{second / first:.6g}") for first, second in pairs}))


def diff_to_list(first: Plan, second: Plan) -> list[dict[str, Any]]:
    """The cells that differ as plain data. Raises: as ``diff_tables``."""
    return [
        {
            "part": table.part,
            "stack": table.stack,
            "block": block,
            "component": component,
            "ratio_down": list(cells[id(cell)].down),
            "ratio_up": list(cells[id(cell)].up),
            "gone": cells[id(cell)].gone,
            "new": cells[id(cell)].new,
        }
        for table, cells in diff_tables(first, second)
        for (block, component), cell in table.cells.items()
        if cells[id(cell)].changed
    ]
