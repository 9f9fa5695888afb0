"""Tells the user what will happen, before the first step: prints the grid, puts plan and picture beside the LoRA."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lr_grid.plan import Plan
from lr_grid.report.jsonfile import plan_to_dict, write_plan
from lr_grid.report.text import PREFIX, render


def announce(
    plan: Plan,
    base: str,
    groups: Sequence[dict[str, Any]],
    descriptions: Sequence[str] | None,
    path: Path | None,
    quiet: bool = False,
) -> None:
    """Prints the grid; writes the plan to ``path`` (a .json) and beside it its picture (``.png``), and where ranks
    differ a second one of the ranks (``.ranks.png``).

    In a run on several processes only the first one speaks. ``quiet``: nothing is printed.
    """
    if not _is_first():
        return
    if not quiet:
        print(render(plan, len(groups), sum(len(group["params"]) for group in groups)), flush=True)
    if path is None:
        return
    names = descriptions or [f"group {i}" for i in range(len(groups))]
    try:
        write_plan(plan_to_dict(plan, base, groups, names), path)
    except OSError as error:
        print(f"{PREFIX} the plan could not be written to {path}: {error}", flush=True)
    else:
        drawn = _draw(plan, path.with_suffix(".png"))
        if not quiet:
            print(f"{PREFIX} the whole plan: {path}{drawn}", flush=True)


def say(line: str) -> None:
    """Prints a line about the run, as the grid is printed: in the first process only."""
    if _is_first():
        print(f"{PREFIX} {line}", flush=True)


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _draw(plan: Plan, path: Path) -> str:
    """Draws the plan where matplotlib is installed, its ranks too where they differ; returns what there is to say of
    it. A picture never stops a run."""
    ranks_path = path.with_suffix(".ranks.png")
    try:
        from lr_grid.report.picture import draw_plan, ranks_differ

        draw_plan(plan, path)
        if not ranks_differ(plan):
            ranks_path.unlink(missing_ok=True)  # of an earlier run of this name: it would speak of other ranks
            return f", and its picture: {path.name}"
        draw_plan(plan, ranks_path, view="rank")
    except ImportError:
        return ""
    except Exception as error:
        return f" (its picture could not be drawn: {error})"
    return f", and its pictures: {path.name}, {ranks_path.name}"
