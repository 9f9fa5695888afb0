"""The digits the model draws before and after the LoRA, all ten classes side by side, as one PNG."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from lr_grid.demo.model import IMAGE_SIZE, NUM_CLASSES

SAMPLES_A_CLASS = 3
"""Drawings of every class in the picture."""
_UPSCALE = 10
_MARK = "#c8102e"


def draw_digits(
    before: Tensor,
    after: Tensor,
    *,
    right_before: Tensor,
    right_after: Tensor,
    new_classes: tuple[int, ...],
    path: Path,
) -> Figure:
    """Draw the first samples of every class, before above after; the share read right stands below each column.

    before, after: (classes, samples, 1, 8, 8) in [-1, 1]; right_before, right_after: bool (classes, samples);
    new_classes: what the LoRA learned, marked. The suffix of ``path`` chooses the format. Returns the figure.
    """
    figure = Figure(figsize=(9.6, 7.5), dpi=130, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.03, 0.965, "Digits drawn before and after the LoRA", fontsize=14, weight="bold", va="center")
    known = [label for label in range(NUM_CLASSES) if label not in new_classes]
    legend = (
        f"the base learned {known[0]} to {known[-1]}, the LoRA learned {' and '.join(map(str, new_classes))} (red); "
        f"below each column: drawings read right, of {right_before.shape[1]}"
    )
    figure.text(0.03, 0.928, legend, fontsize=9.5, color="#444444", va="center")
    for index, (name, images, right) in enumerate((("before", before, right_before), ("after", after, right_after))):
        axes = figure.add_axes((0.09, 0.515 - 0.46 * index, 0.89, 0.36), label=name)
        _draw_sheet(axes, name, images[:, :SAMPLES_A_CLASS], right, new_classes)
    figure.savefig(path)
    return figure


def _draw_sheet(axes: Axes, name: str, images: Tensor, right: Tensor, new_classes: tuple[int, ...]) -> None:
    classes, samples = images.shape[:2]
    gap = _UPSCALE
    tile = IMAGE_SIZE * _UPSCALE
    sheet = torch.ones(samples * (tile + gap) - gap, classes * (tile + gap) - gap)
    for label in range(classes):
        for index in range(samples):
            digit = images[label, index, 0].repeat_interleave(_UPSCALE, 0).repeat_interleave(_UPSCALE, 1)
            top, left = index * (tile + gap), label * (tile + gap)
            sheet[top : top + tile, left : left + tile] = (1.0 - digit) / 2
    axes.imshow(sheet.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    for spine in axes.spines.values():
        spine.set_visible(False)
    centres = [label * (tile + gap) + tile / 2 for label in range(classes)]
    axes.tick_params(length=0, pad=4)
    axes.set_yticks([sheet.shape[0] / 2], [name], fontsize=12, weight="bold", rotation=90, va="center")
    counts = right.sum(dim=1).tolist()
    axes.set_xticks(centres, [f"{count}/{right.shape[1]}" for count in counts], fontsize=10)
    for label, centre in enumerate(centres):
        colour = _MARK if label in new_classes else "black"
        axes.text(centre, -gap * 0.8, str(label), ha="center", va="bottom", fontsize=13, weight="bold", color=colour)
        axes.get_xticklabels()[label].set_color(colour)
        for index in range(samples):
            top, left = index * (tile + gap), label * (tile + gap)
            axes.plot(
                [left - 0.5, left + tile - 0.5, left + tile - 0.5, left - 0.5, left - 0.5],
                [top - 0.5, top - 0.5, top + tile - 0.5, top + tile - 0.5, top - 0.5],
                color=_MARK if label in new_classes else "#bbbbbb",
                linewidth=1.4 if label in new_classes else 0.8,
                clip_on=False,
            )
