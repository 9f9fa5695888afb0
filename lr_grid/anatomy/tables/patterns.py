"""How a table's rules are written: names right below a block, or right below the model."""

from __future__ import annotations

from lr_grid.anatomy.layout import Rule

_BLOCK = r"^(?:[^.\d][^.]*\.)+\d+\."
"""From the start of a path to the first number in it: the block. Later numbers (``mlp.0``) are no blocks."""


def inside(component: str, *names: str) -> Rule:
    """Names (regular expressions) of what stands right in a block, with all below it."""
    return rf"{_BLOCK}(?:{'|'.join(names)})(?:\.|$)", component


def top(component: str, *names: str) -> Rule:
    """Names (regular expressions) of what stands right in the model, with all below it."""
    return rf"^(?:{'|'.join(names)})(?:\.|$)", component
