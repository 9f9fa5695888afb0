"""Names for bare tensors: which living model holds them, and under which dotted path.

The callers' own variables are looked at first (a few ms), the whole heap where they do not hold every tensor (about
0.1 s in a trainer). Of models inside models, the outermost counts that a table describes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from lr_grid.anatomy.detect import find_family
from lr_grid.anatomy.tables import ENCODERS
from lr_grid.errors import GridError, listed
from lr_grid.full.callers import Locals, models_in
from lr_grid.living import living
from lr_grid.words import MAIN_PART

_ENCODER_FAMILIES = frozenset(family.name for family in ENCODERS)
_NUMBERED = re.compile(r"(?:.*_)?(?:text_encoders?|te|text_model)_?\[?(\d)\]?", re.IGNORECASE)
_SD3_ENCODERS = {"clip_l": 1, "clip_g": 2, "t5xxl": 3}
"""What sd3_train.py calls its three."""
_NETWORKS = ("unet_loras", "unet_ofts", "prepare_optimizer_params")
"""What the adapters of the trainers have and no base model has."""


@dataclass
class Root:
    """A model that trains."""

    model: nn.Module
    family: str
    part: str = MAIN_PART
    names: list[str] = field(default_factory=list)
    """Of the variables that hold it."""
    held: set[int] = field(default_factory=set)
    """Ids of the wanted tensors in it."""


def find_roots(tensors: Sequence[Tensor], frames: Sequence[Locals]) -> list[Root]:
    """The models that hold the tensors, in the order of the tensors; parts are given out.

    Raises: GridError for tensors in no model that a table describes.
    """
    wanted = {id(tensor) for tensor in tensors}
    roots = _roots(models_in(frames), wanted)
    if not _covers(roots, wanted):
        names: dict[int, list[str]] = {}
        for name, model in models_in(frames):
            names.setdefault(id(model), []).append(name)
        roots = _roots(_outermost(names), wanted)
        if not _covers(roots, wanted):
            _refuse(roots, tensors, wanted)
    order = {id(tensor): i for i, tensor in reversed(list(enumerate(tensors)))}
    roots.sort(key=lambda root: min(order[i] for i in root.held))
    _give_parts(roots)
    return roots


def _covers(roots: Sequence[Root], wanted: set[int]) -> bool:
    return wanted <= set().union(*(root.held for root in roots))


def _roots(models: Iterable[tuple[str, nn.Module]], wanted: set[int]) -> list[Root]:
    """The described models that hold wanted tensors: of those inside one another, the outer one."""
    found: dict[int, Root] = {}
    passed: set[int] = set()
    for name, model in models:
        if id(model) in passed:
            continue
        if id(model) in found:
            found[id(model)].names.append(name)
            continue
        described = list(_described(model))
        if not described:
            passed.add(id(model))
        for inner, family in described:
            if id(inner) not in found:
                held = wanted & {id(parameter) for parameter in inner.parameters()}
                if not held:
                    passed.add(id(inner))
                    continue
                found[id(inner)] = Root(inner, family, held=held)
            found[id(inner)].names.append(name)
    roots = list(found.values())
    return [one for one in roots if not any(one.held < other.held or _inside(one, other) for other in roots)]


def _inside(one: Root, other: Root) -> bool:
    """Whether a model is a part of another that holds the same tensors."""
    return one is not other and one.held == other.held and any(m is one.model for m in other.model.modules())


def _described(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """The outermost models that a table describes: the model itself, or such in it."""
    family = find_family(model)
    if family is not None:
        yield model, family.name
        return
    for child in model.children():
        yield from _described(child)


def _outermost(names: Mapping[int, Sequence[str]]) -> Iterator[tuple[str, nn.Module]]:
    """Every living model that is no part of another, with the names of its variables where callers have any."""
    modules = list(living(nn.Module))
    inner = {id(child) for module in modules for child in module.__dict__.get("_modules", {}).values()}
    for module in modules:
        if id(module) not in inner and "_modules" in module.__dict__:
            known = [name for part in module.modules() for name in names.get(id(part), ())]
            for name in known or [""]:
                yield name, module


def _give_parts(roots: Sequence[Root]) -> None:
    """``unet`` for the U-Net or DiT, ``te1`` ... for text encoders: by what the trainer calls them, else in order.

    Raises: GridError for two models that are no text encoders.
    """
    encoders = [root for root in roots if root.family in _ENCODER_FAMILIES]
    others = [root for root in roots if root.family not in _ENCODER_FAMILIES]
    if len(others) > 1:
        raise GridError(
            [f"two models train at once, {listed(_class(root.model) for root in others)}: a grid is for one"]
        )
    numbers = [_number(root.names) for root in encoders]
    if None in numbers or len(set(numbers)) < len(numbers):
        numbers = list(range(1, len(encoders) + 1))
    for root, number in zip(encoders, numbers, strict=True):
        root.part = f"te{number}"


def _number(names: Iterable[str]) -> int | None:
    """Which text encoder variables of these names hold: ``text_encoder2`` the second, ``text_encoders[1]`` too."""
    for name in names:
        if name in _SD3_ENCODERS:
            return _SD3_ENCODERS[name]
        match = _NUMBERED.fullmatch(name)
        if match:
            return int(match[1]) + (1 if name.endswith("]") else 0)
    return None


def _refuse(roots: Sequence[Root], tensors: Sequence[Tensor], wanted: set[int]) -> None:
    """Raises: GridError that says what the tensors without a name belong to."""
    left = wanted - set().union(*(root.held for root in roots))
    holders: dict[str, int] = {}
    for _, model in _outermost({}):
        here = left & {id(parameter) for parameter in model.parameters()}
        if not here:
            continue
        if any(hasattr(model, name) for name in _NETWORKS):
            raise GridError(
                [
                    f"this run trains an adapter ({_class(model)}), not a model: its grid goes into --network_args,"
                    " with a network module of lr-grid (networks.lora_flux_grid, lr_grid.musubi.lora_wan_grid); take"
                    " the grid's settings out of --optimizer_args"
                ]
            )
        holders[_class(model)] = len(here)
        left -= here
    problems = []
    for name, count in holders.items():
        problems.append(
            f"{count} of the {len(tensors)} tensors to train belong to {name}, a model that lr-grid has no table of"
            " blocks and components for: nothing was trained"
        )
    if left:
        shapes = listed([str(tuple(t.shape)) for t in tensors if id(t) in left], 4)
        problems.append(
            f"{len(left)} of the {len(tensors)} tensors to train belong to no model in this process (shapes: {shapes}):"
            " without names there is no grid, and nothing was trained"
        )
    raise GridError(problems)


def _class(model: nn.Module) -> str:
    return type(model).__name__
