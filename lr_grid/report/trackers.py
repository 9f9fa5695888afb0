"""The plan's picture in the trainer's own log: once, at step 0, in TensorBoard and Weights & Biases."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from lr_grid.living import living
from lr_grid.plan import Plan
from lr_grid.report.text import PREFIX

TAG = "lr_grid"
STEP = 0


def log_picture(plan: Plan, args: argparse.Namespace) -> None:
    """Puts the plan's picture into the logs that the trainer has opened; nothing without them, or without matplotlib.

    The trainers open their logs after the last sight of their arguments, and hand no network their accelerator: it is
    looked for among the living objects (0.2 s, once). Only the main process has logs. A picture never stops a run.
    """
    if not (getattr(args, "logging_dir", None) or getattr(args, "log_with", None)):
        return
    try:
        trackers = [tracker for found in open_accelerators() for tracker in found.trackers if tracker.name in _SHOW]
        if not trackers:
            return
        try:
            from lr_grid.report.picture import pixels, plan_figure
        except ImportError:
            return
        image = pixels(plan_figure(plan))
        for tracker in trackers:
            _SHOW[tracker.name](tracker, image)
    except Exception as error:
        print(f"{PREFIX} the grid's picture could not be put into the trainer's log: {error}", flush=True)


def open_accelerators() -> Iterator[Any]:
    """accelerate's Accelerators whose trackers are open in this process (a walk over the heap)."""
    accelerate = sys.modules.get("accelerate")
    if accelerate is None:
        return
    for found in living(accelerate.Accelerator):
        if found.is_main_process and getattr(found, "trackers", None):
            yield found


def _show_in_tensorboard(tracker: Any, image: Any) -> None:
    import numpy as np

    tracker.log_images({TAG: np.asarray(image)[None]}, step=STEP, dataformats="NHWC")
    tracker.tracker.flush()


def _show_in_wandb(tracker: Any, image: Any) -> None:
    tracker.log_images({TAG: [image]}, step=STEP)


_SHOW = {"tensorboard": _show_in_tensorboard, "wandb": _show_in_wandb}
"""Name of a tracker -> how it takes an image (accelerate.tracking)."""
