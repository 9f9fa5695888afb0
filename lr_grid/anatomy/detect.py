"""From a live model to its Layout: a family's table where one fits, the general rules where none does."""

from __future__ import annotations

from torch import nn

from lr_grid.anatomy.family import Family
from lr_grid.anatomy.general import INSIDE_RULES, OUTSIDE_RULES, find_stacks
from lr_grid.anatomy.layout import Layout
from lr_grid.anatomy.tables import FAMILIES
from lr_grid.blocks import Block


def read_layout(model: nn.Module) -> Layout:
    """The layout of a live model (weights are not looked at: meta tensors do)."""
    family = find_family(model)
    if family is None:
        stacks, blocks = find_stacks(model)
        return Layout(type(model).__name__, stacks, blocks, INSIDE_RULES, OUTSIDE_RULES)
    stacks, blocks = family.numbering(model) if family.numbering else _named_stacks(model, family)
    return Layout(family.name, stacks, blocks, family.rules, family.outside_rules)


def known_inside(model: nn.Module) -> str:
    """``transformer is a flux``: a model that a table describes inside one that none does, two levels deep at most."""
    for path, module in model.named_modules():
        family = find_family(module) if path and path.count(".") < 2 else None
        if family is not None:
            return f"{path} is a {family.name}"
    return ""


def find_family(model: nn.Module) -> Family | None:
    """The table's row for a model, by its class, then by the classes it derives from (Chroma derives from Flux)."""
    for cls in type(model).__mro__:
        for family in FAMILIES:
            if cls.__name__ in family.classes and all(_submodule(model, path) is not None for path in family.has):
                return family
    return None


def _named_stacks(model: nn.Module, family: Family) -> tuple[dict[str, int], dict[str, Block]]:
    stacks: dict[str, int] = {}
    blocks: dict[str, Block] = {}
    for path, stack in (family.stacks or {}).items():
        children = _submodule(model, path)
        if isinstance(children, (nn.ModuleList, nn.Sequential)) and len(children):
            stacks[stack] = len(children)
            blocks.update({f"{path}.{i}": (stack, i) for i in range(len(children))})
    return stacks, blocks


def _submodule(model: nn.Module, path: str) -> object:
    """What stands at a dotted path, None where nothing does."""
    value: object = model
    for name in path.split("."):
        value = getattr(value, name, None)
    return value
