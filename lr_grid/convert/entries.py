"""One value a block, written short: a table of stacks, ranges and blocks, or a positional list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lr_grid.blocks import Block
from lr_grid.convert.models import Model


def block_table(values: Mapping[Block, Any], model: Model, skip: Any = None) -> dict[str, Any] | list[Any]:
    """Values by block as a setting of the grammar: ``{"double_0-6": 0.3, "single": 0.8}``.

    A U-Net's whole list stays a positional one: a plain LoRA has no module in some of its blocks, and an entry that
    speaks of those alone would be refused.

    Args:
        skip: a value that says nothing and is left out, unless that would leave nothing at all.
    """
    if model.is_unet and len(values) == len(model.blocks):
        return [values[block] for block in model.blocks]
    table: dict[str, Any] = {}
    for stack, size in model.stacks.items():
        table |= _runs(stack, size, values)
    kept = {key: value for key, value in table.items() if value != skip}
    return kept or table


def _runs(stack: str, size: int, values: Mapping[Block, Any]) -> dict[str, Any]:
    table, first = {}, 0
    while first < size:
        if (stack, first) not in values:
            first += 1
            continue
        last, value = first, values[stack, first]
        while values.get((stack, last + 1)) == value:
            last += 1
        if (first, last) == (0, size - 1):
            name = stack
        else:
            name = f"{stack}_{first}" if first == last else f"{stack}_{first}-{last}"
        table[name] = value
        first = last + 1
    return table
