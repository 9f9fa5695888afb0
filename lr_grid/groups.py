"""From the plan to optimizer parameter groups: parameters with the same LR share one group.

A group carries ``param_names`` (torch's own word for it), the names of its parameters in order: an extra key that
optimizers leave alone and ``state_dict`` saves, so that a saved state says whose it is. For an optimizer that takes
factors for single parameters there is one group a part, with ``lr_scales``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lr_grid.blocks import compact
from lr_grid.folding import base_lr
from lr_grid.plan import Plan, Row
from lr_grid.scales import SCALES, scale_between
from lr_grid.sides import side_of
from lr_grid.sites import Site
from lr_grid.words import COMPONENTS

if TYPE_CHECKING:
    from torch import nn

_LONGEST = 60  # characters of a description: it becomes a TensorBoard tag
Named = Sequence[tuple[str, "nn.Parameter"]]
"""(name, parameter), the name within the network."""


@dataclass
class _Group:
    lr: float
    params: list[nn.Parameter] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    lrs: list[float] = field(default_factory=list)
    """Of each parameter, absolute."""
    cells: list[tuple[Site, str]] = field(default_factory=list)


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
    equal: dict[str, float] = {}
    for row in plan.rows:
        if row.frozen:
            continue
        for name, parameter in parameters.get(row.site.name, ()):
            side = side_of(name)
            # Twelve digits: LRs that differ only by rounding belong together.
            digits = f"{row.lr_of(side):.12g}"
            lr = equal.setdefault(digits, row.lr_of(side))
            key = (row.site.part if folded else digits, kinds.get(name))
            if key not in groups:
                groups[key] = _Group(base_lr(plan, row.site.part) if folded else lr)
            group = groups[key]
            group.params.append(parameter)
            group.names.append(name)
            group.lrs.append(lr)
            group.cells.append((row.site, side))
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
    trained = [row for row in plan.rows if not row.frozen]
    names: list[str] = []
    for group in groups:
        name = " ".join(_describe_part(part, group, trained) for part in _unique(s.part for s, _ in group.cells))
        if len(name) > _LONGEST:
            name = f"{name[: _LONGEST - 3]}..."
        if loraplus and all(side == "up" for _, side in group.cells):
            name += " plus"
        if name in names:
            name += f" lr {group.lr:.4g}"
        number, wanted = 2, name
        while name in names:
            name, number = f"{wanted} {number}", number + 1
        names.append(name)
    return names


def _describe_part(part: str, group: _Group, trained: Sequence[Row]) -> str:
    sites = list(_unique(site for site, _ in group.cells if site.part == part))
    everything = [row.site for row in trained if row.site.part == part]
    if len(sites) == len(everything):
        return part
    components = [c for c in COMPONENTS if any(site.component == c for site in sites)]
    whole = {site.component for site in everything}
    words = [part]
    if set(components) != whole:
        words.append(".".join(components))
    for stack in _unique(site.stack for site in sites):
        blocks = {site.block for site in sites if site.stack == stack and site.block is not None}
        if stack is None:
            words.append("outside")
        elif blocks == {site.block for site in everything if site.stack == stack}:
            words.append(stack)
        else:
            words.append(f"{stack}_{compact(sorted(blocks)).replace(',', '.')}")
    return " ".join(words)


def _unique(items: Iterable[Any]) -> Iterable[Any]:
    return dict.fromkeys(items)
