"""The views of ratios: LoRA+ (up side over down side), and one plan's LRs over another's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lr_grid.plan import Plan, Row
from lr_grid.report.cells import Cell, encoder_cells
from lr_grid.report.diff import PlanDiff
from lr_grid.report.picture.lr_view import FROZEN, shown_notes, sides_note
from lr_grid.report.picture.numbers import geometric_mean, ratio_or_range
from lr_grid.report.picture.panels import Look, Panel, View, looks, make_panels
from lr_grid.report.picture.scales import Scale, ratio_scale

ONE_SIDE = "up only"
ONLY_A, ONLY_B = "only a", "only b"
_LESS, _MORE = "#c5d9ec", "#f7d0bf"
"""Grounds of what trains in a only, in b only: tints of the scale's two ends."""


def loraplus_view(plan: Plan) -> View:
    """The up side's LR over the down side's."""
    panels = make_panels(plan, lambda _: ("both",), _loraplus_look)
    notes = [*_range_note(panels), *shown_notes(panels)]
    if any(look.text == ONE_SIDE for look in looks(panels)):
        notes.append(("up only: the down side does not train", "note:one_side"))
    for part, cell in encoder_cells(plan).items():
        ratios = _loraplus(cell.trained)
        notes.append((f"{part} (text encoder): {ratio_or_range(ratios) if ratios else FROZEN}", f"part:{part}"))
    title = f"{plan.family}: LoRA+, the up side's LR over the down side's"
    found = _loraplus(row for row in plan.rows if not row.frozen)
    subtitle = f"up/down {ratio_or_range(found)} · ×1 is no LoRA+" if found else "nothing trains on both sides"
    return View(title, subtitle, panels, _scale(panels, "LR of up / LR of down, log scale"), tuple(notes))


def diff_view(a: Plan, b: Plan, names: tuple[str, str]) -> View:
    """The LRs of b over those of a.

    Raises: GridError where they are of different models.
    """
    diff = PlanDiff(a, b)

    def sides_of(cells: Sequence[Cell]) -> tuple[str, ...]:
        same = all(found.down == found.up for found in map(diff.of, cells))
        return ("both",) if same else ("down", "up")

    def look(cell: Cell, side: str) -> Look:
        of = diff.of(cell)
        found = list(of.up if side == "up" else of.down)
        if found:
            return Look(ratio_or_range(found), geometric_mean(found), edge=of.both < len(cell.rows))
        if of.gone and of.new:
            return Look("a ≠ b", hatched=True)
        if of.gone:
            return Look(ONLY_A, hatched=True, ground=_LESS)
        return Look(ONLY_B, hatched=True, ground=_MORE) if of.new else Look(FROZEN, hatched=True)

    panels = make_panels(diff.joined, sides_of, look)
    notes = [*sides_note(panels), *_range_note(panels), *_diff_notes(panels)]
    for part, cell in encoder_cells(diff.joined).items():
        text = look(cell, "both").text
        up = look(cell, "up").text
        notes.append((f"{part} (text encoder): {text}{'' if up == text else f', up side {up}'}", f"part:{part}"))
    title = f"{a.family}: the learning rates of b over those of a"
    subtitle = f"a: {names[0]} · b: {names[1]}" if names != ("a", "b") else "×2: b trains there at twice the LR of a"
    return View(title, subtitle, panels, _scale(panels, "LR of b / LR of a, log scale"), tuple(notes))


def _loraplus_look(cell: Cell, side: str) -> Look:
    if not cell.trained:
        return Look(FROZEN, hatched=True)
    found = _loraplus(cell.trained)
    edge = len(cell.trained) < len(cell.rows)
    return Look(ratio_or_range(found), geometric_mean(found), edge=edge) if found else Look(ONE_SIDE, edge=edge)


def _loraplus(rows: Iterable[Row]) -> list[float]:
    return sorted({row.lr_up / row.lr_down for row in rows if row.lr_down})


def _scale(panels: Sequence[Panel], label: str) -> Scale | None:
    return ratio_scale((look.value for look in looks(panels) if look.value is not None), label)


def _range_note(panels: Sequence[Panel]) -> list[tuple[str, str]]:
    if not any("–" in look.text for look in looks(panels)):
        return []
    return [("a range such as ×1–4: the cell's modules differ; its colour is their geometric mean", "note:range")]


def _diff_notes(panels: Sequence[Panel]) -> list[tuple[str, str]]:
    notes = []
    shown = looks(panels)
    if any(look.text in (ONLY_A, ONLY_B) for look in shown):
        notes.append(("only a (bluish), only b (reddish): trains under one of the two only", "note:only"))
    if any(look.text == "a ≠ b" for look in shown):
        notes.append(("a ≠ b: some modules train under a only, the others under b only", "note:apart"))
    if any(look.text == FROZEN for look in shown):
        notes.append(("grey and hatched: frozen under both", "note:frozen"))
    if any(look.edge for look in shown):
        notes.append(("hatched edge: some of the cell's modules do not train under both", "note:partly"))
    if any((look.value or 0) and "-" in look.text for look in shown):
        notes.append(("minus: one of the two unlearns (a negative LR)", "note:negative"))
    return notes
