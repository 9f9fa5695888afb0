"""What a picture is made of, before anything is drawn: panels (one a stack) of tiles, a colour scale, notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lr_grid.plan import Plan
from lr_grid.report.cells import Cell, tables
from lr_grid.report.picture.scales import Scale
from lr_grid.words import MAIN_PART

OUTSIDE = "outside the blocks"
GREY = "#d9d9d9"


@dataclass(frozen=True, slots=True)
class Look:
    """How a view shows a cell, seen on one side."""

    text: str
    value: float | None = None
    """On the picture's scale; None: grey, no value here."""
    hatched: bool = False
    """Nothing of the cell trains (of the diff: it trains in one plan only, or in none)."""
    edge: bool = False
    """Some of its modules do not train: only its edge is hatched."""
    ground: str = GREY
    """The colour where there is no value."""


@dataclass(frozen=True, slots=True)
class Tile:
    """All modules of one block and component, seen on one side (``down``, ``up``, or ``both`` where they are equal)."""

    block: int
    component: str
    side: str
    look: Look


@dataclass(frozen=True, slots=True)
class Column:
    """The tiles of one component and side, one below the other."""

    component: str
    side: str
    modules: int
    """How many modules its component has in the panel."""
    longest: str
    """The longest text of its tiles."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a panel: a block, or (``block`` None) a run of blocks without modules."""

    label: str
    block: int | None


@dataclass(frozen=True, slots=True)
class Panel:
    """One stack, ready to draw."""

    name: str
    title: str
    lines: tuple[Line, ...]
    columns: tuple[Column, ...]
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class View:
    """A whole picture."""

    title: str
    subtitle: str
    panels: tuple[Panel, ...]
    scale: Scale | None
    """None: no tile has a value."""
    notes: tuple[tuple[str, str], ...]
    """(text, gid) of the lines below."""


def make_panels(
    plan: Plan, sides_of: Callable[[Sequence[Cell]], Sequence[str]], look: Callable[[Cell, str], Look]
) -> tuple[Panel, ...]:
    """One panel a table of the plan (cells.py).

    Args:
        sides_of: the cells of a component -> its columns, ``("both",)`` or ``("down", "up")``.
        look: (cell, side) -> how the cell is shown.
    """
    panels = []
    for table in tables(plan):
        if table.stack is None:
            name = title = OUTSIDE
        else:
            name, number = table.stack, len(table.blocks)
            title = f"{name} · {number} {'block' if number == 1 else 'blocks'}"
        if table.part != MAIN_PART:
            name, title = f"{table.part} {name}", f"{table.part} {title}"
        columns: list[Column] = []
        tiles: list[Tile] = []
        for component in table.components:
            members = {block or 0: cell for (block, c), cell in table.cells.items() if c == component}
            modules = sum(len(cell.rows) for cell in members.values())
            for side in sides_of(list(members.values())):
                made = [Tile(block, component, side, look(cell, side)) for block, cell in members.items()]
                columns.append(Column(component, side, modules, max((tile.look.text for tile in made), key=len)))
                tiles += made
        lines = lines_of(len(table.blocks), {tile.block for tile in tiles}) if table.stack else (Line("", 0),)
        panels.append(Panel(name, title, lines, tuple(columns), tuple(tiles)))
    return tuple(panels)


def lines_of(blocks: int, filled: set[int]) -> tuple[Line, ...]:
    """A line for every block with modules, and one for each run of blocks without."""
    lines: list[Line] = []
    first = 0
    for block in range(blocks + 1):
        if block < blocks and block not in filled:
            continue
        if first < block:
            lines.append(Line(str(first) if first == block - 1 else f"{first}–{block - 1}", None))
        if block < blocks:
            lines.append(Line(str(block), block))
        first = block + 1
    return tuple(lines)


def looks(panels: Sequence[Panel]) -> list[Look]:
    """Of every tile."""
    return [tile.look for panel in panels for tile in panel.tiles]


def has_blanks(panels: Sequence[Panel]) -> bool:
    """Whether some block has no module of some component."""
    return any(
        None in (line.block for line in panel.lines) or len(panel.lines) * len(panel.columns) > len(panel.tiles)
        for panel in panels
    )
