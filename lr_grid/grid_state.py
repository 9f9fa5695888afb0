"""What a network with a grid remembers of it, from its making to the last step."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from lr_grid.binding import BoundGrid
from lr_grid.plan import ModuleFacts, Plan
from lr_grid.proof import Proof

if TYPE_CHECKING:
    from lr_grid.resume import Resumed

DEFAULT_OUTPUT_NAME = "last"
"""What the trainers call a LoRA without --output_name."""


@dataclass
class GridState:
    """What the swapped network remembers of its grid."""

    base: str
    grid: BoundGrid
    active: bool
    """False: no grid argument was given, the optimizer groups are the wrapped module's."""
    notices: list[str] = field(default_factory=list)
    """What the user should know, beside the plan's own notices."""
    takes_dropout: bool = True
    """Whether the trainer's --network_dropout reached the wrapped module, and it uses it."""
    args: argparse.Namespace | None = None
    """The trainer's arguments, once prepare_network has shown them."""
    plan: Plan | None = None
    trainable: list[nn.Parameter] = field(default_factory=list)
    frozen: list[nn.Parameter] = field(default_factory=list)
    """Parameters that no optimizer group holds."""
    frozen_modules: list[nn.Module] = field(default_factory=list)
    """Modules of the network that the plan freezes and that stand all the same, for their trained weights."""
    dropped: dict[str, ModuleFacts] = field(default_factory=dict)
    """Modules that an LR or a rank of 0 kept from being made: they stay rows of the plan."""
    logged: bool = False
    """Whether the trainer's log was offered the plan's picture."""
    resumed: Resumed | None = None
    """The state that the trainer will load."""
    proof: Proof | None = None
    """Watches for the first step."""

    def tell(self, notices: Iterable[str]) -> None:
        """Adds lines to what the plan says to its user."""
        if self.plan is not None:
            self.plan = replace(self.plan, notices=(*self.plan.notices, *notices))

    @property
    def plan_file(self) -> Path | None:
        """Where the plan is written: beside the LoRA that the trainer saves."""
        folder = getattr(self.args, "output_dir", None)
        name = getattr(self.args, "output_name", None) or DEFAULT_OUTPUT_NAME
        return Path(folder) / f"{name}.lr_grid.json" if folder else None

    @property
    def element_size(self) -> int:
        """Bytes of a trained number."""
        return 2 if getattr(self.args, "full_fp16", False) or getattr(self.args, "full_bf16", False) else 4
