"""Tells the user what will happen, before the first step: prints the grid, puts plan and picture beside the LoRA."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lr_grid.plan import Plan
from lr_grid.report.jsonfile import plan_to_dict, write_plan
from lr_grid.report.text import PREFIX, render

DEFAULT_OUTPUT_NAME = "last"  # what sd-scripts calls a LoRA without --output_name


def announce(
    plan: Plan,
    base: str,
    groups: Sequence[dict[str, Any]],
    descriptions: Sequence[str] | None,
    args: argparse.Namespace | None,
) -> None:
    """Prints the grid; writes ``<output_name>.lr_grid.json`` (and .png) where the trainer has an output folder.

    In a run on several processes only the first one speaks.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    print(render(plan, len(groups), sum(len(group["params"]) for group in groups)), flush=True)
    folder = getattr(args, "output_dir", None)
    if not folder:
        return
    path = Path(folder) / f"{getattr(args, 'output_name', None) or DEFAULT_OUTPUT_NAME}.lr_grid.json"
    names = descriptions or [f"group {i}" for i in range(len(groups))]
    try:
        write_plan(plan_to_dict(plan, base, groups, names), path)
    except OSError as error:
        print(f"{PREFIX} the plan could not be written to {path}: {error}", flush=True)
    else:
        print(f"{PREFIX} the whole plan: {path}{_draw(plan, path.with_suffix('.png'))}", flush=True)


def _draw(plan: Plan, path: Path) -> str:
    """Draws the plan where matplotlib is installed; returns what there is to say of it. A picture never stops a run."""
    try:
        from lr_grid.report.picture import draw_plan

        draw_plan(plan, path)
    except ImportError:
        return ""
    except Exception as error:
        return f" (its picture could not be drawn: {error})"
    return f", and its picture: {path.name}"
