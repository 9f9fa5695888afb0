"""The page's state: a grid on a model, and the run it is for, as the page and the server exchange it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lr_grid.ui.models import PageModel

ByBlock = dict[str, dict[int, Any]]
"""Stack -> block -> value, of some blocks."""


@dataclass
class Depth:
    """The depth curve. The names are the page's."""

    strategy: str = "flat"
    min: float = 0.3
    peak: float = 0.5
    scope: str = "stack"
    levels: int = 0


@dataclass
class State:
    """LRs, ratios and alphas are texts as they were typed; multipliers of blocks are numbers."""

    model: PageModel
    base_lr: str = "1e-4"
    default_lr: str = ""
    components: dict[str, str] = field(default_factory=dict)
    components_off: list[str] = field(default_factory=list)
    depth: Depth = field(default_factory=Depth)
    weights: dict[str, list[float]] = field(default_factory=dict)
    """Without the curve."""
    block_lr: ByBlock = field(default_factory=dict)
    off: dict[str, list[int]] = field(default_factory=dict)
    cells: dict[str, ByBlock] = field(default_factory=dict)
    """Stack -> component -> block -> LR."""
    loraplus: dict[str, str] = field(default_factory=dict)
    """``""`` (all), ``unet`` or a component -> ratio."""
    dim: str = ""
    alpha: str = ""
    component_dim: dict[str, str] = field(default_factory=dict)
    component_alpha: dict[str, str] = field(default_factory=dict)
    block_dims: ByBlock = field(default_factory=dict)
    block_alphas: ByBlock = field(default_factory=dict)
    module: str = ""
    kept: dict[str, str] = field(default_factory=dict)
    """Arguments that the page does not know, in the order they were given."""
    command: list[str] = field(default_factory=list)
    """Raw words of a command line that was pasted, those apart that the page writes itself."""

    def __post_init__(self) -> None:
        for stack, size in self.model.stacks.items():
            self.weights.setdefault(stack, [1.0] * size)

    def is_off(self, stack: str, block: int) -> bool:
        """Whether a block does not train."""
        return block in self.off.get(stack, ())

    def has_rows(self, stack: str, block: int) -> bool:
        """Whether any component that may train stands in a block."""
        rows = self.model.rows[stack]
        return any(block in blocks for c, blocks in rows.items() if c not in self.components_off)

    def to_json(self) -> dict[str, Any]:
        """As the page takes it."""
        return {"model": self.model.name, "base_lr": self.base_lr, **self.grid_part(), **self.run_part()}

    def grid_part(self) -> dict[str, Any]:
        """The grid alone, without the run it is for."""
        return {
            "default_lr": self.default_lr,
            "components": dict(self.components),
            "components_off": list(self.components_off),
            "depth": dict(vars(self.depth)),
            "weights": {stack: list(values) for stack, values in self.weights.items()},
            "block_lr": _named(self.block_lr),
            "off": {stack: list(blocks) for stack, blocks in self.off.items() if blocks},
            "cells": {stack: named for stack, rows in self.cells.items() if (named := _named(rows))},
            "loraplus": dict(self.loraplus),
            "ranks": {
                "component_dim": dict(self.component_dim),
                "component_alpha": dict(self.component_alpha),
                "block_dims": _named(self.block_dims),
                "block_alphas": _named(self.block_alphas),
            },
            "kept": dict(self.kept),
        }

    def run_part(self) -> dict[str, Any]:
        """What of the state is no grid; its ranks stand in the grid part's ``ranks``."""
        return {"module": self.module, "command": list(self.command)}


def _named(by_block: Mapping[str, Mapping[int, Any]]) -> dict[str, dict[str, Any]]:
    return {
        stack: {str(block): value for block, value in values.items()} for stack, values in by_block.items() if values
    }


def state_json(state: State) -> dict[str, Any]:
    """The whole state as plain data."""
    data = state.to_json()
    data["ranks"] = {"dim": state.dim, "alpha": state.alpha, **data["ranks"]}
    return data
