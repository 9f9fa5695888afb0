"""The state that the page sends, checked: it is made of what it must be made of, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lr_grid.keys import SOURCES
from lr_grid.ui import shape
from lr_grid.ui.models import PageModel, page_model
from lr_grid.ui.shape import wrong
from lr_grid.ui.state import ByBlock, Depth, State
from lr_grid.words import COMPONENTS

_LORAPLUS = ("", "unet", *COMPONENTS)
_DEPTH = {"strategy": "flat", "min": 0.3, "peak": 0.5, "scope": "stack", "levels": 0}


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
