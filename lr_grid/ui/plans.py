"""The grid of a run, out of the plan that it left (.lr_grid.json)."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from lr_grid.convert.texts import number_text
from lr_grid.ui.fits import model_of_plan
from lr_grid.ui.parsed import Parsed


def plan_grid(data: Mapping[str, Any]) -> Parsed:
    """The grid of a run's .lr_grid.json."""
    base, stacks = data.get("base_lr"), data.get("stacks")
    return Parsed(
        "plan",
        plan_arguments(data["arguments"]),
        model_of_plan(data, stacks) if isinstance(stacks, dict) else "",
        module=str(data.get("network_module") or ""),
        base_lr=number_text(base) if isinstance(base, (int, float)) and not isinstance(base, bool) else "",
    )


def plan_arguments(held: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a plan remembers. Tables of a grid file stand there as Python writes them."""
    found: dict[str, Any] = {}
    for key, value in held.items():
        text = str(value)
        try:
            found[str(key)] = ast.literal_eval(text) if text[:1] in "{[" else text
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found[str(key)] = text
    found.pop("preset", None)  # its keys stand beside it
    # What a preset brought and the run's own settings made idle is no contradiction.
    for idle, strategy in (("peak_position", "depth_strategy"), ("rank_peak_position", "rank_strategy")):
        if found.get(strategy) != "inverted_u":
            found.pop(idle, None)
    for idle, strategy in (("min_depth_factor", "depth_strategy"), ("min_rank_factor", "rank_strategy")):
        if found.get(strategy, "flat") == "flat":
            found.pop(idle, None)
    return found
