"""The cells of a run: which tensors belong together, what they are called, and which LR the plan gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from lr_grid.plan import Plan
from lr_grid.scales import lrs_of
from lr_grid.sides import side_of


@dataclass(frozen=True)
class Cell:
    """Tensors that a plan treats alike; without a plan, those of one group."""

    name: str
    lr: float
    """What the plan gives it (absolute); without a plan, what the network asked for."""


class Cells:
    """Parameter -> cell."""

    def __init__(self, network: nn.Module, groups: list[dict[str, Any]]) -> None:
        """
        Args:
            groups: as the network handed them to the optimizer.
        """
        self.names = {id(p): name for name, p in network.named_parameters()}
        known = [group for group in groups if group.get("lr") is not None]
        self.asked = {id(p): lr for group in known for p, lr in zip(group["params"], lrs_of(group), strict=True)}
        self.plan = _plan_of(network)
        self.of: dict[int, Cell] = {}
        rows = {row.site.name: row for row in self.plan.rows} if self.plan else {}
        frozen = 0
        for index, group in enumerate(groups):
            first = self.names.get(id(group["params"][0]), "not in the network") if group["params"] else ""
            for p in group["params"]:
                name = self.names.get(id(p), "")
                row = rows.get(name.split(".")[0])
                if row is None:
                    self.of[id(p)] = Cell(f"group {index} ({first}, ...)", self.asked.get(id(p), 0.0))
                    continue
                side = side_of(name)
                site = row.site
                place = "outside" if site.stack is None else f"{site.stack}_{site.block}"
                frozen += row.frozen
                lr = 0.0 if row.frozen else row.lr_of(side)
                self.of[id(p)] = Cell(f"{site.part} {place} {site.component} {side}", lr)
        self.frozen_held = frozen
        """Tensors of frozen rows that a group holds all the same."""
        held = {id(p) for group in groups for p in group["params"]}
        trained = [name for name, row in rows.items() if not row.frozen]
        here = {name.split(".")[0] for i, name in self.names.items() if i in held}
        self.not_held = [name for name in trained if name not in here]
        """Modules that the plan trains and no group holds."""


def _plan_of(network: nn.Module) -> Plan | None:
    try:
        plan = getattr(network, "grid_plan", None)
    except RuntimeError:
        return None
    return plan if isinstance(plan, Plan) else None
