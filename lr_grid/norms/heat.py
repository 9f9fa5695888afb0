"""Norms averaged over time, stack by stack: blocks down, components across."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lr_grid.norms.cells import component_rank, stack_name
from lr_grid.norms.read import NormsRun
from lr_grid.norms.series import Summary, places_of, series, summarize
from lr_grid.words import MAIN_PART


@dataclass(frozen=True, slots=True)
class HeatTable:
    """One stack; ``name`` is what it is called (``double``, ``outside``, ``te1.layers``)."""

    name: str
    stack: str | None
    blocks: tuple[int | None, ...]
    """Those with norms."""
    components: tuple[str, ...]
    cells: dict[tuple[int | None, str], Summary]
    modules: dict[str, int]
    """Of each component."""


def heat_tables(run: NormsRun, what: str, side: str | None) -> list[HeatTable]:
    """One table a stack, in the model's order, then the modules outside, then the text encoders.

    Args:
        what: see series.WHATS.
        side: ``down`` or ``up``; None: both together.
    """
    places = places_of(run, side)
    stacks = list(run.facts.get("stacks", ()))

    def order(key: tuple[str, str | None]) -> tuple:
        part, stack = key
        where = stacks.index(stack) if part == MAIN_PART and stack in stacks else len(stacks) + (stack is None)
        return part != MAIN_PART, part, where, stack or ""

    made = []
    for part, stack in sorted({place[:2] for place in places}, key=order):
        here = {place[2:]: cells for place, cells in places.items() if place[:2] == (part, stack)}
        modules: dict[str, int] = {}
        for (_, component), cells in here.items():
            modules[component] = modules.get(component, 0) + max(run.cells[cell].modules for cell in cells)
        made.append(
            HeatTable(
                stack_name(part, stack),
                stack,
                tuple(sorted({block for block, _ in here}, key=lambda block: -1 if block is None else block)),
                tuple(sorted(modules, key=component_rank)),
                {place: summarize(series(run, what, cells)) for place, cells in here.items()},
                modules,
            )
        )
    return made


def middle(means: Sequence[float | None]) -> float | None:
    """The geometric mean of the numbers above 0; None without any."""
    logs = [math.log(mean) for mean in means if mean]
    return math.exp(math.fsum(logs) / len(logs)) if logs else None


def means(tables: Sequence[HeatTable]) -> list[float | None]:
    """Of all cells."""
    return [cell.mean for table in tables for cell in table.cells.values()]


def cell_text(cell: Summary) -> str:
    """``1.2e-03``; ``!`` behind it where some steps were not finite, ``nan`` where none was finite, ``none`` where
    nothing was ever measured."""
    if cell.mean is None:
        return "nan" if cell.not_finite else "none"
    return f"{cell.mean:.1e}{'!' if cell.not_finite else ''}"
