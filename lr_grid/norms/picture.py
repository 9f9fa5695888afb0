"""Norms as a picture: the heat map averaged over time, and below it every component over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from PIL import Image

from lr_grid.norms.heat import HeatTable, heat_tables, means
from lr_grid.norms.read import NormsRun
from lr_grid.norms.series import WHATS, Summary, binned, rows_of, series
from lr_grid.report.picture import pixels
from lr_grid.report.picture.drawing import draw
from lr_grid.report.picture.panels import GREY, Column, Line, Look, Panel, Tile, View, has_blanks, lines_of
from lr_grid.report.picture.scales import LR_COLOURS, lr_scale

_MOST_COLUMNS = 300
_DPI = 140
_OUTLIERS = 0.02
"""The share of the lowest and of the highest numbers over time that have the colours of the ends: the first steps of an
up side and the last of a schedule would take the whole scale."""
_NARROWEST_SCALE = 4.0
"""Nearly equal numbers should have nearly equal colours."""
_WIDEST_SCALE = 1e6
"""Of the colours, from low to high: one cell near 0 must not make all others look the same."""


def draw_norms(run: NormsRun, what: str, side: str | None, path: str | Path) -> None:
    """Saves the picture of a run as .png. ``what`` and ``side``: see heat.heat_tables."""
    above = pixels(draw(heat_map(run, what, side)))
    below = pixels(time_figure(run, what, side, above.width / _DPI))
    picture = Image.new("RGB", (max(above.width, below.width), above.height + below.height), "white")
    picture.paste(above, (0, 0))
    picture.paste(below, (0, above.height))
    picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path)


def heat_map(run: NormsRun, what: str, side: str | None) -> View:
    """Blocks down, components across: means over time on a log scale."""
    tables = heat_tables(run, what, side)
    shown = [mean for mean in means(tables) if mean]
    floor = max(shown, default=1.0) / _WIDEST_SCALE
    scale = lr_scale(_spread([mean for mean in shown if mean >= floor]), f"{WHATS[what]}, log scale")
    panels = tuple(_panel(table) for table in tables)
    sides = f"{side} side" if side else "both sides together"
    steps = f"mean over {len(run.steps)} steps ({min(run.steps)} to {max(run.steps)})"
    notes = []
    summaries = [cell for table in tables for cell in table.cells.values()]
    if any(cell.not_finite for cell in summaries):
        notes.append(("!: NaN or infinity in some steps; the mean is over the others", "note:not finite"))
    if any(cell.mean is None for cell in summaries):
        notes.append(("grey: no finite number", "note:grey"))
    if has_blanks(panels):
        notes.append(("blank: nothing trains there", "note:blank"))
    subtitle = f"{steps} · {sides} · base LR {run.facts['base_lr']:g}"
    return View(f"{run.facts['model']}: {WHATS[what]} of every block and component", subtitle, panels, scale, (*notes,))


def _spread(values: Sequence[float]) -> list[float]:
    """The values, with two more where they are so near to each other that colours would make much of little."""
    if not values or max(values) / min(values) >= _NARROWEST_SCALE:
        return list(values)
    half = math.sqrt(_NARROWEST_SCALE)
    middle = math.sqrt(max(values) * min(values))
    return [*values, middle / half, middle * half]


def _panel(table: HeatTable) -> Panel:
    columns, tiles = [], []
    for component in table.components:
        found = {block: cell for (block, c), cell in table.cells.items() if c == component}
        made = [Tile(block or 0, component, "both", _look(cell)) for block, cell in found.items()]
        longest = max((tile.look.text for tile in made), key=len)
        columns.append(Column(component, "both", table.modules[component], longest))
        tiles += made
    blocks = [block for block in table.blocks if block is not None]
    lines = lines_of(max(blocks) + 1, set(blocks)) if blocks else (Line("", 0),)
    return Panel(table.name, table.name, lines, tuple(columns), tuple(tiles))


def _look(cell: Summary) -> Look:
    if cell.mean is None:
        return Look("nan" if cell.not_finite else "none")
    text = _short(cell.mean) + ("!" if cell.not_finite else "")
    return Look(text, cell.mean if cell.mean > 0 else None)


def _short(value: float) -> str:
    """``1.2e-3``, ``0``."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def time_figure(run: NormsRun, what: str, side: str | None, width: float) -> Figure:
    """Components of each stack down, steps across, on a log scale. ``width`` in inches."""
    rows = {name: binned(run.steps, series(run, what, cells), _MOST_COLUMNS) for name, cells in _ordered(run, side)}
    columns = next(iter(rows.values()))
    values = [[math.nan if mean is None else mean for _, _, mean in row] for row in rows.values()]
    height = 1.35 + 0.26 * len(rows)
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    label = 0.25 + 0.075 * max(map(len, rows))
    axes = figure.add_axes((label / width, 0.55 / height, 1 - (label + 1.0) / width, 1 - 1.0 / height))
    axes.set_title(f"{WHATS[what]} over time, all blocks together", fontsize=10.5, weight="bold", loc="left")
    _mesh(figure, axes, values, columns)
    axes.set_yticks([index + 0.5 for index in range(len(rows))], labels=list(rows), fontsize=8)
    axes.set_ylim(len(rows), 0)
    axes.set_xlabel("step" if len(columns) == len(run.steps) else "step (means of several)", fontsize=8)
    axes.tick_params(labelsize=8, length=2.5)
    return figure


def _ordered(run: NormsRun, side: str | None) -> list[tuple[str, list[int]]]:
    """The rows in the order of the heat map."""
    rows = rows_of(run, side)
    names = [f"{table.name}.{component}" for table in heat_tables(run, "grad", side) for component in table.components]
    return [(name, rows[name]) for name in names]


def _mesh(
    figure: Figure, axes: Axes, values: Sequence[Sequence[float]], columns: Sequence[tuple[int, int, float | None]]
) -> None:
    found = sorted(value for row in values for value in row if value > 0 and math.isfinite(value))
    axes.set_facecolor(GREY)
    edges = [first - 0.5 for first, _, _ in columns] + [columns[-1][1] + 0.5]
    if not found:
        axes.set_xlim(edges[0], edges[-1])
        return
    low, high = found[int(len(found) * _OUTLIERS)], found[-1 - int(len(found) * _OUTLIERS)]
    if high / low < _NARROWEST_SCALE:
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(_NARROWEST_SCALE), middle * math.sqrt(_NARROWEST_SCALE)
    norm = LogNorm(low, high)
    shown = [[value if value > 0 and math.isfinite(value) else math.nan for value in row] for row in values]
    mesh = axes.pcolormesh(edges, range(len(values) + 1), shown, norm=norm, cmap=LR_COLOURS)
    width = figure.get_figwidth()
    box = axes.get_position()
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    bar = figure.colorbar(
        mesh,
        cax=figure.add_axes((box.x1 + 0.12 / width, box.y0, 0.12 / width, box.height)),
        extend=extend[found[0] < low, found[-1] > high],
    )
    bar.ax.tick_params(labelsize=8, length=2.5)
    bar.outline.set_visible(False)
