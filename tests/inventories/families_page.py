"""Writes docs/families_diffusers.md: how every model of diffusers' is read, one row a size, one table a family.

Regenerate it, from the repository's root, with:

    PYTHONPATH=.:tests python -m inventories.families_page
"""

from __future__ import annotations

import re
from pathlib import Path

from inventories.diffusers_models import BY_GENERAL_RULES, SIZES
from inventories.reading import Entry, Reading, read

from lr_grid.words import COMPONENTS

PAGE = Path(__file__).parents[2] / "docs" / "families_diffusers.md"

INTRO = """\
# Blocks and components of diffusers' models

Look your model up in the first table: its **stacks** are the names and block numbers that `block_lr_weight`,
`block_lr` and the like understand (`double_0-6:0.3`), and the numbers say how many weight matrices
(Linears and convolutions) each component has; `norm` counts norm layers instead. The second part lists, family by
family, which module counts as what.

- Depth restarts in every stack. A U-Net is one stack, `unet`, in kohya's numbering.
- In models with an image and a text stream (FLUX, Chroma, HunyuanVideo, Qwen-Image and their kin), the text stream is
  `cross_attn` as a whole, its feed-forward included; the image stream is `self_attn` and `ffn`.
- `fused` is one Linear that holds attention and feed-forward at once. Without `fused_lr` it takes the geometric mean
  of the self_attn and ffn LRs.
- Norms are known by their class, wherever they stand. Modulation (`mod`) is whatever makes scales, shifts and gates
  from the timestep, even where its name says `norm`.
- `embed` and `other` stand mostly outside the blocks, where the depth factor is 1.

This page is generated from the live classes (`PYTHONPATH=.:tests python -m inventories.families_page`) and a test holds
it against them.
"""

BY_RULES = """\
## Models read by the general rules

No table describes these (or any model that is not listed at all): stacks come from the model's lists of blocks,
components from the field's common names. What no rule knows counts as `other`, and a notice lists it.
"""


def page() -> str:
    """The whole page."""
    families: dict[str, list[Reading]] = {}
    for size in SIZES:
        reading = read(size)
        families.setdefault(reading.layout.family, []).append(reading)
    parts = [
        INTRO,
        "## Models",
        _sizes(list(SIZES)),
        BY_RULES,
        _sizes(list(BY_GENERAL_RULES)),
        "## What counts as what",
    ]
    for family, readings in families.items():
        classes = ", ".join(f"`{cls}`" for cls in dict.fromkeys(r.cls for r in readings))
        parts.append(f"### {family}\n\n{classes}\n\n{_members(readings)}")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _sizes(sizes: list[str]) -> str:
    lines = [f"| model | class | stacks | {' | '.join(COMPONENTS)} |", "|-|-|-|" + "-:|" * len(COMPONENTS)]
    for size in sizes:
        reading = read(size)
        counts = {**reading.count("matrix"), "norm": reading.count("norm")["norm"]}
        stacks = ", ".join(f"{stack} 0-{n - 1}" for stack, n in reading.layout.stacks.items())
        numbers = " | ".join(str(counts.get(c) or "") for c in COMPONENTS)
        lines.append(f"| {size} | `{reading.cls}` | {stacks} | {numbers} |")
    return "\n".join(lines)


def _members(readings: list[Reading]) -> str:
    """Which module counts as what: component by component, stack by stack, outside last."""
    found: dict[str, dict[str, dict[str, None]]] = {c: {} for c in COMPONENTS}
    for reading in readings:
        for entry in reading.entries:
            where = entry.block[0] if entry.block else ""
            name = _short(entry, reading) if entry.block else _whole(entry, reading)
            found[entry.component or "other"].setdefault(where, {})[name] = None
    lines = ["| component | in the blocks | outside them |", "|-|-|-|"]
    for component, places in found.items():
        if not places:
            continue
        outside = _folded(list(places.pop("", {})))
        same: dict[str, list[str]] = {}
        for stack, names in places.items():
            same.setdefault(_folded(list(names)), []).append(stack)
        inside = "<br>".join(f"{', '.join(stacks)}: {names}" for names, stacks in same.items())
        lines.append(f"| `{component}` | {inside} | {outside} |")
    return "\n".join(lines)


def _short(entry: Entry, reading: Reading) -> str:
    """A path without its block, and without the numbers of lists whose items are all alike."""
    words = entry.path.split(".")
    short = ["N" if word.isdigit() and ".".join(words[:i]) in reading.lists else word for i, word in enumerate(words)]
    block = max((i for i in range(len(words) + 1) if ".".join(words[:i]) in reading.layout.blocks), default=0)
    if block and not words[block - 1].isdigit():
        block -= 1  # a part of a U-Net without a number of its own (conv_in, downsamplers)
    # Where SD's whole middle block is one position, its resnets and attentions are what other blocks are.
    return re.sub(r"^mid_block\.(?:resnets|attentions)\.\w+\.", "", ".".join(short[block:]))


def _whole(entry: Entry, reading: Reading) -> str:
    """The outermost module around an entry that is of one component as a whole (norms aside)."""
    words = _short(entry, reading).split(".")
    for i in range(1, len(words) if entry.component != "norm" else 0):
        top = ".".join(words[:i])
        inside = {e.component for e in reading.entries if e.path.startswith(f"{top}.")} - {"norm"}
        if inside == {entry.component} and not any(block.startswith(f"{top}.") for block in reading.layout.blocks):
            return top
    return ".".join(words)


def _folded(names: list[str]) -> str:
    """``attn.to_q, attn.to_k`` as `` `attn.{to_q, to_k}` ``."""
    by_parent: dict[str, list[str]] = {}
    for name in names:
        match = re.match(r"((?:\w+\.N\.)?\w+)\.(.+)", name)
        parent, last = (match[1], match[2]) if match else ("", name)
        by_parent.setdefault(parent, []).append(last)
    texts = []
    for parent, lasts in by_parent.items():
        if not parent:
            texts += [f"`{last}`" for last in lasts]
        elif len(lasts) == 1:
            texts.append(f"`{parent}.{lasts[0]}`")
        else:
            texts.append(f"`{parent}.{{{', '.join(lasts)}}}`")
    return " ".join(texts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
