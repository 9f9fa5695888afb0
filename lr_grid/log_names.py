"""What the trainer's log calls each group's LR: one scalar for each component and side where groups are many.

The trainers write ``lr/<description>`` for every group, in order, into one table a step: of equal descriptions the
last group's LR stays. Folded groups therefore all carry the description of the last of them, and the scalar is what
its name says. A scheduler scales all groups alike, so the curve of one is the curve of all; which group is folded into
which stands in the plan (JSON). sd-scripts also writes ``lr/group<i>`` for every group, whatever they are called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lr_grid.plan import Plan
from lr_grid.sides import side_of
from lr_grid.sites import Site

FOLDED_FROM = 33
"""As many groups are folded, and more: a few dozen LRs a step is what a log shows readably."""
_Kind = tuple[str, str, str]
"""(part, component, side)"""


def log_names(plan: Plan, groups: Sequence[Mapping[str, Any]], descriptions: Sequence[str]) -> list[str]:
    """The description of each group for the trainer's log.

    Args:
        groups: with ``param_names``: <module>.<parameter>.
        descriptions: their own, each different.
    """
    if len(groups) < FOLDED_FROM:
        return list(descriptions)
    sites = {row.site.name: row.site for row in plan.rows}
    kinds = [_kind(group["param_names"], sites) for group in groups]
    shown = dict(zip(kinds, descriptions, strict=True))
    return [shown[kind] for kind in kinds]


def about_folding(logged: Sequence[str]) -> list[str]:
    """A line about scalars that stand for several groups."""
    scalars = len(set(logged))
    if scalars == len(logged):
        return []
    return [
        f"in the log, {scalars} named LRs stand for {len(logged)} groups: one for each component and side, its name"
        " says of which group; the plan (JSON) has them all"
    ]


def _kind(names: Sequence[str], sites: Mapping[str, Site]) -> _Kind:
    """What most of a group's tensors are."""
    found: Counter[_Kind] = Counter()
    for name in names:
        site = sites[name.partition(".")[0]]
        found[site.part, site.component, side_of(name)] += 1
    return found.most_common(1)[0][0]
