"""The rank view of the printed grid, and what the plan costs: parameters, LoRA file, optimizer state."""

from __future__ import annotations

from collections.abc import Iterable

from lr_grid.plan import Plan, Row
from lr_grid.report.cells import Cell, encoder_cells, tables
from lr_grid.report.columns import render_table
from lr_grid.sizes import file_bytes, optimizer_bytes, parameters

SHOWN_OPTIMIZERS = ("AdamW", "AdamW8bit", "Lion", "Adafactor")


def rank_lines(plan: Plan) -> list[str]:
    """One line where all modules have one rank and alpha, else a table as that of the LRs below it: ``8/4 (0.5) 1.2M``
    is rank 8, alpha 4, alpha/rank 0.5, 1.2 million parameters that train. Nothing where no module has a rank."""
    made = [row for row in plan.rows if row.saved and row.rank]
    if not made:
        return []
    ranks, alphas = {row.rank for row in made}, {row.alpha for row in made}
    if len(ranks) == len(alphas) == 1 and all(row.rank != 0 for row in plan.rows):
        return [f"rank/alpha (alpha/rank): {_rank(made)}"]
    lines = [f"rank/alpha (alpha/rank) and parameters that train; in all {_rank(made)}"]
    for table in tables(plan):
        lines += render_table(table, rank_cell)
    lines += [f"{part} (text encoder)  {rank_cell(cell)}" for part, cell in encoder_cells(plan).items()]
    return lines


def size_line(plan: Plan) -> str:
    """What trains, in parameters, and what that takes on disk and in the optimizer."""
    file = ""
    if any(row.rank for row in plan.rows):
        half, whole = (size(file_bytes(plan, width)) for width in (2, 4))
        file = f" LoRA file {half} in fp16 or bf16, {whole} in fp32;"
    states = ", ".join(f"{name} {size(optimizer_bytes(plan, name))}" for name in SHOWN_OPTIMIZERS)
    return f"{parameters(plan):,} parameters train;{file} optimizer state: {states}"


def size(number: float) -> str:
    """Bytes, at three digits: ``75.5 MB`` (10^6 bytes)."""
    return _short(number, ("B", "kB", "MB", "GB"), " ")


def count(number: float) -> str:
    """Parameters, at three digits: ``147k``."""
    return _short(number, ("", "k", "M", "G"))


def span(values: Iterable[float], to: str = "..") -> str:
    """``8``, or ``8..16`` of several."""
    found = [f"{value:.4g}" for value in sorted(set(values))]
    return found[0] if found[0] == found[-1] else f"{found[0]}{to}{found[-1]}"


def rank_cell(cell: Cell) -> str:
    """Rank, alpha, their ratio and the parameters of a cell."""
    made = [row for row in cell.rows if row.saved]
    none = len(cell.rows) - len(made)
    if not made:
        return f"none x{none}"
    params = sum(row.params for row in made)
    text = " ".join(filter(None, (_rank(made), count(params) if params else "frozen")))
    text += f" x{len(made)}"
    return f"{text} (none x{none})" if none else text


def _rank(rows: Iterable[Row]) -> str:
    """``8/4 (0.5)``; modules without a rank (norms, whole matrices) say nothing."""
    ranked = [(row.rank, row.alpha) for row in rows if row.rank]
    if not ranked:
        return ""
    text = span(rank for rank, _ in ranked)
    alphas = [(rank, alpha) for rank, alpha in ranked if alpha is not None]
    if len(alphas) == len(ranked):
        text += f"/{span(alpha for _, alpha in alphas)} ({span(alpha / rank for rank, alpha in alphas)})"
    return text


def _short(number: float, units: tuple[str, ...], space: str = "") -> str:
    for unit in units:
        if number < 999.5 or unit == units[-1]:
            return f"{number:.3g}{space}{unit}"
        number /= 1000
    raise AssertionError
