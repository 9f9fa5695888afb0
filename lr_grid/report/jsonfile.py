"""The plan as JSON: every module's place, LRs, rank, alpha and why; cells, sizes, every group's LR and parameters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lr_grid
from lr_grid.files import replace_file
from lr_grid.memory import OPTIMIZERS
from lr_grid.plan import Plan
from lr_grid.report.cells import Cell, Table, tables
from lr_grid.scales import SCALES, lrs_of
from lr_grid.sizes import file_bytes, optimizer_bytes, parameters


def plan_to_dict(
    plan: Plan,
    base: str,
    groups: Sequence[dict[str, Any]],
    descriptions: Sequence[str],
    logged: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The plan as plain data (LRs absolute).

    Args:
        base: the wrapped network module.
        logged: what the trainer's log calls each group, where that is not its description.
    """
    return {
        "lr_grid": lr_grid.__version__,
        "network_module": base,
        "model": plan.family,
        "stacks": plan.stacks,
        "encoder_stacks": plan.encoder_stacks,
        "base_lr": plan.base_lr,
        "settings": dict(plan.header),
        "arguments": dict(plan.arguments),
        "notices": list(plan.notices),
        "groups": [
            {
                "description": text,
                "logged_as": tag,
                "lr": group.get("lr"),
                "params": group.get("param_names", len(group["params"])),
                # Where parameters of one group have LRs of their own.
                **({"lrs": lrs_of(group)} if SCALES in group else {}),
            }
            for group, text, tag in zip(groups, descriptions, logged or descriptions, strict=True)
        ],
        "sizes": {
            "parameters": parameters(plan),
            "file_bytes": {"fp16": file_bytes(plan, 2), "fp32": file_bytes(plan, 4)},
            "optimizer_bytes": {name: optimizer_bytes(plan, name) for name in OPTIMIZERS},
        },
        "cells": [_cell_to_dict(table, *place, cell) for table in tables(plan) for place, cell in table.cells.items()],
        "modules": [
            {
                **row.site._asdict(),
                "lr_down": row.lr_down,
                "lr_up": row.lr_up,
                "rank": row.rank,
                "alpha": row.alpha,
                "rank_why": row.rank_why,
                "params": row.params,
                "frozen": row.frozen,
                "rule": row.rule,
                "why": row.why,
            }
            for row in plan.rows
        ],
    }


def run_record(plan: Plan, base: str, is_grid: bool, optimizer: str | None) -> str:
    """What a saved state remembers of the run beside its groups, as JSON.

    Args:
        optimizer: the trainer's word for it; None where it is not known.
    """
    return json.dumps(
        {
            "lr_grid": lr_grid.__version__,
            "network_module": base,
            "grid": is_grid,
            "model": plan.family,
            "base_lr": plan.base_lr,
            "optimizer": optimizer,
            "settings": dict(plan.header),
            "arguments": dict(plan.arguments),
        }
    )


def _cell_to_dict(table: Table, block: int | None, component: str, cell: Cell) -> dict[str, Any]:
    """One cell: lists hold the distinct values of its modules."""
    made = [row for row in cell.rows if row.saved and row.rank]
    return {
        "part": table.part,
        "stack": table.stack,
        "block": block,
        "component": component,
        "modules": len(cell.rows),
        "trained": len(cell.trained),
        "lr_down": cell.lrs("down"),
        "lr_up": cell.lrs("up"),
        "rank": sorted({row.rank for row in made if row.rank}),
        "alpha": sorted({row.alpha for row in made if row.alpha is not None}),
        "alpha_over_rank": sorted({row.alpha / row.rank for row in made if row.rank and row.alpha is not None}),
        "params": sum(row.params for row in cell.rows),
    }


def write_plan(data: dict[str, Any], path: Path) -> None:
    """Writes the JSON whole or not at all, making its folder.

    Raises: OSError.
    """
    text = json.dumps(data, indent=1) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline="\n"))
