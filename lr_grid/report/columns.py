"""Tables as text: blocks down, components across; blocks that read the same share a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lr_grid.blocks import compact
from lr_grid.report.cells import Cell, Table
from lr_grid.words import MAIN_PART


def render_table(table: Table, text_of: Callable[[Cell], str]) -> list[str]:
    """The lines of one stack; a place without modules is ``-``."""
    rows = [[table_name(table), *table.components]]
    return _align([*rows, *([blocks, *texts] for blocks, texts, _ in folded(table, text_of))])


def folded(table: Table, text_of: Callable[[Cell], str]) -> list[tuple[str, list[str], list[Cell | None]]]:
    """(blocks, their texts, the cells of the first of them) of one stack: blocks that read the same are one line."""
    body: list[tuple[list[int | None], list[str], list[Cell | None]]] = []
    for block in table.blocks:
        cells = [table.cells.get((block, component)) for component in table.components]
        if not any(cell is not None for cell in cells):
            continue
        texts = [text_of(cell) if cell is not None else "-" for cell in cells]
        if body and body[-1][1] == texts:
            body[-1][0].append(block)
        else:
            body.append(([block], texts, cells))
    return [(compact([b for b in blocks if b is not None]), texts, cells) for blocks, texts, cells in body]


def table_name(table: Table) -> str:
    """What a table is called: its stack, with its part where that is a text encoder."""
    name = "outside" if table.stack is None else table.stack
    return name if table.part == MAIN_PART else f"{table.part} {name}"


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
