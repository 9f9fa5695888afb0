"""What a state comes to in the run: its plan, by the run's own planner, cell by cell."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from lr_grid.errors import Problems
from lr_grid.own_optimizers import takes_scales
from lr_grid.plan import Plan, Row, TrainerLrs
from lr_grid.preview import Preview, Run, preview
from lr_grid.sizes import parameters
from lr_grid.ui.state import State
from lr_grid.ui.write import words_of
from lr_grid.values import number
from lr_grid.words import COMPONENTS, MAIN_PART

Value = float | None | list[float]
"""Of a cell: None: no module there; a number; lowest and highest of several."""


def preview_of(state: State) -> Preview:
    """The plan of a state.

    Raises: GridError with everything that the run would refuse, and for a base LR, rank or alpha that is none.
    """
    words = words_of(state)
    return preview(state.model.blueprint, words, run_of(state, words))


def run_of(state: State, words: Iterable[str]) -> Run:
    """What of a state's command line bears on the plan.

    Raises: GridError.
    """
    problems = Problems()
    base = _number(state.base_lr, "the base LR", problems)
    if base is not None and base <= 0:
        problems.add(f"the base LR: {state.base_lr} is not above 0")
    dim = _number(state.dim, "--network_dim", problems) if state.dim else None
    if dim is not None and (dim != int(dim) or dim < 1):
        problems.add(f"--network_dim: {state.dim} is no rank: give a whole number from 1")
    alpha = _number(state.alpha, "--network_alpha", problems) if state.alpha else None
    if alpha is not None and alpha < 0:
        problems.add(f"--network_alpha: {state.alpha} is below 0")
    problems.raise_if_any()
    assert base is not None
    return Run(
        TrainerLrs(base),
        state.module,
        None if dim is None else int(dim),
        1.0 if alpha is None else alpha,
        trains_text_encoders=any(re.match(r"te[123]?_", key) for key in words),
        folded=takes_scales(_optimizer(state.command)),
    )


def _number(text: str, what: str, problems: Problems) -> float | None:
    try:
        return number(text.strip() or "nothing")
    except ValueError as error:
        problems.add(f"{what}: {error}")
        return None


def _optimizer(command: list[str]) -> str | None:
    """The --optimizer_type of raw words."""
    for before, word in zip(["", *command], command, strict=False):
        if before == "--optimizer_type":
            return word.strip("'\"")
        if word.startswith("--optimizer_type="):
            return word.partition("=")[2].strip("'\"")
    return None


def _about_command(state: State, made: Preview) -> list[str]:
    from lr_grid.ui.obeyed import about_command  # here: a page without a command need not wait for it

    return about_command(state, made)


def planned(state: State) -> dict[str, Any]:
    """Cells, notices, groups and parameters of a state.

    Raises: GridError.
    """
    made = preview_of(state)
    return {
        "cells": cells_of(made.plan),
        "notices": [*made.plan.notices, *(_about_command(state, made) if state.command else [])],
        "groups": len(made.groups),
        "parameters": parameters(made.plan),
    }


def cells_of(plan: Plan) -> dict[str, dict[str, dict[str, list[Value]]]]:
    """Stack (empty: outside every stack) -> component -> lr, up (where it is not lr), rank, alpha of each block."""
    found: dict[str, dict[str, dict[int, list[Row]]]] = {stack: {} for stack in (*plan.stacks, "")}
    for row in plan.rows:
        if row.site.part == MAIN_PART:
            here = found[row.site.stack or ""].setdefault(row.site.component, {})
            here.setdefault(row.site.block if row.site.stack else 0, []).append(row)  # type: ignore[arg-type]
    result = {}
    for stack, rows in found.items():
        size = plan.stacks.get(stack, 1)
        result[stack] = {c: _row(rows[c], size) for c in COMPONENTS if c in rows}
    if not result[""]:
        del result[""]
    return result


def _row(by_block: dict[int, list[Row]], size: int) -> dict[str, list[Value]]:
    blocks = [by_block.get(block) for block in range(size)]
    lr = [_value(rows, lambda row: 0.0 if row.frozen else row.lr_down or row.lr_up) for rows in blocks]
    up = [_value(rows, lambda row: 0.0 if row.frozen else row.lr_up) for rows in blocks]
    row: dict[str, list[Value]] = {"lr": lr}
    if up != lr:
        row["up"] = up
    row["rank"] = [_value(rows, lambda row: row.rank) for rows in blocks]
    row["alpha"] = [_value(rows, lambda row: row.alpha) for rows in blocks]
    return row


def _value(rows: list[Row] | None, value_of: Any) -> Value:
    values = [value for value in map(value_of, rows or ()) if value is not None]
    if not values:
        return None
    low, high = min(values), max(values)
    return low if low == high else [low, high]
