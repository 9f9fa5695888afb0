"""LoRA block weight strings: which value of which count stands for which block of kohya's numbering.

sd-webui-lora-block-weight names its values after the original repository's U-Net: IN00-IN11 are input_blocks, M00 is
middle_block, OUT00-OUT11 are output_blocks. kohya numbers the same blocks through (lr_grid.anatomy.unet):

    SD1.x, SD2.x   INn = n         M00 = 12      OUTn = 13 + n    (25 blocks; IN00 is conv_in)
    SDXL           INn = 1 + n     M00 = 10-12   OUTn = 13 + n    (23 blocks; 0 is the embeddings, 22 is out)
    FLUX           Dn = double n   Sn = single n

Inspire Pack gives its values to the blocks that a LoRA has, one after the other, after a first one (BASE) for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from lr_grid.blocks import Block
from lr_grid.convert.models import Model

Entry = tuple[str, tuple[Block, ...]]
"""(name of a value, the blocks it stands for; none: it has no counterpart)"""


@dataclass(frozen=True)
class Layout:
    """One count of values, for one family."""

    tool: str
    family: str
    """sd, sdxl, flux."""
    entries: tuple[Entry, ...]
    plain_lora: bool = False
    """Whether it speaks only of the blocks that a LoRA without conv_dim has modules in."""
    remark: str = ""

    @property
    def count(self) -> int:
        """How many values it has."""
        return len(self.entries)

    @cached_property
    def blocks(self) -> set[Block]:
        """The blocks it speaks of."""
        return {block for _, blocks in self.entries for block in blocks}

    def suits(self, model: Model) -> bool:
        """Whether it is about a model's blocks."""
        return family_of(model) == self.family


def family_of(model: Model) -> str:
    """sd, sdxl, flux (its 19 double and 38 single blocks), or an empty text."""
    if model.is_unet:
        return "sdxl" if model.is_sdxl else "sd"
    return "flux" if model.stacks == {"double": 19, "single": 38} else ""


def _unet(*positions: int) -> tuple[Block, ...]:
    return tuple(("unet", i) for i in positions)


def _none(*names: str) -> list[Entry]:
    return [(name, ()) for name in names]


def _sd(inputs: list[int], outputs: list[int], middle: int = 1) -> tuple[Entry, ...]:
    """BASE, IN.., M00 (or as many values for the parts of the one middle block), OUT.."""
    middles = [("M00", _unet(12))] if middle == 1 else [(f"M0{i}", _unet(12)) for i in range(middle)]
    return (
        *_none("BASE"),
        *((f"IN{i:02}", _unet(i)) for i in inputs),
        *middles,
        *((f"OUT{i:02}", _unet(13 + i)) for i in outputs),
    )


def _sdxl(inputs: list[int], outputs: list[int], split_middle: bool = False) -> tuple[Entry, ...]:
    middles = [(f"M0{i}", _unet(10 + i)) for i in range(3)] if split_middle else [("M00", _unet(10, 11, 12))]
    return (
        *_none("BASE"),
        *((f"IN{i:02}", _unet(1 + i)) for i in inputs),
        *middles,
        *((f"OUT{i:02}", _unet(13 + i)) for i in outputs),
    )


_DOUBLE: list[Entry] = [(f"D{i:02}", (("double", i),)) for i in range(19)]
_SINGLE: list[Entry] = [(f"S{i:02}", (("single", i),)) for i in range(38)]
_LAST_DOUBLE: Entry = ("D18", (("double", 18), *(("single", i) for i in range(38))))
WEBUI, INSPIRE = "sd-webui-lora-block-weight", "Inspire Pack"

LAYOUTS = (
    Layout(WEBUI, "sd", _sd([1, 2, 4, 5, 7, 8], list(range(3, 12))), plain_lora=True),
    Layout(WEBUI, "sd", _sd(list(range(12)), list(range(12))), remark="LoCon, LyCORIS"),
    Layout(WEBUI, "sdxl", _sdxl([4, 5, 7, 8], list(range(6))), plain_lora=True),
    Layout(WEBUI, "sdxl", _sdxl(list(range(9)), list(range(9))), remark="LoCon, LyCORIS"),
    Layout(WEBUI, "flux", (*_none("CLIP", "T5", "IN"), *_DOUBLE, *_SINGLE, *_none("OUT"))),
    Layout(INSPIRE, "flux", (*_none("BASE"), *_DOUBLE, *_SINGLE)),
    Layout(
        INSPIRE,
        "flux",
        (*_none("BASE"), *_DOUBLE[:-1], _LAST_DOUBLE),
        remark="the last value holds for single blocks, too",
    ),
    Layout(INSPIRE, "sdxl", _sdxl(list(range(1, 9)), list(range(9)), split_middle=True), remark="LoCon"),
    Layout("plain", "flux", (*_DOUBLE, *_SINGLE), remark="one value a block"),
)
"""Inspire Pack takes 12 and 17 values as sd-webui-lora-block-weight does. Its 27 values for a LoCon of SD1.x split the
middle block, which is one block in kohya's numbering: they are refused, with that reason."""


def plain_layout(model: Model) -> Layout:
    """One value a block, stack after stack, of any model."""
    entries = tuple((f"{stack}_{i}", ((stack, i),)) for stack, i in model.blocks)
    return Layout("plain", family_of(model) or model.name, entries, remark="one value a block")


def explain() -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """(columns, rows): every value of every count, with its block."""
    rows: list[tuple[str, ...]] = []
    for layout in LAYOUTS:
        for place, (name, blocks) in enumerate(layout.entries, 1):
            where = _where(blocks) if blocks else "no counterpart"
            told = ", ".join(filter(None, (layout.tool, layout.remark, "plain LoRA" if layout.plain_lora else "")))
            rows.append((f"{layout.count} {layout.family} ({told})", str(place), name, where))
    return ("values", "place", "name", "block in lr-grid"), rows


def _where(blocks: tuple[Block, ...]) -> str:
    by_stack: dict[str, list[int]] = {}
    for stack, i in blocks:
        by_stack.setdefault(stack, []).append(i)
    return ", ".join(f"{s}_{n[0]}" if len(n) == 1 else f"{s}_{n[0]}-{n[-1]}" for s, n in by_stack.items())
