"""The plan as a picture: blocks down, components across; LRs, LoRA+ ratios, ranks, or the ratio of two plans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from lr_grid.errors import did_you_mean
from lr_grid.files import replace_file
from lr_grid.plan import Plan
from lr_grid.report.picture.drawing import draw
from lr_grid.report.picture.lr_view import lr_view
from lr_grid.report.picture.numbers import format_lr
from lr_grid.report.picture.panels import OUTSIDE, View
from lr_grid.report.picture.rank_view import rank_view, ranks_differ
from lr_grid.report.picture.ratio_views import diff_view, loraplus_view

__all__ = [
    "OUTSIDE",
    "SUFFIXES",
    "VIEWS",
    "draw_diff",
    "draw_plan",
    "format_lr",
    "pixels",
    "plan_figure",
    "ranks_differ",
]

VIEWS: Mapping[str, Callable[[Plan], View]] = {"lr": lr_view, "loraplus": loraplus_view, "rank": rank_view}
"""What a picture can show of a plan."""
SUFFIXES = (".png", ".svg")


def plan_figure(plan: Plan, title: str | None = None, view: str = "lr") -> Figure:
    """The picture of a plan as a figure that is not registered with pyplot. ``view`` is a name in VIEWS:

    - ``lr``: absolute LRs on a log scale. Where LoRA+ gives the up side an LR of its own, a column is split into down
      and up. A cell that holds modules of several LRs shows min–max, its colour is their geometric mean.
    - ``loraplus``: the up side's LR over the down side's.
    - ``rank``: ranks (rank/alpha where alpha/rank is not the same everywhere) and how many parameters train.

    Frozen cells are grey and hatched; a cell without modules stays blank. Long stacks continue in the next column.

    Raises: ValueError for a view that does not exist.
    """
    if view not in VIEWS:
        raise ValueError(f"there is no view {view!r}.{did_you_mean(view, VIEWS)} Views: {', '.join(VIEWS)}")
    return draw(VIEWS[view](plan), title)


def draw_plan(plan: Plan, path: str | Path, title: str | None = None, view: str = "lr") -> Figure:
    """Saves plan_figure; the suffix of ``path`` chooses ``.png`` or ``.svg``. Returns the figure.

    Raises: ValueError for another suffix, or a view that does not exist.
    """
    return _save(lambda: plan_figure(plan, title, view), path)


def draw_diff(
    plan_a: Plan, plan_b: Plan, path: str | Path, title: str | None = None, names: tuple[str, str] = ("a", "b")
) -> Figure:
    """Draws the LRs of plan b over those of plan a, cell by cell, on a diverging log scale; cells that train in one of
    the two only are marked. ``names`` is what the two are called (the cells say a and b). Returns the figure.

    Raises: GridError where the two are of different models, ValueError for a suffix other than .png and .svg.
    """
    return _save(lambda: draw(diff_view(plan_a, plan_b, names), title), path)


def _save(make: Callable[[], Figure], path: str | Path) -> Figure:
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"the picture of a plan is a {' or '.join(SUFFIXES)} file, not {path.name!r}")
    figure = make()
    if suffix == ".svg":
        # without a date the same plan gives the same file
        replace_file(path, lambda temporary: figure.savefig(temporary, metadata={"Date": None}))
    else:
        # A palette takes a third of the bytes, and no eye sees the difference.
        picture = pixels(figure).quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        replace_file(path, picture.save)
    return figure


def pixels(figure: Figure) -> Image.Image:
    """A figure as an RGB image."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
