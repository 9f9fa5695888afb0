"""Writes docs/families_kohya.md out of the inventories of kohya's trainers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lr_grid.words import COMPONENTS

PAGE = Path(__file__).parents[2] / "docs" / "families_kohya.md"
OUTSIDE = ""

Result = Mapping[str, Any]
"""What an inventory script tells of one case: see inventory.describe."""

INTRO = """\
# Blocks and components of the models in kohya's trainers

Look your model up in the first table. Its **stacks** are the names and block numbers that `block_lr_weight`,
`block_lr`, `block_dims` and the like understand: `double 0-18` means that `double_0-6:0.3` is about its first seven
blocks. The numbers say how many modules of each component the trainer's network module puts a LoRA on: a component
without a number has none there, and an LR for it changes nothing. The last part lists, family by family, which module
counts as what.

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

NAMES = """\
## What counts as what

Names are those inside a block; `N` stands for numbers of further lists. In (parentheses): gets no LoRA by default,
only with arguments of the network module (`conv_dim`, `in_dims`, `include_patterns`, ...) or with LyCORIS.
"""


def page(trainers: Mapping[str, Sequence[Result]]) -> str:
    """The whole page, from the results of each trainer's inventory."""
    results = [result for found in trainers.values() for result in found]
    parts = [INTRO, "## Models"]
    for trainer, found in trainers.items():
        parts += [f"### {trainer}", _models(found)]
    parts += ["## Text encoders", _encoders(results), NAMES]
    models = [(result["size"], not result["args"], result["model"]) for result in results]
    encoders = [(name, True, part) for result in results for name, part in result["encoders"].items()]
    for family in dict.fromkeys(part["family"] for _, _, part in [*models, *encoders]):
        parts.append(_family(family, [case for case in [*models, *encoders] if case[2]["family"] == family]))
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
        module = _module(result)
        lines.append(
            f"| {result['size']} | {module} | {model['family']} | {_stacks(model)} | {counts} | {model['count']} |"
        )
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
        lines.append(f"| {name} | {part['family']} | {_stacks(part)} | {counts} | {', '.join(modules)} |")
    return "\n".join(lines)


def _family(name: str, cases: Sequence[tuple[str, bool, Result]]) -> str:
    """A table of one family: component by component, in the blocks and outside them."""
    sizes = ", ".join(dict.fromkeys(size for size, _, _ in cases))
    classes = ", ".join(dict.fromkeys(f"`{part['class']}`" for _, _, part in cases))
    lines = [f"### {name}", "", f"{sizes} ({classes})", "", "| component | in the blocks | outside them |", "|-|-|-|"]
    for component in COMPONENTS:
        found: dict[str, dict[str, bool]] = {}
        for _, default, part in cases:
            for stack in (*part["stacks"], OUTSIDE):
                for module, (_, trained) in part["anatomy"].get(stack, {}).get(component, {}).items():
                    names = found.setdefault(stack, {})
                    names[module] = names.get(module, False) or bool(trained and default)
        if not found:
            continue
        outside = _names(found.pop(OUTSIDE, {}))
        alike: dict[str, list[str]] = {}
        for stack, names in found.items():
            alike.setdefault(_names(names), []).append(stack)
        inside = "<br>".join(f"{', '.join(stacks)}: {text}" for text, stacks in alike.items())
        lines.append(f"| `{component}` | {inside} | {outside} |")
    return "\n".join(lines)


def _names(modules: Mapping[str, bool]) -> str:
    """Module names, in parentheses those that get no LoRA by default."""
    trained = [f"`{name}`" for name, by_default in modules.items() if by_default]
    rest = [f"`{name}`" for name, by_default in modules.items() if not by_default]
    return " ".join([*_commas(trained), *([f"({', '.join(rest)})"] if rest else [])])


def _commas(names: Iterable[str]) -> list[str]:
    text = ", ".join(names)
    return [text] if text else []


def _module(result: Result) -> str:
    return f"`{result['module']}`" + "".join(f" with `{arg}`" for arg in result["args"])


def _stacks(part: Result) -> str:
    return ", ".join(f"{stack} 0-{count - 1}" for stack, count in part["stacks"].items())


def _count(part: Result, component: str) -> int:
    return sum(count for _, found, count in part["cells"] if found == component)
