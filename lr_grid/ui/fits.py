"""Whose grid a text may be, that does not fit the model: by its blocks, or by its network module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lr_grid.blocks import parse_block_values, parse_indices
from lr_grid.keys import is_indices, stack_of_indices
from lr_grid.models import model_names
from lr_grid.models.blueprint import outline

MOST = 5
_POPULAR = ("flux-dev", "sdxl", "sd15", "wan-14b", "qwen-image", "z-image", "flux2-dev", "hunyuan-video", "chroma")
_BLOCK_KEYS = ("block_lr_weight", "block_lr", "block_dims", "block_alphas")


def same_layers(first: str, second: str) -> bool:
    """Whether two models of the catalogue are one to a grid: the same stacks, and the same network module."""
    if first == second:
        return True
    one, other = outline(first), outline(second)
    return (one.stacks, one.modules[0]) == (other.stacks, other.modules[0])


def models_of_blocks(arguments: Mapping[str, Any], here: str) -> list[str]:
    """The models whose blocks the arguments speak of, so many at most: those of the same family first, then what most
    people train, then those with the fewest blocks behind the last that is named."""
    page, found = outline(here), []
    for name in model_names():
        other = outline(name)
        unused = _unused(arguments, other.stacks)
        if unused is not None and other.stacks != page.stacks:
            rank = _POPULAR.index(name) if name in _POPULAR else len(_POPULAR)
            found.append((other.trainer == "diffusers", other.family != page.family, rank, unused, name))
    return [one[-1] for one in sorted(found)][:MOST]


def model_of_plan(data: Mapping[str, Any], stacks: Mapping[str, int]) -> str:
    """The catalogue's name of the model of a run's plan or norms: of the same family and stacks, and adapted by its
    module if any is; empty where none is."""
    found = [n for n in model_names() if outline(n).stacks == stacks and outline(n).family == data.get("model")]
    module = data.get("network_module")
    return next(iter([name for name in found if module in outline(name).modules] or found), "")


def _unused(arguments: Mapping[str, Any], stacks: Mapping[str, int]) -> int | None:
    """How many blocks lie behind the last that the arguments name; None where they name others than these stacks'."""
    last = dict.fromkeys(stacks, -1)
    for key, value in arguments.items():
        if key in _BLOCK_KEYS:
            resolved = parse_block_values(value, str).resolve(stacks, "")
            if resolved.problems:
                return None
            for stack, block in resolved.values:
                last[stack] = max(last[stack], block)
        elif is_indices(key):
            named = stack_of_indices(key)[1] or (next(iter(stacks)) if len(stacks) == 1 else None)
            if named is None or named not in stacks:
                return None
            chosen, bad = parse_indices(value).resolve(stacks[named])
            if bad:
                return None
            last[named] = max([last[named], *chosen])
    return sum(size - 1 - last[stack] for stack, size in stacks.items())


def models_of_module(base: str) -> list[str]:
    """The models that a network module (the wrapped one's name) adapts, so many at most."""
    return [name for name in model_names() if base in outline(name).modules][:MOST]
