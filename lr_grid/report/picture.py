"""The plan as a picture: blocks down, components across, stack by stack, absolute LRs on a log colour scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lr_grid.plan import Plan
from lr_grid.report.cells import Cell, encoder_cells, has_loraplus, tables
from lr_grid.words import MAIN_PART

COLOURS = "viridis"
FROZEN_COLOUR = "#d9d9d9"
OUTSIDE = "outside the blocks"

# All sizes are inches; the figure grows with the plan, so that text keeps its size.
_CELL_WIDTH, _SIDE_WIDTH = 0.92, 0.68
_CELL_HEIGHT, _LEAST_CELL_HEIGHT, _MOST_GRID_HEIGHT = 0.27, 0.12, 11.0
_TEXT_CELL_HEIGHT = 0.14
_HEAD, _PANEL_GAP, _LEFT, _RIGHT, _COLUMN_HEAD = 0.8, 0.75, 0.75, 0.35, 0.75
_COLUMN_GAP, _BAR, _LINE, _LEAST_WIDTH = 0.05, 0.78, 0.19, 5.0
_DPI = 130


@dataclass(frozen=True, slots=True)
class _Cell:
    """All modules of one block and component, seen on one side (``down``, ``up``, or ``both`` where they are equal)."""

    block: int
    component: str
    side: str
    lrs: tuple[float, ...]
    """Absolute LRs of the modules that train."""
    frozen: int
    """How many modules do not train."""

    @property
    def mean(self) -> float:
        """Geometric mean of the LRs' sizes: what the colour shows (a negative LR unlearns at its size)."""
        return math.exp(sum(math.log(abs(lr)) for lr in self.lrs) / len(self.lrs))

    @property
    def text(self) -> str:
        """The LR, or the range of several."""
        if self.several:
            return f"{_two_digits(min(self.lrs))}–{_two_digits(max(self.lrs))}"
        return format_lr(self.lrs[0])

    @property
    def several(self) -> bool:
        """Do its modules have different LRs?"""
        return bool(self.lrs) and not math.isclose(min(self.lrs), max(self.lrs), rel_tol=1e-6)


@dataclass(frozen=True, slots=True)
class _Panel:
    """One stack, ready to draw."""

    title: str
    name: str
    blocks: int | None
    """None: the row of modules outside every stack."""
    columns: tuple[tuple[str, str, int], ...]
    """(component, side, number of modules), left to right."""
    cells: tuple[_Cell, ...]

    @property
    def rows(self) -> int:
        return self.blocks or 1

    @property
    def width(self) -> float:
        """Width of the cells."""
        gaps = len({component for component, _, _ in self.columns}) - 1
        return sum(_column_width(side) for _, side, _ in self.columns) + gaps * _COLUMN_GAP

    @property
    def span(self) -> float:
        """Width of the cells or of the title above them."""
        return max(self.width, 0.105 * len(self.title))


def draw_plan(plan: Plan, path: str | Path, title: str | None = None) -> Figure:
    """Draw the plan as a heat map and save it; the suffix of ``path`` chooses ``.png`` or ``.svg``.

    Colours and numbers are absolute LRs. Where LoRA+ gives the up side an LR of its own, a column is split into down
    and up. A cell that holds modules of several LRs shows min–max, its colour is their geometric mean. Frozen cells are
    grey and hatched; a cell without modules stays blank. Returns the figure (not registered with pyplot).
    """
    path = Path(path)
    if path.suffix.lower() not in (".png", ".svg"):
        raise ValueError(f"the picture of a plan is a .png or .svg file, not {path.name!r}")
    panels = _panels(plan)
    cells = [cell for panel in panels for cell in panel.cells]
    notes = _notes(plan, panels)
    tallest = max((panel.rows for panel in panels), default=1)
    cell_height = min(_CELL_HEIGHT, max(_MOST_GRID_HEIGHT / tallest, _LEAST_CELL_HEIGHT))

    title = title or _title(plan)
    subtitle = _subtitle(plan)
    grid_width = sum(panel.span for panel in panels) + _PANEL_GAP * max(len(panels) - 1, 0)
    lines = [0.108 * len(title), 0.068 * len(subtitle), *(0.058 * len(text) for text, _ in notes)]
    width = max(_LEFT + grid_width + _RIGHT, _LEFT / 2 + max(lines) + 0.1, _LEAST_WIDTH)
    footer = _BAR + _LINE * len(notes) + 0.15
    height = _HEAD + _COLUMN_HEAD + tallest * cell_height + footer
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)

    figure.text(_LEFT / 2 / width, 1 - 0.32 / height, title, fontsize=13, weight="bold", va="center")
    figure.text(_LEFT / 2 / width, 1 - 0.62 / height, subtitle, fontsize=9, color="#444444", va="center")
    norm = _norm(cells)
    left = _LEFT
    for panel in panels:
        size = (panel.width / width, panel.rows * cell_height / height)
        bottom = 1 - (_HEAD + _COLUMN_HEAD + panel.rows * cell_height) / height
        axes = figure.add_axes((left / width, bottom, *size), label=panel.name)
        _draw_panel(axes, panel, norm, cell_height)
        left += panel.span + _PANEL_GAP
    if norm is not None:
        _draw_bar(figure, norm, width, height, footer)
    for index, (text, gid) in enumerate(notes):
        y = (footer - _BAR - _LINE * (index + 0.5)) / height
        figure.text(_LEFT / 2 / width, y, text, fontsize=8, color="#333333", va="center", gid=gid)
    # Without a date the same plan gives the same file.
    figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
    return figure


def format_lr(lr: float) -> str:
    """Short text of an absolute LR, at most three digits: ``4e-4``, ``2.46e-4``."""
    mantissa, exponent = f"{lr:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def _panels(plan: Plan) -> list[_Panel]:
    panels = []
    for table in tables(plan):
        if table.stack is None:
            name = title = OUTSIDE
        else:
            name, number = table.stack, len(table.blocks)
            title = f"{name} · {number} {'block' if number == 1 else 'blocks'}"
        if table.part != MAIN_PART:
            name, title = f"{table.part} {name}", f"{table.part} {title}"
        columns: list[tuple[str, str, int]] = []
        cells: list[_Cell] = []
        for component in table.components:
            members = {block: cell for (block, c), cell in table.cells.items() if c == component}
            split = any(has_loraplus(cell.trained) for cell in members.values())
            for side in ("down", "up") if split else ("both",):
                columns.append((component, side, sum(len(cell.rows) for cell in members.values())))
                cells += [_view(block or 0, component, side, cell) for block, cell in members.items()]
        blocks = None if table.stack is None else len(table.blocks)
        panels.append(_Panel(title, name, blocks, tuple(columns), tuple(cells)))
    return panels


def _view(block: int, component: str, side: str, cell: Cell) -> _Cell:
    lrs = tuple(cell.lrs("up" if side == "up" else "down"))
    return _Cell(block, component, side, lrs, len(cell.rows) - len(cell.trained))


def _norm(cells: Iterable[_Cell]) -> LogNorm | None:
    means = [cell.mean for cell in cells if cell.lrs]
    if not means:
        return None
    low, high = min(means), max(means)
    if high / low < 1.01:
        # One LR everywhere: a colour in the middle of a scale that has room for ticks.
        low, high = low / 2, high * 2
    return LogNorm(low, high)


def _column_width(side: str) -> float:
    return _CELL_WIDTH if side == "both" else _SIDE_WIDTH


def _draw_panel(axes: Axes, panel: _Panel, norm: LogNorm | None, cell_height: float) -> None:
    """Axes units are inches across and blocks down, so that every panel has the same scale."""
    axes.set_xlim(0, panel.width)
    axes.set_ylim(panel.rows, 0)
    axes.tick_params(length=0, labelsize=7.5, pad=3)
    axes.set_xticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if panel.blocks is None:
        axes.set_yticks([])
    else:
        step = 1 if cell_height >= _TEXT_CELL_HEIGHT else 5
        shown = range(0, panel.blocks, step)
        axes.set_yticks([index + 0.5 for index in shown], [str(index) for index in shown])
        axes.text(-0.06, -0.05 / cell_height, "block", fontsize=7, ha="right", va="baseline", color="#444444")
    starts = _draw_column_heads(axes, panel, cell_height)
    for cell in panel.cells:
        _draw_cell(axes, panel.name, cell, x=starts[cell.component, cell.side], norm=norm, cell_height=cell_height)


def _draw_column_heads(axes: Axes, panel: _Panel, cell_height: float) -> dict[tuple[str, str], float]:
    """Write the stack's and the components' names above the panel; returns where every column starts."""

    def above(inches: float) -> float:
        return -inches / cell_height

    lift = 0.13 if any(side != "both" for _, side, _ in panel.columns) else 0.0
    axes.text(0, above(0.62), panel.title, fontsize=10.5, weight="bold", va="center", gid=f"stack:{panel.name}")
    starts: dict[tuple[str, str], float] = {}
    x = 0.0
    for component, side, modules in panel.columns:
        if x and side != "up":
            x += _COLUMN_GAP
        starts[component, side] = x
        width = _column_width(side)
        if side != "up":
            middle = x + width / 2 if side == "both" else x + width
            axes.text(middle, above(0.24 + lift), component, fontsize=9, ha="center", va="baseline")
            count = f"{modules} module" if modules == 1 else f"{modules} modules"
            axes.text(middle, above(0.09 + lift), count, fontsize=6.5, ha="center", va="baseline", color="#666666")
        if side != "both":
            axes.text(x + width / 2, above(0.05), side, fontsize=7, ha="center", va="baseline", color="#444444")
        x += width
    return starts


def _draw_cell(axes: Axes, stack: str, cell: _Cell, *, x: float, norm: LogNorm | None, cell_height: float) -> None:
    """x: the cell's left edge; both lengths in inches."""
    width = _column_width(cell.side)
    gid = f"cell:{stack}:{cell.block}:{cell.component}:{cell.side}"
    if cell.lrs and norm is not None:
        colour: Any = matplotlib.colormaps[COLOURS](norm(cell.mean))
        ink = _ink(colour)
        text = cell.text
    else:
        colour, ink, text = FROZEN_COLOUR, "#333333", "frozen"
    hatch = "////" if cell.frozen else None
    axes.add_patch(Rectangle((x, cell.block), width, 1, facecolor=colour, edgecolor="white", linewidth=0.8, gid=gid))
    if hatch:
        # A partly frozen cell keeps its colour; only its edge is hatched.
        share = 1.0 if not cell.lrs else 0.16
        axes.add_patch(
            Rectangle(
                (x, cell.block),
                width * share,
                1,
                facecolor=FROZEN_COLOUR,
                edgecolor="#a6a6a6",
                hatch=hatch,
                linewidth=0,
                gid=f"frozen:{gid}",
            )
        )
    if cell_height < _TEXT_CELL_HEIGHT:
        return
    size = min(7.5, 72 * cell_height * 0.6)
    if len(text) * size * 0.62 > 72 * width * (0.8 if hatch and cell.lrs else 0.98):
        size = 72 * width * (0.8 if hatch and cell.lrs else 0.98) / (0.62 * len(text))
    middle = x + width * (0.58 if hatch and cell.lrs else 0.5)
    background = {"facecolor": FROZEN_COLOUR, "edgecolor": "none", "pad": 0.8} if not cell.lrs else None
    axes.text(
        middle,
        cell.block + 0.52,
        text,
        fontsize=size,
        color=ink,
        ha="center",
        va="center",
        gid=f"lr:{gid}",
        bbox=background,
    )


def _ink(colour: tuple[float, float, float, float]) -> str:
    """Black or white, whichever reads better on the colour: by WCAG's luminance, a little in favour of white."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.21 else "white"


def _two_digits(lr: float) -> str:
    mantissa, exponent = f"{lr:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def _draw_bar(figure: Figure, norm: LogNorm, width: float, height: float, footer: float) -> None:
    length = min(5.0, width - _LEFT - 1.3)
    axes = figure.add_axes((_LEFT / width, (footer - 0.36) / height, length / width, 0.15 / height), label="colour bar")
    bar = figure.colorbar(ScalarMappable(norm, COLOURS), cax=axes, orientation="horizontal")
    assert norm.vmin is not None
    assert norm.vmax is not None
    ticks = _ticks(norm.vmin, norm.vmax)
    bar.set_ticks(ticks, labels=[format_lr(tick) for tick in ticks])
    bar.minorticks_off()
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    figure.text((_LEFT + length + 0.15) / width, (footer - 0.285) / height, "LR, log scale", fontsize=8, va="center")


def _ticks(low: float, high: float) -> list[float]:
    """The ends of the range, and between them round LRs (1, 2, 5, then any digit, times a power of ten) with room."""
    ticks = [low, high]
    room = 0.14 * math.log(high / low)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (3,), (2, 5), (4, 6, 7, 8, 9)):
        for tick in (digit * 10.0**exponent for exponent in exponents for digit in digits):
            if low < tick < high and all(abs(math.log(tick / other)) >= room for other in ticks):
                ticks.append(tick)
    return sorted(ticks)


def _title(plan: Plan) -> str:
    return f"{plan.family}: the learning rate of every block and component"


def _subtitle(plan: Plan) -> str:
    rows = [row for row in plan.rows if row.site.part in (MAIN_PART, *plan.encoder_stacks)]
    frozen = sum(row.frozen for row in rows)
    lrs = [lr for row in rows for lr in (row.lr_down, row.lr_up) if lr]
    spread = f" · LRs {format_lr(min(lrs))} to {format_lr(max(lrs))}" if lrs else ""
    return f"base LR {format_lr(plan.base_lr)}{spread} · {len(rows) - frozen} modules train, {frozen} are frozen"


def _notes(plan: Plan, panels: Sequence[_Panel]) -> list[tuple[str, str]]:
    """The lines below the colour bar, each with its gid; only what the picture needs."""
    cells = [cell for panel in panels for cell in panel.cells]
    notes = []
    if any(cell.side == "up" for cell in cells):
        notes.append(
            ("down, up: the two sides of a LoRA pair (LoRA+ gives the up side an LR of its own)", "note:sides")
        )
    if any(cell.several for cell in cells):
        text = "a range such as 1e-4–4e-4: the cell's modules have several LRs; its colour is their geometric mean"
        notes.append((text, "note:range"))
    if any(cell.frozen and not cell.lrs for cell in cells):
        notes.append(("grey and hatched: frozen, nothing there trains", "note:frozen"))
    if any(cell.frozen and cell.lrs for cell in cells):
        notes.append(("hatched edge: some of the cell's modules are frozen, the others train", "note:partly"))
    if any(panel.rows * len(panel.columns) > len(panel.cells) for panel in panels):
        notes.append(("blank: no modules there", "note:blank"))
    if any(lr < 0 for cell in cells for lr in cell.lrs):
        notes.append(("minus: a negative LR unlearns; its colour shows its size", "note:negative"))
    notes += [(_encoder_line(part, cell), f"part:{part}") for part, cell in encoder_cells(plan).items()]
    return notes


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
