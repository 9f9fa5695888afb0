"""Files that are only looked at: a run's plan (.lr_grid.json), and the norms that it recorded (.lr_grid.norms)."""

from __future__ import annotations

import base64
import binascii
import json
import math
from array import array
from collections.abc import Mapping
from typing import Any

from lr_grid.convert.texts import number_text
from lr_grid.errors import GridError
from lr_grid.norms.cells import QUANTITIES
from lr_grid.norms.heat import heat_tables
from lr_grid.norms.read import NormsRun, chosen_run, norms_of
from lr_grid.norms.series import WHATS
from lr_grid.ui import shape
from lr_grid.ui.fits import model_of_plan
from lr_grid.ui.shape import wrong
from lr_grid.words import COMPONENTS, MAIN_PART

MOST_STEPS = 1000
"""Norms are averaged over so many steps at most, evenly chosen."""


def view(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a file.

    Raises: GridError where it is neither, RequestError.
    """
    name = shape.text(data, "name")[:200]
    content = shape.text(data, "text").encode() if "text" in data else _decoded(shape.text(data, "base64"))
    if content.startswith(b"LRGN"):
        return _norms(name, content)
    try:
        held = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise GridError([f"{name}: is neither a run's plan (.lr_grid.json) nor its norms (.lr_grid.norms)"]) from None
    if not isinstance(held, dict) or "lr_grid" not in held or not isinstance(held.get("cells"), list):
        raise GridError([f"{name}: is no plan of a run (.lr_grid.json)"])
    try:
        return _plan(name, held)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise GridError([f"{name}: cannot be understood as a plan: {type(error).__name__}: {error}"]) from None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise wrong("base64 is none") from None


def _plan(name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    from lr_grid.ui.parse import parse  # here: norms need none of it
    from lr_grid.ui.parsed import Asked
    from lr_grid.ui.write import texts_of

    stacks = _stacks(data["stacks"])
    cells: dict[str, dict[str, dict[str, list[Any]]]] = {}
    for cell in data["cells"]:
        stack = cell["stack"] or ""
        if cell["part"] != MAIN_PART or (stack and stack not in stacks):
            continue
        size = stacks.get(stack, 1)
        row = cells.setdefault(stack, {}).setdefault(cell["component"], {})
        frozen = [0.0] if cell["trained"] < cell["modules"] else []
        values = {
            "lr": _spread([*frozen, *cell["lr_down"]]),
            "up": _spread([*frozen, *cell["lr_up"]]),
            "rank": _spread(cell["rank"]),
            "alpha": _spread(cell["alpha"]),
        }
        for what, value in values.items():
            row.setdefault(what, [None] * size)[cell["block"] or 0] = value
    for rows in cells.values():
        for row in rows.values():
            if row["up"] == row["lr"]:
                del row["up"]
    model, base = model_of_plan(data, stacks), data.get("base_lr")
    line = ""
    if model and data.get("arguments"):
        try:
            line = texts_of(parse(json.dumps(dict(data)), Asked(model))[1].state).network_args
        except GridError:
            line = ""
    facts = [["model", str(data.get("model", ""))], ["network module", str(data.get("network_module", ""))]]
    facts += [["base LR", number_text(base)]] if isinstance(base, (int, float)) else []
    facts += [[str(key), str(value)] for key, value in dict(data.get("settings") or {}).items()]
    facts += [["optimizer groups", str(len(data.get("groups") or ()))]]
    sizes = data.get("sizes") or {}
    facts += [["trained parameters", f"{int(sizes['parameters']):,}"]] if "parameters" in sizes else []
    facts += [["lr-grid", str(data["lr_grid"])]]
    return {
        "kind": "plan",
        "title": name,
        "facts": facts,
        "stacks": _shape(stacks, cells),
        "cells": cells,
        "arguments": line,
        "base_lr": base if isinstance(base, (int, float)) and math.isfinite(base) else None,
        "model": model,
    }


def _stacks(held: Mapping[str, Any]) -> dict[str, int]:
    stacks = {str(stack): int(size) for stack, size in held.items()}
    if any(not 0 < size < 1000 for size in stacks.values()):
        raise ValueError("stacks of no blocks, or of far too many")
    return stacks


def _spread(values: list[Any]) -> Any:
    numbers = [float(value) for value in values]
    if not numbers or not all(map(math.isfinite, numbers)):
        return None
    low, high = min(numbers), max(numbers)
    return low if low == high else [low, high]


def _shape(stacks: Mapping[str, int], rows: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The stacks as a model's, without names for rules."""

    def blocks(stack: str, component: str) -> list[int] | None:
        first = rows[stack][component]
        values = first["lr"] if isinstance(first, Mapping) else first
        there = [block for block, value in enumerate(values) if value is not None]
        return None if len(there) == len(values) else there

    return [
        {
            "name": stack,
            "size": size,
            "rows": [{"component": c, "blocks": blocks(stack, c)} for c in COMPONENTS if c in rows.get(stack, {})],
        }
        for stack, size in stacks.items()
    ]


def _norms(name: str, content: bytes) -> dict[str, Any]:
    run, number = chosen_run(norms_of(name, content), None)
    steps = len(run.steps)
    thin = _thinned(run)
    about = f"mean over {steps:,} steps"
    if len(thin.steps) < steps:
        about = f"mean over {len(thin.steps):,} of {steps:,} steps"
    stacks = {str(stack): int(size) for stack, size in dict(run.facts.get("stacks") or {}).items()}
    quantities: dict[str, dict[str, dict[str, list[Any]]]] = {}
    for what in WHATS:
        tables: dict[str, dict[str, list[Any]]] = {}
        for table in heat_tables(thin, what, None):
            if table.name != (table.stack or "outside"):
                continue  # a text encoder's
            size = stacks.get(table.stack or "", 1)
            rows = tables.setdefault(table.stack or "", {})
            for (block, component), cell in table.cells.items():
                if (block or 0) < size:
                    rows.setdefault(component, [None] * size)[block or 0] = cell.mean
        quantities[what] = tables
    facts = [["model", str(run.facts.get("model", ""))], ["steps", f"{run.steps[0]} to {run.steps[-1]}"]]
    facts += [["run", str(number)]]
    started = run.facts.get("started")
    if started:
        facts.append(["started", str(started)])
    base = run.facts.get("base_lr")
    return {
        "kind": "norms",
        "title": name,
        "facts": facts,
        "stacks": _shape(stacks, next((tables for tables in quantities.values() if tables), {})),
        "quantities": quantities,
        "labels": {what: f"{WHATS[what]}, {about}" for what in WHATS},
        "arguments": "",
        "base_lr": base if isinstance(base, (int, float)) and math.isfinite(base) else None,
        "model": model_of_plan(run.facts, stacks),
    }


def _thinned(run: NormsRun) -> NormsRun:
    """The run with at most MOST_STEPS steps."""
    count = len(run.steps)
    if count <= MOST_STEPS:
        return run
    width = len(QUANTITIES) * len(run.cells)
    kept = [index * count // MOST_STEPS for index in range(MOST_STEPS)]
    numbers = array("f")
    for index in kept:
        numbers += run.numbers[index * width : (index + 1) * width]
    return NormsRun(run.facts, run.cells, [run.steps[index] for index in kept], numbers)
