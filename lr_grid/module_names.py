"""Names of network modules: the trainers' own, and the grid's around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LOOP_MODULE = "lr_grid.param_groups"
"""Stands for a network module where the model is trained in a loop of one's own."""


def grid_module(base: str) -> str:
    """The grid's module around a network module, as it is given to the trainer."""
    if base == LOOP_MODULE:
        return base
    name = f"{base}_grid"
    return name.replace("musubi_tuner.networks.", "lr_grid.musubi.")


def wrapped_module(module: str, arguments: Mapping[str, Any]) -> str:
    """The module that a grid's network module wraps (``networks.lora_flux_grid`` -> ``networks.lora_flux``); another
    one as it is."""
    if module == "lr_grid.network":
        return str(arguments.get("base") or "")
    if not module.endswith("_grid"):
        return module
    name = module.removesuffix("_grid")
    if name.endswith(".lycoris"):
        return "lycoris.kohya"
    return name.replace("lr_grid.musubi.", "musubi_tuner.networks.")
