"""The plan as JSON: every module's place, LRs, rank, alpha and why; every group's LR and parameters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lr_grid
from lr_grid.plan import Plan


def plan_to_dict(
    plan: Plan, base: str, groups: Sequence[dict[str, Any]], descriptions: Sequence[str]
) -> dict[str, Any]:
    """The plan as plain data (LRs absolute). ``base`` is the wrapped network module."""
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
            {"description": text, "lr": group.get("lr"), "params": group.get("param_names", len(group["params"]))}
            for group, text in zip(groups, descriptions, strict=True)
        ],
        "modules": [
            {
                **asdict(row.site),
                "lr_down": row.lr_down,
                "lr_up": row.lr_up,
                "rank": row.rank,
                "alpha": row.alpha,
                "frozen": row.frozen,
                "rule": row.rule,
                "why": row.why,
            }
            for row in plan.rows
        ],
    }


def write_plan(data: dict[str, Any], path: Path) -> None:
    """Writes the JSON, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
