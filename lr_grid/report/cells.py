"""A plan's rows gathered into cells: one for every (stack, block, component)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lr_grid.plan import Plan, Row
from lr_grid.words import COMPONENTS, MAIN_PART


@dataclass
class Cell:
    """The modules of one component in one block."""

    rows: list[Row] = field(default_factory=list)

    @property
    def trained(self) -> list[Row]:
        """The modules that are not frozen."""
        return [row for row in self.rows if not row.frozen]

    def lrs(self, side: str) -> list[float]:
        """The distinct LRs (absolute) of a side, ``down`` or ``up``, of the trained modules, lowest first."""
        return sorted({row.lr_of(side) for row in self.trained})


@dataclass
class Table:
    """One stack's cells; ``stack`` None holds the modules outside every stack (one row, block None)."""

    stack: str | None
    blocks: list[int | None]
    components: list[str]
    cells: dict[tuple[int | None, str], Cell]


def tables(plan: Plan) -> list[Table]:
    """One table a stack, in the model's order, then the modules outside; stacks without modules are left out."""
    result = []
    for stack in [*plan.stacks, None]:
        rows = [row for row in plan.rows if row.site.part == MAIN_PART and row.site.stack == stack]
        if not rows:
            continue
        cells: dict[tuple[int | None, str], Cell] = {}
        for row in rows:
            cells.setdefault((row.site.block, row.site.component), Cell()).rows.append(row)
        blocks: list[int | None] = [None] if stack is None else list(range(plan.stacks[stack]))
        present = {component for _, component in cells}
        result.append(Table(stack, blocks, [c for c in COMPONENTS if c in present], cells))
    return result


def encoder_cells(plan: Plan) -> dict[str, Cell]:
    """One cell a text encoder, by part."""
    cells: dict[str, Cell] = {}
    for row in plan.rows:
        if row.site.part != MAIN_PART:
            cells.setdefault(row.site.part, Cell()).rows.append(row)
    return dict(sorted(cells.items()))


def has_loraplus(rows: Iterable[Row]) -> bool:
    """Whether any module's up side has an LR of its own."""
    return any(row.lr_up != row.lr_down for row in rows)
