"""Two plans of one model, module by module: the LRs of the second over those of the first.

What is printed, drawn and written as JSON of two plans goes by this.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from lr_grid.errors import GridError
from lr_grid.plan import Plan, Row
from lr_grid.report.cells import Cell, encoder_cells, tables


@dataclass(frozen=True, slots=True)
class CellDiff:
    """What became of the modules of one cell."""

    down: tuple[float, ...]
    """Distinct ratios second/first of the down sides of modules that train in both, lowest first."""
    up: tuple[float, ...]
    """The same of the up sides."""
    gone: int
    """Modules that train in the first plan only."""
    new: int
    """Modules that train in the second plan only."""
    both: int
    """Modules that train in both."""

    @property
    def changed(self) -> bool:
        """Whether anything differs."""
        return bool(self.gone or self.new) or any(ratio != 1 for ratio in (*self.down, *self.up))


class PlanDiff:
    """Two plans, joined by the names of their modules.

    Raises: GridError where they are of different models.
    """

    def __init__(self, first: Plan, second: Plan):
        if (first.family, first.stacks) != (second.family, second.stacks):
            raise GridError([f"two plans of different models have no ratio: {_model(first)} and {_model(second)}"])
        self.first, self.second = ({row.site.name: row for row in plan.rows} for plan in (first, second))
        rows = (*first.rows, *(row for name, row in self.second.items() if name not in self.first))
        self.joined = replace(first, rows=rows, encoder_stacks={**first.encoder_stacks, **second.encoder_stacks})
        """All modules of both, as one plan: its cells are what ``of`` is asked about (their LRs mean nothing)."""

    def of(self, cell: Cell) -> CellDiff:
        """What became of a cell of ``joined``."""
        names = [row.site.name for row in cell.rows]
        here = {name for name in names if _trains(self.first.get(name))}
        there = {name for name in names if _trains(self.second.get(name))}
        both = [(self.first[name], self.second[name]) for name in names if name in here & there]
        down = _ratios((a.lr_down or a.lr_up, b.lr_down or b.lr_up) for a, b in both)
        up = _ratios((a.lr_up, b.lr_up) for a, b in both)
        return CellDiff(down, up, len(here - there), len(there - here), len(both))

    def ranks_differ(self) -> bool:
        """Whether any module that trains in both has another rank or alpha."""
        pairs = ((self.first[name], self.second[name]) for name in self.first.keys() & self.second.keys())
        return any((a.rank, a.alpha) != (b.rank, b.alpha) for a, b in pairs if not a.frozen and not b.frozen and a.rank)

    def to_list(self) -> list[dict[str, Any]]:
        """The cells that differ, as plain data."""
        cells: list[tuple[str, str | None, int | None, str | None, Cell]] = [
            (table.part, table.stack, block, component, cell)
            for table in tables(self.joined)
            for (block, component), cell in table.cells.items()
        ]
        cells += [(part, None, None, None, cell) for part, cell in encoder_cells(self.joined).items()]
        found = []
        for part, stack, block, component, cell in cells:
            diff = self.of(cell)
            if diff.changed:
                place = {"part": part, "stack": stack, "block": block, "component": component}
                ratios = {"ratio_down": list(diff.down), "ratio_up": list(diff.up)}
                found.append({**place, **ratios, "gone": diff.gone, "new": diff.new})
        return found


def _ratios(pairs: Iterable[tuple[float, float]]) -> tuple[float, ...]:
    # Six digits: LRs that differ only by rounding are the same.
    return tuple(sorted({float(f"{second / first:.6g}") for first, second in pairs}))


def _trains(row: Row | None) -> bool:
    return row is not None and not row.frozen


def _model(plan: Plan) -> str:
    return f"{plan.family} ({', '.join(f'{stack} {n}' for stack, n in plan.stacks.items())})"
