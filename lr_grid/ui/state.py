"""The page's state: a grid on a model, and the run it is for, as the page and the server exchange it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lr_grid.keys import SOURCES
from lr_grid.ui import shape
from lr_grid.ui.models import PageModel, page_model
from lr_grid.ui.shape import wrong
from lr_grid.words import COMPONENTS

ByBlock = dict[str, dict[int, Any]]
"""Stack -> block -> value, of some blocks."""
_LORAPLUS = ("", "unet", *COMPONENTS)
_DEPTH = {"strategy": "flat", "min": 0.3, "peak": 0.5, "scope": "stack", "levels": 0}


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


def read_state(data: Any) -> State:
    """The state that the page sends. What is missing has its default.

    Raises: RequestError for what no page of ours sends, GridError for a model that is not known.
    """
    if not isinstance(data, dict):
        raise wrong("state is no object")
    return read_grid_part(
        data,
        State(
            page_model(shape.text(data, "model"), shape.text(data, "module", ""), shape.texts(data, "kept")),
            shape.text(data, "base_lr", "1e-4"),
            dim=shape.text(shape.table(data, "ranks"), "dim", ""),
            alpha=shape.text(shape.table(data, "ranks"), "alpha", ""),
            module=shape.text(data, "module", ""),
            command=shape.words(data, "command"),
        ),
    )


def read_grid_part(data: Mapping[str, Any], state: State) -> State:
    """Takes the grid of ``data`` into a state that has none.

    Raises: RequestError.
    """
    model, ranks = state.model, shape.table(data, "ranks")
    state.default_lr = shape.text(data, "default_lr", "")
    state.components = _by_component(shape.texts(data, "components"))
    off = shape.words(data, "components_off")
    _check_names(off, COMPONENTS, "components_off")
    state.components_off = [component for component in COMPONENTS if component in off]
    state.depth = _depth(shape.table(data, "depth"))
    state.weights = _weights(shape.table(data, "weights"), model)
    state.block_lr = _by_block(shape.table(data, "block_lr"), model, "block_lr", _text)
    state.off = _off(shape.table(data, "off"), model)
    state.cells = {
        stack: _ordered_rows(
            {
                component: _blocks(values, model.stacks[stack], f"cells.{component}", _text)
                for component, values in shape.table(shape.table(data, "cells"), stack).items()
            }
        )
        for stack in _stacks(shape.table(data, "cells"), model, "cells")
    }
    loraplus = shape.texts(data, "loraplus")
    _check_names(loraplus, _LORAPLUS, "loraplus")
    state.loraplus = {name: loraplus[name] for name in _LORAPLUS if name in loraplus}
    state.component_dim = _by_component(shape.texts(ranks, "component_dim"))
    state.component_alpha = _by_component(shape.texts(ranks, "component_alpha"))
    state.block_dims = _by_block(shape.table(ranks, "block_dims"), model, "block_dims", _whole)
    state.block_alphas = _by_block(shape.table(ranks, "block_alphas"), model, "block_alphas", _text)
    state.kept = dict(shape.texts(data, "kept"))
    named = SOURCES & state.kept.keys()
    if named:  # a plan would read the file that they name
        raise wrong(f"kept: {', '.join(sorted(named))} has no place in a state")
    return state


def _check_names(names: Any, allowed: tuple[str, ...], what: str) -> None:
    for name in names:
        if name not in allowed:
            raise wrong(f"{what}: {name!r:.40} is not known")


def _by_component(values: dict[str, str]) -> dict[str, str]:
    _check_names(values, COMPONENTS, "components")
    return {component: values[component] for component in COMPONENTS if component in values}


def _ordered_rows(rows: ByBlock) -> ByBlock:
    _check_names(rows, COMPONENTS, "cells")
    return {component: rows[component] for component in COMPONENTS if component in rows}


def _stacks(data: Mapping[str, Any], model: PageModel, what: str) -> list[str]:
    """The stacks of an object, in the model's order."""
    for stack in data:
        if stack not in model.stacks:
            raise wrong(f"{what}: {model.name} has no stack {stack!r:.40}")
    return [stack for stack in model.stacks if stack in data]


def _by_block(data: Mapping[str, Any], model: PageModel, what: str, value_of: Any) -> ByBlock:
    return {stack: _blocks(data[stack], model.stacks[stack], what, value_of) for stack in _stacks(data, model, what)}


def _blocks(data: Any, size: int, what: str, value_of: Any) -> dict[int, Any]:
    if not isinstance(data, dict):
        raise wrong(f"{what} is no object of blocks")
    found = {shape.block_of(name, size, what): value_of(value, what) for name, value in data.items()}
    return dict(sorted(found.items()))


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise wrong(f"{what} holds what is no text")
    return value


def _whole(value: Any, what: str) -> int:
    number = shape.number(value, what)
    if number != int(number) or not 0 <= number <= 1e6:
        raise wrong(f"{what} holds what is no rank")
    return int(number)


def _depth(data: Mapping[str, Any]) -> Depth:
    both = {**_DEPTH, **{key: data[key] for key in data if key in _DEPTH}}
    for key in ("strategy", "scope"):
        shape.text(both, key)
    levels = shape.number(both["levels"], "depth.levels")
    if levels != int(levels) or levels < 0:
        raise wrong("depth.levels is no whole number")
    lowest, peak = (shape.number(both[key], f"depth.{key}") for key in ("min", "peak"))
    return Depth(both["strategy"], lowest, peak, both["scope"], int(levels))


def _weights(data: Mapping[str, Any], model: PageModel) -> dict[str, list[float]]:
    _stacks(data, model, "weights")
    found = {}
    for stack, size in model.stacks.items():
        values = data.get(stack, [1.0] * size)
        if not isinstance(values, list) or len(values) != size:
            raise wrong(f"weights.{stack} is no list of {size} numbers")
        found[stack] = [shape.number(value, f"weights.{stack}") for value in values]
    return found


def _off(data: Mapping[str, Any], model: PageModel) -> dict[str, list[int]]:
    found = {}
    for stack in _stacks(data, model, "off"):
        blocks = data[stack]
        if not isinstance(blocks, list) or not all(type(b) is int and 0 <= b < model.stacks[stack] for b in blocks):
            raise wrong(f"off.{stack} is no list of its blocks")
        if blocks:
            found[stack] = sorted(set(blocks))
    return found
