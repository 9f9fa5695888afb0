"""The plan: a row per module of a network, with its learning rate per side, and why.

Optimizer groups, the printed grid, pictures and JSON are views of it. planner.py makes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

from lr_grid.sites import Site
from lr_grid.words import Shape


class TrainerLrs(NamedTuple):
    """The LRs of the trainer's command line (absolute)."""

    default: float
    """--learning_rate"""
    unet: float | None = None
    """--unet_lr"""
    text_encoders: tuple[float, ...] = ()
    """--text_encoder_lr: none, one for all, or one per encoder."""
    words: str = "the trainer's LR"
    """What the base LR is called, for people."""

    @property
    def base(self) -> float:
        """What a relative LR multiplies in the U-Net or DiT."""
        return self.default if self.unet is None else self.unet

    def of_encoder(self, index: int) -> float:
        """The LR of a text encoder; the last one given serves the encoders after it."""
        return self.text_encoders[min(index, len(self.text_encoders) - 1)] if self.text_encoders else self.default


class ModuleFacts(NamedTuple):
    """What the plan needs to know of a network module besides its place."""

    rank: int | None
    alpha: float | None
    has_up: bool
    """Whether it has an up side, for LoRA+."""
    has_down: bool = True
    """Whether anything but its up side trains (not so in LoRA-FA)."""
    shapes: tuple[Shape, ...] = ()
    """Of every tensor it trains."""
    saved: int = 0
    """How many numbers it puts into the LoRA file."""

    def never_made(self) -> ModuleFacts:
        """The same of a module that is not made after all."""
        return self._replace(shapes=(), saved=0)


class Row(NamedTuple):
    """One module's line of the plan. LRs are absolute (not factors)."""

    site: Site
    rank: int | None
    alpha: float | None
    lr_down: float
    """LR of the down side (lora_down, and every tensor that is not an up side); 0 where it does not train (LoRA-FA)."""
    lr_up: float
    """LR of the up side (lora_up); equals ``lr_down`` without LoRA+."""
    frozen: bool
    """True: not trained at all (LR 0, or excluded by train_*)."""
    why: str
    """How the LR came about, for people."""
    rule: str = ""
    """The setting that decided, for machines: left_out, module_lr, network_reg_lrs, block_lr, component, ..."""
    rank_why: str = ""
    """How the rank came about, for people; empty where no setting speaks of ranks."""
    shapes: tuple[Shape, ...] = ()
    """Of every tensor that trains."""
    saved: int = 0
    """How many numbers it puts into the LoRA file."""

    @property
    def params(self) -> int:
        """How many parameters train."""
        return sum(map(prod, self.shapes))

    @property
    def has_loraplus(self) -> bool:
        """Whether its two sides train at different LRs."""
        return self.lr_down not in (0, self.lr_up)

    def lr_of(self, side: str) -> float:
        """The LR of a side, ``down`` or ``up``."""
        return self.lr_up if side == "up" else self.lr_down


@dataclass(frozen=True)
class Plan:
    """A row per module, in the network's order. Everything else (groups, pictures, JSON) is a view of it."""

    family: str
    stacks: dict[str, int]
    """Stack name -> number of blocks, for part ``unet``, in the model's order."""
    rows: tuple[Row, ...]
    base_lr: float
    """The trainer's LR for the U-Net or DiT (--unet_lr, else --learning_rate)."""
    header: tuple[tuple[str, str], ...] = ()
    """Facts for the first printed line: strategy, min_depth_factor, ..."""
    notices: tuple[str, ...] = ()
    """What the user should know: rules that override others, modules no rule names."""
    arguments: tuple[tuple[str, str], ...] = ()
    """The grid's arguments as given, in --network_args and in the grid file."""
    encoder_stacks: dict[str, dict[str, int]] = field(default_factory=dict)
    """Of the text encoders with a grid of their own: part -> its stacks."""
    part_lrs: dict[str, float] = field(default_factory=dict)
    """Of each part the trainer's LR for it (absolute): what its relative LRs multiply."""
    element_size: int = 4
    """Bytes of a trained number: 4 (fp32), or 2 with the trainer's --full_fp16 or --full_bf16."""


def lr_key(lr: float) -> str:
    """An absolute LR as text that is the same for LRs that differ only by rounding (twelve digits): such belong into
    one optimizer group."""
    return f"{lr:.12g}"


def lrs_of_rows(rows: Iterable[Row]) -> list[float]:
    """All LRs (absolute) that a plan gives to what trains."""
    return [lr for row in rows if not row.frozen for lr in (row.lr_down or row.lr_up, row.lr_up)]
