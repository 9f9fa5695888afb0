"""A plan's rows gathered into cells: one for every (stack, block, component)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lr_grid.plan import Plan, Row
from lr_grid.words import COMPONENTS, MAIN_PART


class Cell(NamedTuple):
    """The modules of one component in one block."""

    rows: list[Row]

    @property
    def trained(self) -> list[Row]:
        """The modules that are not frozen."""
        return [row for row in self.rows if not row.frozen]

    def lrs(self, side: str) -> list[float]:
        """The distinct LRs (absolute) of a side, ``down`` or ``up``, of the trained modules, lowest first. Of modules
        that train one side only (LoRA-FA), both give that side's."""
        return sorted({row.lr_of(side) or row.lr_up for row in self.trained})


class Table(NamedTuple):
    """One stack's cells; ``stack`` None holds the modules outside every stack (one row, block None)."""

    part: str
    stack: str | None
    blocks: list[int | None]
    components: list[str]
    cells: dict[tuple[int | None, str], Cell]


def tables(plan: Plan) -> list[Table]:
    """One table a stack, in the model's order, then the modules outside, then the text encoders that have a grid of
    their own; stacks without modules are left out."""
    parts = [(MAIN_PART, plan.stacks), *plan.encoder_stacks.items()]
    made = [_table(plan, part, stack, stacks) for part, stacks in parts for stack in (*stacks, None)]
    return [table for table in made if table.cells]


def _table(plan: Plan, part: str, stack: str | None, stacks: Mapping[str, int]) -> Table:
    cells: dict[tuple[int | None, str], Cell] = {}
    for row in plan.rows:
        if row.site.part == part and row.site.stack == stack:
            cells.setdefault((row.site.block, row.site.component), Cell([])).rows.append(row)
    blocks: list[int | None] = [None] if stack is None else list(range(stacks[stack]))
    present = {component for _, component in cells}
    return Table(part, stack, blocks, [c for c in COMPONENTS if c in present], cells)


def encoder_cells(plan: Plan) -> dict[str, Cell]:
    """One cell a text encoder without a grid of its own, by part."""
    cells: dict[str, Cell] = {}
    for row in plan.rows:
        if row.site.part != MAIN_PART and row.site.part not in plan.encoder_stacks:
            cells.setdefault(row.site.part, Cell([])).rows.append(row)
    return dict(sorted(cells.items()))


def has_loraplus(rows: Iterable[Row]) -> bool:
    """Whether any module's up side has an LR of its own."""
    return any(row.has_loraplus for row in rows)
