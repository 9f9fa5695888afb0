"""What the fields of the base-LR calculator may hold, and LRTool's configuration as fields."""

from __future__ import annotations

from dataclasses import fields as fields_of
from typing import Any

from lr_grid.convert.texts import number_text
from lr_grid.recommend import lrtool, lrtool_tables
from lr_grid.recommend.lrtool_schedules import SCHEDULES
from lr_grid.recommend.optimizers import OPTIMIZERS

_LRTOOL_NAMES = {"batch": "batch_size", "grad_accum": "gradient_accumulation", "slider_offset": "offset"}
"""LRTool's name of a field -> the page's, where they differ (its ``model`` is the page's lrtool_model)."""


def about() -> dict[str, Any]:
    """What the calculator's fields may hold, and their defaults."""
    return {
        "objectives": list(lrtool_tables.OBJECTIVES),
        "schedulers": list(SCHEDULES),
        "lrtool_models": list(lrtool_tables.MODELS),
        "lrtool_optimizers": list(lrtool_tables.OPTIMIZERS),
        "optimizers": list(OPTIMIZERS),
        "defaults": {key: text for key, text in page_fields(lrtool.Configuration()).items() if key != "lrtool_model"},
    }


def page_fields(chosen: lrtool.Configuration) -> dict[str, str]:
    """A configuration of LRTool as the page's fields."""
    found = {}
    for field in fields_of(chosen):
        value = getattr(chosen, field.name)
        text = value if isinstance(value, str) else number_text(value)
        name = "lrtool_model" if field.name == "model" else _LRTOOL_NAMES.get(field.name, field.name)
        found[name] = f"{text}%" if name == "warmup" else text
    return found
