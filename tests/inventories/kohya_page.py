"""Writes docs/families_kohya.md out of the inventories of kohya's trainers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lr_grid.anatomy.tables import FAMILIES
from lr_grid.words import COMPONENTS

PAGE = Path(__file__).parents[2] / "docs" / "families_kohya.md"
OUTSIDE = ""

Result = Mapping[str, Any]
"""What an inventory script tells of one case: see inventory.describe."""

INTRO = """\
# Blocks and components of the models in kohya's trainers

Look your model up in the first table. Its **stacks** are the names and block numbers that `block_lr_weight`,
`block_lr` and the like understand: `double 0-18` means that `double_0-6:0.3` is about its first seven
blocks. A stack in (parentheses) gets no LoRA by default. The numbers say how many modules of each component the
trainer's network module puts a LoRA on: a component without a number has none there, and an LR for it is refused.
The last part lists, family by family, which module counts as what.

- Depth restarts in every stack. A U-Net is one stack, `unet`, in the numbering of kohya's `block_dims`.
- In models with an image and a text stream (FLUX, Hunyuan's, Qwen-Image) the text stream is `cross_attn` as a whole,
  its feed-forward included; the image stream is `self_attn` and `ffn`. In SD3 joint attention is `self_attn` and both
  feed-forwards are `ffn`.
- `fused` is one Linear that holds attention and feed-forward at once. Without `fused_lr` it takes the geometric mean
  of the self_attn and ffn LRs.
- `mod` is whatever makes scales, shifts and gates from the timestep.
- `norm` is every norm layer, known by its class. Only LyCORIS with `train_norm` trains norms: no column here.
- `embed` and `other` stand mostly outside the blocks, where the depth factor is 1.

This page is made from the trainers' own classes and network modules, and a test holds it against them
(`LR_GRID_WRITE_PAGES=1 pytest tests/test_families_kohya.py` writes it anew).
"""

HIDREAM = """\
HiDream-O1's configuration is no part of musubi-tuner: its numbers here are those of Qwen3-VL-8B, which it derives from.
A real run counts the blocks of the model that was loaded, as for every other model.
"""

NAMES = """\
## What counts as what

Names are those inside a block; `N` stands for the numbers of further lists. In (parentheses): gets no LoRA by default,
only with arguments of the network module (`conv_dim`, `in_dims`, `include_patterns`, ...) or with LyCORIS. Marked †:
not in every model of the family.
"""


def page(trainers: Mapping[str, Sequence[Result]]) -> str:
    """The whole page, from the results of each trainer's inventory."""
    results = [result for found in trainers.values() for result in found]
    parts = [INTRO, "## Models"]
    for trainer, found in trainers.items():
        parts += [f"### {trainer}", _models(found)]
    parts += [HIDREAM, "## Text encoders", _encoders(results), NAMES]
    loras = [result for result in results if ".oft" not in result["module"]]  # OFT takes a part of the same modules
    models = [(result["size"], not result["args"], result["model"]) for result in loras]
    encoders = [(name, True, part) for result in results for name, part in result["encoders"].items()]
    for family in dict.fromkeys(family.name for family in FAMILIES):
        cases = [case for case in [*models, *encoders] if case[2]["family"] == family]
        if cases:
            parts.append(_family(family, cases))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _models(results: Sequence[Result]) -> str:
    used = [c for c in COMPONENTS if any(_count(result["model"], c) for result in results)]
    lines = [
        f"| model | network module | family | stacks | {' | '.join(used)} | sum |",
        "|-|-|-|-|" + "-:|" * (len(used) + 1),
    ]
    seen: set[str] = set()
    for result in results:
        model = result["model"]
        row = f"{result['size']} {result['module']} {model['cells']}"
        if row in seen:
            continue  # further arguments that bear on the text encoders only
        seen.add(row)
        counts = " | ".join(str(_count(model, c) or "") for c in used)
        modules = ", ".join([_module(result), *(f"`{module}`" for module in result["also"])])
        family = _link(model["family"])
        lines.append(f"| {result['size']} | {modules} | {family} | {_stacks(model)} | {counts} | {model['count']} |")
    return "\n".join(lines)


def _encoders(results: Sequence[Result]) -> str:
    rows: dict[str, tuple[Result, dict[str, None]]] = {}
    for result in results:
        for name, part in result["encoders"].items():
            rows.setdefault(name, (part, {}))[1][_module(result) if name == "T5-XXL" else f"`{result['module']}`"] = (
                None
            )
    lines = ["| text encoder | family | stacks | self_attn | ffn | sum | trained by |", "|-|-|-|-:|-:|-:|-|"]
    for name, (part, modules) in rows.items():
        counts = f"{_count(part, 'self_attn')} | {_count(part, 'ffn')} | {part['count']}"
        lines.append(f"| {name} | {_link(part['family'])} | {_stacks(part)} | {counts} | {', '.join(modules)} |")
    return "\n".join(lines)


def _family(name: str, cases: Sequence[tuple[str, bool, Result]]) -> str:
    """A table of one family: component by component, in the blocks and outside them."""
    sizes = list(dict.fromkeys(size for size, _, _ in cases))
    classes = ", ".join(dict.fromkeys(f"`{part['class']}`" for _, _, part in cases))
    lines = [
        f"### {name}",
        "",
        f"{', '.join(sizes)} ({classes})",
        "",
        "| component | in the blocks | outside them |",
        "|-|-|-|",
    ]
    for component in COMPONENTS:
        found: dict[str, dict[str, Named]] = {}
        for size, default, part in cases:
            for stack in (*part["stacks"], OUTSIDE):
                for module, (_, trained) in part["anatomy"].get(stack, {}).get(component, {}).items():
                    named = found.setdefault(stack, {}).setdefault(module, Named())
                    named.sizes.add(size)
                    named.trained |= bool(trained and default)
        if not found:
            continue
        outside = _names(found.pop(OUTSIDE, {}), len(sizes))
        alike: dict[str, list[str]] = {}
        for stack, names in found.items():
            alike.setdefault(_names(names, len(sizes)), []).append(stack)
        inside = "<br>".join(f"{', '.join(stacks)}: {text}" for text, stacks in alike.items())
        lines.append(f"| `{component}` | {inside} | {outside} |")
    return "\n".join(lines)


@dataclass
class Named:
    """What is told of a module name: the models that have it, and whether it gets a LoRA by default."""

    sizes: set[str] = field(default_factory=set)
    trained: bool = False


def _names(modules: Mapping[str, Named], sizes: int) -> str:
    texts = {name: f"`{name}`" + ("" if len(named.sizes) == sizes else "†") for name, named in modules.items()}
    trained = ", ".join(text for name, text in texts.items() if modules[name].trained)
    rest = ", ".join(text for name, text in texts.items() if not modules[name].trained)
    return " ".join([trained] * bool(trained) + [f"({rest})"] * bool(rest))


def _link(family: str) -> str:
    return f"[{family}](#{family})"


def _module(result: Result) -> str:
    return f"`{result['module']}`" + "".join(f" with `{arg}`" for arg in result["args"])


def _stacks(part: Result) -> str:
    trained = {stack for stack, _, _ in part["cells"]}
    texts = {stack: f"{stack} 0-{count - 1}" for stack, count in part["stacks"].items()}
    return ", ".join(text if stack in trained else f"({text})" for stack, text in texts.items())


def _count(part: Result, component: str) -> int:
    return sum(count for _, found, count in part["cells"] if found == component)
