"""Draws a view: one axes over the whole figure, in inches from the upper left corner, and the colour bar."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lr_grid.report.picture.layout import (
    COUNT_SIZE,
    HEAD_SIZE,
    LABEL_SIZE,
    LEFT,
    RIGHT,
    SIDE_SIZE,
    STACK_SIZE,
    TEXT_SIZE,
    Layout,
    Segment,
    count_text,
    lay_out,
    text_width,
)
from lr_grid.report.picture.panels import GREY, Tile, View
from lr_grid.report.picture.scales import Scale, ink

_DPI = 140
_TITLE_SIZE, _SUBTITLE_SIZE, _NOTE_SIZE = 13.0, 9.0, 8.0
_BAR, _NOTE = 0.72, 0.18
_LEAST_WIDTH = 4.5


def draw(view: View, title: str | None = None) -> Figure:
    """The figure of a view, not registered with pyplot. ``title`` takes the place of the view's own."""
    title = title or view.title
    lines = [text_width(title, _TITLE_SIZE, bold=True), text_width(view.subtitle, _SUBTITLE_SIZE)]
    lines += [text_width(text, _NOTE_SIZE) for text, _ in view.notes]
    least_width = max(LEFT + max(lines) + RIGHT, _LEAST_WIDTH)
    footer = (_BAR if view.scale else 0.15) + _NOTE * len(view.notes) + 0.12
    layout = lay_out(view.panels, least_width, footer)
    width, height = max(layout.width, least_width), layout.bottom + footer

    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), label="grid")
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    axes.text(LEFT, 0.28, title, fontsize=_TITLE_SIZE, weight="bold", va="center", gid="title")
    axes.text(LEFT, 0.56, view.subtitle, fontsize=_SUBTITLE_SIZE, va="center", color="#444444", gid="subtitle")
    tiles = {(panel.name, tile.block, tile.component, tile.side): tile for panel in view.panels for tile in panel.tiles}
    for segment in layout.segments:
        _draw_head(axes, segment)
        _draw_lines(axes, segment, layout, tiles, view.scale)
    y = layout.bottom + 0.12
    if view.scale is not None:
        _draw_bar(figure, view.scale, width, height, layout.bottom)
        y = layout.bottom + _BAR
    for index, (text, gid) in enumerate(view.notes):
        middle = y + _NOTE * (index + 0.5)
        axes.text(LEFT, middle, text, fontsize=_NOTE_SIZE, va="center", color="#333333", gid=gid)
    return figure


def _draw_head(axes: Axes, segment: Segment) -> None:
    """The stack's and the components' names, and over split columns their sides."""
    begins = segment.first == 0
    panel = segment.panel
    lines = panel.lines[segment.first : segment.last]
    span = f"{lines[0].label.partition('–')[0]}–{lines[-1].label.rpartition('–')[-1]}"
    title = panel.title if begins else f"{panel.name} {span}"
    colour = "black" if begins else "#666666"
    axes.text(
        segment.x,
        segment.y + 0.12,
        title,
        fontsize=STACK_SIZE,
        weight="bold" if begins else "normal",
        va="center",
        color=colour,
        gid=f"stack:{panel.name}:{segment.first}",
    )
    foot = segment.y + segment.head
    split = any(side != "both" for component in segment.components for side in component.sides)
    lift = 0.14 if split else 0.0
    for component in segment.components:
        middle = segment.x + component.x + component.width / 2
        axes.text(middle, foot - 0.19 - lift, component.name, fontsize=HEAD_SIZE, ha="center", va="baseline")
        if begins:
            text, size = count_text(component.modules), COUNT_SIZE
            axes.text(middle, foot - 0.06 - lift, text, fontsize=size, ha="center", va="baseline", color="#666666")
        for side, (start, width) in component.sides.items():
            if side != "both":
                x = segment.x + start + width / 2
                axes.text(x, foot - 0.05, side, fontsize=SIDE_SIZE, ha="center", va="baseline", color="#444444")


def _draw_lines(
    axes: Axes,
    segment: Segment,
    layout: Layout,
    tiles: dict[tuple[str, int, str, str], Tile],
    scale: Scale | None,
) -> None:
    height = layout.metrics.line
    step = 1 if layout.metrics.numbers else 5
    for index, line in enumerate(segment.panel.lines[segment.first : segment.last]):
        y = segment.y + segment.head + index * height
        if line.label and index % step == 0:
            axes.text(
                segment.x - 0.06,
                y + height / 2,
                line.label,
                fontsize=LABEL_SIZE,
                ha="right",
                va="center_baseline",
                color="black" if line.block is not None else "#888888",
            )
        if line.block is None:
            right = segment.components[-1].x + segment.components[-1].width
            axes.plot([segment.x, segment.x + right], [y + height / 2] * 2, color="#cccccc", linewidth=0.8)
            continue
        for component in segment.components:
            for side, (start, width) in component.sides.items():
                tile = tiles.get((segment.panel.name, line.block, component.name, side))
                if tile is not None:
                    box = (segment.x + start, y, width, height)
                    _draw_tile(axes, segment.panel.name, tile, box, scale, layout.metrics.numbers)


def _draw_tile(
    axes: Axes,
    panel: str,
    tile: Tile,
    box: tuple[float, float, float, float],
    scale: Scale | None,
    numbers: bool,
) -> None:
    """box: left, top, width, height."""
    x, y, width, height = box
    look = tile.look
    gid = f"cell:{panel}:{tile.block}:{tile.component}:{tile.side}"
    colour: Any = look.ground
    text_colour = "#333333"
    if look.value is not None and scale is not None:
        colour = scale.colour(look.value)
        text_colour = ink(colour)
    edge = {"edgecolor": "#bbbbbb", "linewidth": 0.5} if scale and scale.diverging else {}
    style: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.8, **edge}
    axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, gid=gid, **style))
    mark = width if look.hatched else 0.09 if look.edge else 0.0
    if mark:
        hatch: dict[str, Any] = {
            "facecolor": look.ground if look.hatched else GREY,
            "edgecolor": "#a6a6a6",
            "hatch": "////",
            "linewidth": 0,
        }
        axes.add_patch(Rectangle((x, y), mark, height, gid=f"frozen:{gid}", **hatch))
    if not numbers:
        return
    middle = x + width / 2 + (mark / 2 if look.edge else 0)
    background = {"facecolor": look.ground, "edgecolor": "none", "pad": 0.6} if look.hatched else None
    axes.text(
        middle,
        y + height / 2,
        look.text,
        fontsize=TEXT_SIZE,
        color=text_colour,
        ha="center",
        va="center_baseline",
        gid=f"text:{gid}",
        bbox=background,
    )


def _draw_bar(figure: Figure, scale: Scale, width: float, height: float, bottom: float) -> None:
    label = text_width(scale.label, 8)
    left = LEFT + 0.3
    length = min(5.0, width - left - label - 0.55)
    top = bottom + 0.2
    axes = figure.add_axes((left / width, 1 - (top + 0.14) / height, length / width, 0.14 / height), label="colour bar")
    bar = figure.colorbar(
        ScalarMappable(LogNorm(scale.low, scale.high), scale.colour_map()), cax=axes, orientation="horizontal"
    )
    bar.set_ticks(list(scale.ticks), labels=[scale.tick_text(tick) for tick in scale.ticks])
    bar.minorticks_off()
    bar.ax.tick_params(labelsize=8, length=2.5, pad=2)
    bar.outline.set_visible(False)
    figure.text((left + length + 0.3) / width, 1 - (top + 0.07) / height, scale.label, fontsize=8, va="center")
