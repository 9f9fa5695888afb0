"""From the plan to optimizer parameter groups: parameters with the same LR share one group.

A group carries ``param_names`` (torch's own word for it), the names of its parameters in order: an extra key that
optimizers leave alone and ``state_dict`` saves, so that a saved state says whose it is. For an optimizer that takes
factors for single parameters there is one group a part, with ``lr_scales``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lr_grid.blocks import compact
from lr_grid.folding import base_lr
from lr_grid.plan import Plan, lr_key
from lr_grid.scales import SCALES, scale_between
from lr_grid.sides import side_in
from lr_grid.sites import Site, cells_of
from lr_grid.words import COMPONENTS

if TYPE_CHECKING:
    from torch import nn

_LONGEST = 60  # characters of a description: it becomes a TensorBoard tag
Named = Sequence[tuple[str, "nn.Parameter"]]
"""(name, parameter), the name within the network."""


class _Group:
    def __init__(self, lr: float) -> None:
        self.lr = lr
        self.params: list[nn.Parameter] = []
        self.names: list[str] = []
        self.lrs: list[float] = []
        """Of the parameters, absolute."""
        self.sites: dict[str, Site] = {}
        """Of the parameters' modules by name, in order."""
        self.sides: set[str] = set()


def build_groups(
    plan: Plan, parameters: Mapping[str, Named], kinds: Mapping[str, Hashable] | None = None, folded: bool = False
) -> tuple[list[dict[str, Any]], list[str]]:
    """(optimizer groups with absolute ``lr``, a description each), in the network's order.

    Args:
        plan: the plan; its frozen rows get no group.
        parameters: what each module trains, by the module's name; rows without an entry get no group.
        kinds: by a parameter's name: what must be equal, beside the LR, in parameters that share a group.
        folded: whether a part is one group, with a factor on its LR for each parameter.
    """
    kinds = kinds or {}
    groups: dict[Hashable, _Group] = {}
    known: dict[Hashable, tuple[_Group, float]] = {}  # a network has thousands of parameters, and few LRs
    equal: dict[str, float] = {}
    for row in plan.rows:
        if row.frozen:
            continue
        site = row.site
        module, part = site.name, site.part
        for name, parameter in parameters.get(module, ()):
            side = side_in(module, name)
            lr = row.lr_up if side == "up" else row.lr_down
            kind = kinds.get(name) if kinds else None
            found = known.get((lr, part, kind))
            if found is None:
                text = lr_key(lr)
                same = equal.setdefault(text, lr)
                key = (part if folded else text, kind)
                if key not in groups:
                    groups[key] = _Group(base_lr(plan, part) if folded else same)
                found = known[lr, part, kind] = groups[key], same
            group, lr = found
            group.params.append(parameter)
            group.names.append(name)
            group.lrs.append(lr)
            group.sites[module] = site
            group.sides.add(side)
    made = list(groups.values())
    dicts: list[dict[str, Any]] = [{"params": g.params, "lr": g.lr, "param_names": g.names} for g in made]
    if folded:
        for group, told in zip(made, dicts, strict=True):
            told[SCALES] = [scale_between(group.lr, lr) for lr in group.lrs]
    return dicts, describe_groups(plan, made)


def describe_groups(plan: Plan, groups: Sequence[_Group]) -> list[str]:
    """A readable name for each group, unique also after a tracker has replaced its spaces.

    They are keys of the trainer's log, where ``textencoder`` and ``group{i}`` are taken: neither is ever used.
    """
    loraplus = any(row.has_loraplus for row in plan.rows)
    whole = _parts(row.site for row in plan.rows if not row.frozen)
    names: dict[str, None] = {}  # in order
    for group in groups:
        held = _parts(group.sites.values())
        name = " ".join(_describe_part(part, whole[part.name]) for part in held.values())
        if len(name) > _LONGEST:
            name = f"{name[: _LONGEST - 3]}..."
        if loraplus and group.sides == {"up"}:
            name += " plus"
        if name in names:
            name += f" lr {group.lr:.4g}"
        number, wanted = 2, name
        while name in names:
            name, number = f"{wanted} {number}", number + 1
        names[name] = None
    return list(names)


class _Part:
    """What is held of a part of the network."""

    def __init__(self, name: str) -> None:
        self.name, self.modules = name, 0
        self.components: set[str] = set()
        self.blocks: dict[str | None, set[int | None]] = {}
        """Stack -> its blocks, in the order of the sites."""


def _parts(sites: Iterable[Site]) -> dict[str, _Part]:
    """By name. ``sites``: each once."""
    parts: dict[str, _Part] = {}
    for (name, stack, block, component), modules in cells_of(sites).items():
        part = parts.get(name)
        if part is None:
            part = parts[name] = _Part(name)
        part.modules += modules
        part.components.add(component)
        part.blocks.setdefault(stack, set()).add(block)
    return parts


def _describe_part(part: _Part, whole: _Part) -> str:
    """What a group holds of a part. ``whole``: all that trains of it."""
    if part.modules == whole.modules:
        return part.name
    words = [part.name]
    if part.components != whole.components:
        words.append(".".join(c for c in COMPONENTS if c in part.components))
    for stack, blocks in part.blocks.items():
        if stack is None:
            words.append("outside")
        elif blocks == whole.blocks[stack]:
            words.append(stack)
        else:
            words.append(f"{stack}_{compact(sorted(b for b in blocks if b is not None)).replace(',', '.')}")
    return " ".join(words)
