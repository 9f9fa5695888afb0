"""Where every module of a network sits in the model: part, stack, block, component. placing.py finds out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from lr_grid.anatomy import Layout
from lr_grid.words import MAIN_PART

_ENCODER = re.compile(r"[a-z]+_te(\d?)_")


Cell = tuple[str, str | None, int | None, str]
"""(part, stack, block, component)"""


class Site(NamedTuple):
    """The place of one network module (one LoRA pair) in the model it is attached to."""

    name: str
    """The network's own name of the module, e.g. ``lora_unet_double_blocks_0_img_attn_qkv``."""
    path: str
    """Dotted path of the original module in its model, e.g. ``double_blocks.0.img_attn.qkv``."""
    part: str
    """``unet`` (U-Net or DiT), ``te1``, ``te2`` or ``te3``."""
    stack: str | None
    """Name of the list of blocks it stands in, None outside every stack."""
    block: int | None
    """Position in the stack, from 0; None outside every stack."""
    component: str
    """self_attn, cross_attn, ffn, norm, mod, fused, embed or other."""

    @property
    def cell(self) -> Cell:
        """(part, stack, block, component)"""
        return self[2:]

    @property
    def place(self) -> tuple[str, int] | None:
        """(stack, block); None outside every stack."""
        return None if self.stack is None or self.block is None else (self.stack, self.block)


_CELL = itemgetter(slice(2, None))  # ``Site.cell`` at half its price


def cells_of(sites: Iterable[Site]) -> Counter[Cell]:
    """How many modules of each cell there are."""
    return Counter(map(_CELL, sites))


@dataclass(frozen=True)
class Sites:
    """The places of all modules of a network, in the network's order, and the layouts they were read from."""

    all: tuple[Site, ...]
    layout: Layout
    """Of the U-Net or DiT."""
    encoder_of: dict[str, int]
    """Part (te1, te2, te3) -> index of its text encoder in the trainer's list: the one its LR stands at."""
    notices: tuple[str, ...]
    encoder_layouts: dict[str, Layout] = field(default_factory=dict)
    """Part -> the layout of its text encoder."""


def part_of(name: str, encoder: int | None = None) -> str:
    """``te2`` from the prefix ``lora_te2_``, else from the encoder's index; ``unet`` for the rest."""
    if "_te" in name:
        prefix = _ENCODER.match(name)
        if prefix:
            return f"te{prefix[1] or 1}"
    return MAIN_PART if encoder is None else f"te{encoder + 1}"
