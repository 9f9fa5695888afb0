"""Where everything goes: stacks continue from column to column, so that the picture is about as wide as a page.

All lengths are inches. A layout is chosen for the least shrinking on a page of ``PAGE_WIDTH`` x ``PAGE_HEIGHT``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from lr_grid.report.picture.panels import Column, Panel

PAGE_WIDTH, PAGE_HEIGHT = 9.0, 6.8
"""A README's column at about 93 pixels an inch: 8 pt is readable there."""
MOST_SHRINKING = 1.7
"""Where a picture with numbers would be shrunk further than this, numbers are left out."""
TEXT_SIZE, HEAD_SIZE, SIDE_SIZE, COUNT_SIZE, LABEL_SIZE, STACK_SIZE = 8.0, 8.5, 7.5, 6.5, 7.5, 10.5
"""Of cells, component names, sides, module counts, block numbers, stack names; in points."""
TOP, LEFT, RIGHT = 0.86, 0.2, 0.2
COLUMN_GAP, STACK_GAP, COMPONENT_GAP = 0.3, 0.22, 0.05
_FEWEST_LINES = 6
"""A longer stack is not begun at the foot of a column with fewer lines than this."""
_LOWEST_COLUMN = 3
"""In lines."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Sizes with numbers in the cells, or without."""

    line: float
    numbers: bool

    def column(self, column: Column) -> float:
        """Width of a column."""
        least = 0.3 if column.side == "both" else 0.22
        return max(least, text_width(column.longest, TEXT_SIZE) + 0.12) if self.numbers else least + 0.15


WITH_NUMBERS, WITHOUT_NUMBERS = Metrics(0.24, True), Metrics(0.1, False)


@dataclass(frozen=True, slots=True)
class Component:
    """The columns of one component in a panel."""

    name: str
    modules: int
    x: float
    """Left edge, from the panel's."""
    width: float
    sides: dict[str, tuple[float, float]]
    """side -> (left edge, width)"""


@dataclass(frozen=True, slots=True)
class Segment:
    """Some lines of a panel, one below the other, under a head of their own."""

    panel: Panel
    first: int
    last: int
    """Lines first to last - 1."""
    x: float
    """Left edge of the tiles."""
    y: float
    """Upper edge of the head, from the top of the picture."""
    label: float
    """Width of the block numbers, left of ``x``."""
    head: float
    """Height of the head."""
    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """All segments, and what they take."""

    metrics: Metrics
    segments: tuple[Segment, ...]
    width: float
    bottom: float
    """Lower edge of the lowest segment, from the top."""


def lay_out(panels: Sequence[Panel], least_width: float, footer: float) -> Layout:
    """The layout that is shrunk least on a page; among equals the one that takes the least room.

    Args:
        least_width: what title and notes need.
        footer: height of what stands below the segments.
    """
    longest = max((len(panel.lines) for panel in panels), default=1)
    total = sum(len(panel.lines) for panel in panels)

    def shrinking(layout: Layout) -> float:
        return max(1.0, max(layout.width, least_width) / PAGE_WIDTH, (layout.bottom + footer) / PAGE_HEIGHT)

    best: Layout | None = None
    for metrics in (WITH_NUMBERS, WITHOUT_NUMBERS):
        heights = range(min(_LOWEST_COLUMN, longest), max(longest, min(total, 40)) + 1)
        layouts = [_flow(panels, metrics, height) for height in heights]
        best = min(layouts, key=lambda layout: (round(shrinking(layout), 2), layout.width * (layout.bottom + footer)))
        if shrinking(best) <= MOST_SHRINKING:
            break
    assert best is not None
    return best


def _flow(panels: Sequence[Panel], metrics: Metrics, lines: int) -> Layout:
    """Fills columns of the height of ``lines`` lines and one head, as text fills the columns of a newspaper."""
    room = max((_head(panel) for panel in panels), default=0.0) + lines * metrics.line
    segments: list[Segment] = []
    left, y, width, deepest = LEFT, TOP, 0.0, TOP
    for panel in panels:
        head, label, components = _head(panel), _label_width(panel), _components(panel, metrics)
        span = label + max(components[-1].x + components[-1].width, text_width(panel.title, STACK_SIZE, bold=True))
        for first, last in _pieces(len(panel.lines), int((TOP + room - y - head) / metrics.line + 1e-6), lines):
            if first is None:
                left, y, width = left + width + COLUMN_GAP, TOP, 0.0
                continue
            segments.append(Segment(panel, first, last, left + label, y, label, head, components))
            y += head + (last - first) * metrics.line
            deepest, width = max(deepest, y), max(width, span)
            y += STACK_GAP
    return Layout(metrics, tuple(segments), left + width + RIGHT, deepest)


def _pieces(length: int, fits: int, lines: int) -> Iterator[tuple[int | None, int]]:
    """(first, last) of the pieces of a panel; (None, 0) begins a new column."""
    done = 0
    if fits < min(length, _FEWEST_LINES) or (fits < length <= lines):
        yield None, 0
        fits = lines
    while True:
        # The last columns share what is left evenly.
        left = length - done
        columns = -(-max(left - fits, 0) // lines) + 1
        take = min(fits, -(-left // columns)) if fits == lines else min(fits, left)
        yield done, done + take
        done += take
        if done >= length:
            return
        yield None, 0
        fits = lines


def _head(panel: Panel) -> float:
    """Height of stack name, components, counts and sides."""
    return 0.55 + (0.14 if any(column.side != "both" for column in panel.columns) else 0.0)


def _label_width(panel: Panel) -> float:
    return max(text_width(line.label, LABEL_SIZE) for line in panel.lines) + 0.1


def _components(panel: Panel, metrics: Metrics) -> tuple[Component, ...]:
    made: list[Component] = []
    x = 0.0
    for name in dict.fromkeys(column.component for column in panel.columns):
        columns = [column for column in panel.columns if column.component == name]
        heads = max(text_width(name, HEAD_SIZE), text_width(count_text(columns[0].modules), COUNT_SIZE)) + 0.08
        widths = [metrics.column(column) for column in columns]
        widths = [max(*widths, heads / len(widths))] * len(widths)
        starts = [x + sum(widths[:index]) for index in range(len(widths))]
        sides = {c.side: (start, w) for c, start, w in zip(columns, starts, widths, strict=True)}
        made.append(Component(name, columns[0].modules, x, sum(widths), sides))
        x += sum(widths) + COMPONENT_GAP
    return tuple(made)


def count_text(modules: int) -> str:
    """``38 modules``."""
    return f"{modules} module" if modules == 1 else f"{modules} modules"


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of a text in the picture's font; ``size`` in points."""
    font = FontProperties(size=size, weight="bold" if bold else "normal")
    width: float = text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]
    return width / 72
