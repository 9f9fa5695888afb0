"""The plan of a run without a grid argument: read off the groups that the wrapped module made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from lr_grid.binding import BoundGrid
from lr_grid.facts import facts_of
from lr_grid.plan import Plan, Row, TrainerLrs
from lr_grid.sides import side_of
from lr_grid.upstream import module_name, own_parameters


def plan_of_groups(
    modules: Sequence[nn.Module], base: str, grid: BoundGrid, groups: Sequence[dict[str, Any]], lrs: TrainerLrs
) -> Plan:
    """The plan of groups that somebody else made: each module's LR is read off the group that holds its parameters."""
    lr_by_id = {id(p): float(group.get("lr", lrs.default)) for group in groups for p in group["params"]}
    sites = {site.name: site for site in grid.sites.all}
    rows = []
    for module in modules:
        name = module_name(module)
        by_side: dict[str, float] = {}
        for parameter_name, parameter in own_parameters(module):
            by_side.setdefault(side_of(parameter_name), lr_by_id.get(id(parameter), 0.0))
        down = by_side.get("down", 0.0)
        up = by_side.get("up", down)
        facts = facts_of(module)
        frozen = down == 0 and up == 0
        why, shapes = f"{base}'s own group", () if frozen else facts.shapes
        rows.append(Row(sites[name], facts.rank, facts.alpha, down, up, frozen, why, shapes=shapes, saved=facts.saved))
    layout = grid.sites.layout
    notices = (*grid.settings.notices, *grid.sites.notices)
    return Plan(layout.family, dict(layout.stacks), tuple(rows), lrs.base, (("grid", "off"),), notices)
