"""Begins the recording of norms for a network under a plan."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

import lr_grid
from lr_grid.norms.cells import QUANTITIES, NormCell
from lr_grid.norms.fileformat import SUFFIX
from lr_grid.norms.recorder import NormRecorder
from lr_grid.norms.writer import NormsWriter
from lr_grid.plan import Plan, Row
from lr_grid.report.ranks import size
from lr_grid.report.text import PREFIX
from lr_grid.sides import side_of

Named = Sequence[tuple[str, nn.Parameter]]


def norms_file(plan_file: Path) -> Path:
    """The norms file that belongs to a plan's JSON: ``name.lr_grid.json`` -> ``name.lr_grid.norms``."""
    return plan_file.with_name(plan_file.name.removesuffix(".json").removesuffix(".lr_grid") + SUFFIX)


def start_norms(
    plan: Plan, parameters: Mapping[str, Named], path: Path | None, quiet: bool = False
) -> NormRecorder | None:
    """Records norms from the next step of the optimizer on, for as long as the recorder is held; None where nothing
    trains.

    In a run on several processes only the first one does: after the gradients are reduced, they all have the same.

    Args:
        parameters: what each module trains, by the module's name.
        path: the norms file, None for none.
        quiet: do not say that it is recorded.
    """
    if os.environ.get("RANK", "0") != "0":
        return None
    cells = gather(plan, parameters)
    if not cells:
        return None
    writer = None
    if path is not None:
        facts = {
            "quantities": list(QUANTITIES),
            "lr_grid": lr_grid.__version__,
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "model": plan.family,
            "stacks": plan.stacks,
            "base_lr": plan.base_lr,
            "arguments": dict(plan.arguments),
            "cells": [cell.to_dict() for cell in cells],
        }
        writer = NormsWriter(path, facts)
    recorder = NormRecorder(list(cells), list(cells.values()), writer)
    if not quiet and (writer is None or not writer.broken):
        where = f" to {path} (lr-grid norms shows them)" if path else ""
        cost = f"{size(recorder.measure.copy_bytes)} for a copy of what trains"
        if recorder.measure.turns > 1:
            cost += f" (the cells take turns: an update is measured every {recorder.measure.turns} steps)"
        print(f"{PREFIX} log_grad_norms: norms of {len(cells)} cells{where}; {cost}", flush=True)
    return recorder


def gather(plan: Plan, parameters: Mapping[str, Named]) -> dict[NormCell, list[nn.Parameter]]:
    """Cells and what trains in them, in the plan's order; a parameter of two modules counts in the first."""
    found: dict[tuple[str, str | None, int | None, str, str], list[tuple[Row, nn.Parameter]]] = {}
    seen: set[int] = set()
    for row in plan.rows:
        if row.frozen:
            continue
        site = row.site
        for name, parameter in parameters.get(site.name, ()):
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                place = (site.part, site.stack, site.block, site.component, side_of(name))
                found.setdefault(place, []).append((row, parameter))
    cells = {}
    for place, members in found.items():
        lrs = tuple(sorted({row.lr_of(place[-1]) for row, _ in members}))
        numbers = sum(parameter.numel() for _, parameter in members)
        modules = len({row.site.name for row, _ in members})
        cells[NormCell(*place, lrs, modules, numbers)] = [parameter for _, parameter in members]
    return cells
