"""Norms for machines: a summary as plain data, and every number as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TextIO

from lr_grid.norms.cells import ABSENT, QUANTITIES
from lr_grid.norms.read import NormsFile, NormsRun
from lr_grid.norms.series import WHATS, Series, binned, places_of, rows_of, series, summarize

_MOST_BINS = 100


def to_dict(file: NormsFile, run: NormsRun, number: int, side: str | None) -> dict[str, Any]:
    """Facts of the run; for each cell and each component of a stack, what its norms come to; None (null) where there is
    no finite number."""
    facts = {key: value for key, value in run.facts.items() if key not in ("quantities", "byteorder")}
    return {
        "file": str(file.path),
        "run": number,
        "runs": len(file.runs),
        "damaged_bytes": file.damaged,
        **facts,
        "side": side or "both",
        "steps": {"count": len(run.steps), "first": min(run.steps), "last": max(run.steps)},
        "cells": [_cell(run, place, cells) for place, cells in places_of(run, side).items()],
        "components": [
            {
                "name": name,
                **{what: _over_time(run.steps, series(run, what, cells)) for what in WHATS},
            }
            for name, cells in rows_of(run, side).items()
        ],
    }


def _cell(run: NormsRun, place: tuple, cells: list[int]) -> dict[str, Any]:
    part, stack, block, component = place
    return {
        "part": part,
        "stack": stack,
        "block": block,
        "component": component,
        "modules": max(run.cells[cell].modules for cell in cells),
        "parameters": sum(run.cells[cell].parameters for cell in cells),
        "lr": {run.cells[cell].side: list(run.cells[cell].lrs) for cell in cells},
        **{what: asdict(summarize(series(run, what, cells))) for what in WHATS},
    }


def _over_time(steps: Sequence[int], values: Series) -> dict[str, Any]:
    bins = [
        {"first_step": first, "last_step": last, "mean": mean}
        for first, last, mean in binned(steps, values, _MOST_BINS)
    ]
    return {**asdict(summarize(values)), "over_time": bins}


def write_csv(run: NormsRun, side: str | None, out: TextIO) -> None:
    """A line a step and cell: the three norms as they were recorded (``moved`` is what the step changed); empty where
    nothing was measured."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["step", "part", "stack", "block", "component", "side", *QUANTITIES])
    places = [
        (index, [cell.part, cell.stack or "", "" if cell.block is None else cell.block, cell.component, cell.side])
        for index, cell in enumerate(run.cells)
        if side in (None, cell.side)
    ]
    width = len(run.cells)
    for number, step in enumerate(run.steps):
        start = number * width * len(QUANTITIES)
        for index, place in places:
            values = [run.numbers[start + row * width + index] for row in range(len(QUANTITIES))]
            writer.writerow([step, *place, *("" if value == ABSENT else f"{value:.4g}" for value in values)])
