"""The LR view: the absolute learning rate of every cell, both sides apart where LoRA+ is on."""

from __future__ import annotations

from collections.abc import Sequence

from lr_grid.plan import Plan
from lr_grid.report.cells import Cell, encoder_cells, has_loraplus, tables
from lr_grid.report.picture.numbers import format_lr, geometric_mean, lr_or_range, several
from lr_grid.report.picture.panels import Look, Panel, View, has_blanks, looks, make_panels
from lr_grid.report.picture.scales import lr_scale
from lr_grid.words import MAIN_PART

FROZEN = "frozen"


def lr_view(plan: Plan) -> View:
    """Absolute LRs on a log scale."""
    panels = make_panels(plan, _sides_of, _look)
    scale = lr_scale(look.value for look in looks(panels) if look.value is not None)
    title = f"{plan.family}: the learning rate of every block and component"
    return View(title, _subtitle(plan), panels, scale, tuple(_notes(plan, panels)))


def sides_note(panels: Sequence[Panel]) -> list[tuple[str, str]]:
    """What down and up are, where a column is split."""
    if all(column.side == "both" for panel in panels for column in panel.columns):
        return []
    return [("down, up: the two sides of a LoRA pair (LoRA+ gives the up side an LR of its own)", "note:sides")]


def shown_notes(panels: Sequence[Panel]) -> list[tuple[str, str]]:
    """What grey, hatched and blank mean, where there is any."""
    notes = []
    if any(look.text == FROZEN for look in looks(panels)):
        notes.append(("grey and hatched: frozen, nothing there trains", "note:frozen"))
    if any(look.edge for look in looks(panels)):
        notes.append(("hatched edge: some of the cell's modules are frozen, the others train", "note:partly"))
    if has_blanks(panels):
        notes.append(("blank: no modules there", "note:blank"))
    return notes


def _sides_of(cells: Sequence[Cell]) -> tuple[str, ...]:
    return ("down", "up") if any(has_loraplus(cell.trained) for cell in cells) else ("both",)


def _look(cell: Cell, side: str) -> Look:
    lrs = cell.lrs("up" if side == "up" else "down")
    if not lrs:
        return Look(FROZEN, hatched=True)
    return Look(lr_or_range(lrs), geometric_mean(lrs), edge=len(cell.trained) < len(cell.rows))


def _subtitle(plan: Plan) -> str:
    rows = [row for row in plan.rows if row.site.part in (MAIN_PART, *plan.encoder_stacks)]
    frozen = sum(row.frozen for row in rows)
    lrs = [lr for row in rows for lr in (row.lr_down, row.lr_up) if lr]
    spread = f" · LRs {format_lr(min(lrs))} to {format_lr(max(lrs))}" if lrs else ""
    return f"base LR {format_lr(plan.base_lr)}{spread} · {len(rows) - frozen} modules train, {frozen} are frozen"


def _notes(plan: Plan, panels: Sequence[Panel]) -> list[tuple[str, str]]:
    """The lines below the colour bar, each with its gid; only what the picture needs."""
    notes = sides_note(panels)
    if any(several(cell_lrs) for cell_lrs in _cell_lrs(plan)):
        text = "a range such as 1e-4–4e-4: the cell's modules have several LRs; its colour is their geometric mean"
        notes.append((text, "note:range"))
    notes += shown_notes(panels)
    if any(lr < 0 for cell_lrs in _cell_lrs(plan) for lr in cell_lrs):
        notes.append(("minus: a negative LR unlearns; its colour shows its size", "note:negative"))
    notes += [(_encoder_line(part, cell), f"part:{part}") for part, cell in encoder_cells(plan).items()]
    return notes


def _cell_lrs(plan: Plan) -> list[list[float]]:
    """The LRs of each cell and side that has a tile."""
    return [cell.lrs(side) for table in tables(plan) for cell in table.cells.values() for side in ("down", "up")]


def _encoder_line(part: str, cell: Cell) -> str:
    """One line about a text encoder."""
    line = f"{part} (text encoder): {len(cell.rows)} modules"
    if not cell.trained:
        return f"{line}, all frozen"
    line += f", LR {_spread(cell.lrs('down'))}"
    if has_loraplus(cell.trained):
        line += f", up side {_spread(cell.lrs('up'))}"
    frozen = len(cell.rows) - len(cell.trained)
    return f"{line}, {frozen} frozen" if frozen else line


def _spread(lrs: Sequence[float]) -> str:
    low, high = format_lr(min(lrs)), format_lr(max(lrs))
    return low if low == high else f"{low}–{high}"
