"""Tables as text: blocks down, components across; blocks that read the same share a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lr_grid.blocks import compact
from lr_grid.report.cells import Cell, Table
from lr_grid.words import MAIN_PART


def render_table(table: Table, text_of: Callable[[Cell], str]) -> list[str]:
    """The lines of one stack; a place without modules is ``-``."""
    body: list[tuple[list[int | None], list[str]]] = []
    for block in table.blocks:
        cells = [table.cells.get((block, component)) for component in table.components]
        if not any(cells):
            continue
        texts = [text_of(cell) if cell else "-" for cell in cells]
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
