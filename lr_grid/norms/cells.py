"""The cells that norms are recorded for: part, stack, block, component and side; and the three quantities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lr_grid.words import COMPONENTS, MAIN_PART

GRAD, WEIGHT, MOVED = QUANTITIES = ("grad", "weight", "moved")
"""Of every cell and step, each the L2 norm over all of the cell's numbers: its gradient as the optimizer sees it (after
the trainer's clipping, without a gradient scaler's factor), its weights after the step, and what the step changed."""
ABSENT = -1.0
"""In the place of a norm that was not measured: no gradient in this step, or not this cell's turn (``moved``)."""


@dataclass(frozen=True, slots=True)
class NormCell:
    """One side of one component of one block, as far as it trains."""

    part: str
    stack: str | None
    """None: outside every stack."""
    block: int | None
    component: str
    side: str
    """``down`` or ``up``."""
    lrs: tuple[float, ...] = ()
    """The plan's LRs (absolute, before the schedule), the distinct ones, lowest first."""
    modules: int = 0
    parameters: int = 0
    """How many numbers the norms are over."""

    @property
    def place(self) -> tuple[str, str | None, int | None, str]:
        """The cell without its side."""
        return self.part, self.stack, self.block, self.component

    @property
    def row(self) -> str:
        """What its component is called across all blocks of its stack: ``double.self_attn``, ``te1.layers.ffn``."""
        return f"{stack_name(self.part, self.stack)}.{self.component}"

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "lrs": list(self.lrs)}


def cell_of(data: Mapping[str, Any]) -> NormCell:
    """The inverse of ``to_dict``."""
    return NormCell(**{**data, "lrs": tuple(data["lrs"])})


def stack_name(part: str, stack: str | None) -> str:
    """``double``; ``outside`` for what stands in no stack; of a text encoder with its part in front."""
    name = stack or "outside"
    return name if part == MAIN_PART else f"{part}.{name}"


def component_rank(component: str) -> int:
    """Where a component stands in the usual order."""
    return COMPONENTS.index(component) if component in COMPONENTS else len(COMPONENTS)
