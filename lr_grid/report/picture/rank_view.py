"""The rank view: every cell's rank, its alpha where the ratio is not the same everywhere, and what trains there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from lr_grid.plan import Plan, Row
from lr_grid.report.cells import Cell, encoder_cells, tables
from lr_grid.report.picture.lr_view import FROZEN
from lr_grid.report.picture.numbers import geometric_mean
from lr_grid.report.picture.panels import Look, Panel, View, has_blanks, looks, make_panels
from lr_grid.report.picture.scales import rank_scale
from lr_grid.report.ranks import count, span
from lr_grid.sizes import parameters

NONE = "none"
UNRANKED = "no rank"


def rank_view(plan: Plan) -> View:
    """Ranks on a log scale."""
    ratios = {round(row.alpha / row.rank, 9) for row in plan.rows if row.saved and row.rank and row.alpha is not None}
    panels = make_panels(plan, lambda _: ("both",), partial(_look, alphas=len(ratios) > 1))
    scale = rank_scale(look.value for look in looks(panels) if look.value is not None)
    made = [row.rank for row in plan.rows if row.saved and row.rank]
    facts = [f"rank {span(made, '–')}"] if made else []
    facts += [f"alpha/rank {span(ratios, '–')}"] if ratios else []
    facts.append(f"{parameters(plan):,} parameters train")
    title = f"{plan.family}: the rank of every block and component"
    return View(title, " · ".join(facts), panels, scale, tuple(_notes(plan, panels, len(ratios) > 1)))


def ranks_differ(plan: Plan) -> bool:
    """Whether a picture of ranks says more than one number would: ranks or alphas differ, or an LR-carrying module has
    no LoRA of its own because its rank is 0."""
    made = [row for row in plan.rows if row.saved and row.rank]
    return len({(row.rank, row.alpha) for row in made}) > 1 or bool(made and any(row.rank == 0 for row in plan.rows))


def _look(cell: Cell, side: str, alphas: bool) -> Look:
    made = [row for row in cell.rows if row.saved]
    if not made:
        return Look(NONE, hatched=True)
    params = sum(row.params for row in made)
    trains = count(params) if params else FROZEN
    idle = any(not row.params for row in cell.rows)
    ranked = [row for row in made if row.rank]
    if not ranked:
        return Look(f"{UNRANKED} · {trains}", edge=idle)
    return Look(f"{_rank(ranked, alphas)} · {trains}", geometric_mean(row.rank or 1 for row in ranked), edge=idle)


def _rank(rows: Sequence[Row], alphas: bool) -> str:
    """``8``, or ``8/4`` with its alpha."""
    text = span((row.rank for row in rows if row.rank), "–")
    found = [row.alpha for row in rows if row.alpha is not None]
    return f"{text}/{span(found, '–')}" if alphas and found else text


def _notes(plan: Plan, panels: Sequence[Panel], alphas: bool) -> list[tuple[str, str]]:
    shown = looks(panels)
    form = "rank/alpha" if alphas else "rank"
    notes = [(f"{form} · parameters that train in all of the cell's modules", "note:form")]
    cells = [cell for table in tables(plan) for cell in table.cells.values()]
    if any(len({row.rank for row in cell.rows if row.saved and row.rank}) > 1 for cell in cells):
        notes.append(("a range of ranks: its colour is their geometric mean", "note:range"))
    if any(look.text == NONE for look in shown):
        notes.append(("grey and hatched: no LoRA is made there (rank or LR 0)", "note:none"))
    if any(look.edge for look in shown):
        notes.append(("hatched edge: some of the cell's modules do not train", "note:partly"))
    if any(look.text.startswith(UNRANKED) for look in shown):
        notes.append(("grey: whole tensors, which have no rank", "note:unranked"))
    if has_blanks(panels):
        notes.append(("blank: no modules there", "note:blank"))
    for part, cell in encoder_cells(plan).items():
        made = [row for row in cell.rows if row.saved and row.rank]
        rank = f"rank {_rank(made, alphas)}, " if made else ""
        params = count(math.fsum(row.params for row in cell.rows))
        notes.append(
            (f"{part} (text encoder): {len(cell.rows)} modules, {rank}{params} parameters train", f"part:{part}")
        )
    return notes
