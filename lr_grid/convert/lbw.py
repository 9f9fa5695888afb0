"""LoRA block weight strings (sd-webui-lora-block-weight, Inspire Pack): strengths of a finished LoRA, block by block.

The blocks are those of lbw_layouts.py. A strength at inference says nothing of a learning rate; to take it as the LR's
multiplier is the user's choice, and is said so.
"""

from __future__ import annotations

from lr_grid.blocks import Block
from lr_grid.convert.base import Arguments, Format, Job
from lr_grid.convert.block_weights import check_weights, factors_to_write
from lr_grid.convert.entries import block_table
from lr_grid.convert.lbw_layouts import LAYOUTS, WEBUI, Layout, explain, plain_layout
from lr_grid.convert.models import Model, find_model
from lr_grid.convert.source import Source
from lr_grid.convert.texts import number_text
from lr_grid.errors import GridError, Problems, did_you_mean, listed
from lr_grid.values import number

COUNTS = tuple(sorted({layout.count for layout in LAYOUTS}))
_DRAWN = {"R": "random", "U": "random", "X": "given in the prompt", "A": "a knob's", "B": "a knob's"}
_MODEL_OF = {"sd": "sd15", "sdxl": "sdxl", "flux": "flux-dev"}
CHOICE = (
    "a LoRA block weight is a strength at inference: as a multiplier of the LR in training it is a choice, not a"
    " translation"
)


def _line(text: str, name: str) -> str:
    """The values of one line ``NAME:v,v`` (or ``v,v``), chosen by name where there are several."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise GridError(["lbw: there are no values"])
    named = {line.partition(":")[0].strip(): line.partition(":")[2] for line in lines if ":" in line}
    if name:
        if name not in named:
            spelled = {one.lower(): one for one in named}
            near = did_you_mean(name, spelled).removeprefix(" Did you mean ").removesuffix("?")
            hint = f" Did you mean {spelled[near]}?" if near else ""
            raise GridError([f"lbw: no preset {name!r}; there are {listed(named)}.{hint}"])
        return named[name]
    if len(lines) > 1:
        raise GridError([f"lbw: there are {len(lines)} presets ({listed(named)}): choose one with --from lbw:NAME"])
    return lines[0].rpartition(":")[2]


def read(text: str, job: Job) -> Arguments:
    """Weights by block as block_lr_weight."""
    count = int(job.variant) if job.variant.isdigit() else 0
    values = [value.strip() for value in _line(text, "" if count else job.variant).split(",")]
    if count and count != len(values):
        raise GridError([f"lbw:{count}: there are {len(values)} values"])
    layout = _layout(len(values), job.model)
    job.model = job.model or find_model(_MODEL_OF[layout.family])
    problems, lost = Problems(), []
    weights: dict[Block, float] = {}
    for place, ((name, blocks), value) in enumerate(zip(layout.entries, values, strict=True), 1):
        try:
            weight = number(value)
        except ValueError:
            drawn = _DRAWN.get(value[:1].upper())
            what = f"{value!r} is {drawn}: write the number" if drawn else f"{value!r} is not a number"
            problems.add(f"lbw: value {place} ({name}): {what}")
            continue
        if blocks:
            check_weights({f"lbw: value {place} ({name})": weight}, problems)
            weights |= dict.fromkeys(blocks, weight)
        elif weight != 1:
            lost.append(f"{name} {weight:g}")
    problems.raise_if_any()
    if lost:
        job.losses.lose(f"{', '.join(lost)}: {_no_counterpart(layout)}")
    left = [block for block in job.model.blocks if block not in layout.blocks]
    if job.model.is_unet and not layout.plain_lora:  # a whole list: see block_table
        weights = {block: weights.get(block, 1.0) for block in job.model.blocks}
    if left and job.model.is_unet:
        numbers = ", ".join(str(i) for _, i in left)
        job.losses.note(
            f"lbw: {layout.count} values say nothing of unet blocks {numbers}: they keep weight 1 (the web UI"
            " takes 0 there; a plain LoRA has no module in them)"
        )
    job.losses.note(CHOICE)
    return {"block_lr_weight": block_table(weights, job.model, skip=1.0)}


def _no_counterpart(layout: Layout) -> str:
    if layout.family == "flux":
        return "they have no LR here: text encoders have --text_encoder_lr, embedders and the last layer no LoRA"
    return "it is the text encoders' and the time embedding's: they have --text_encoder_lr, and no LoRA"


def _layout(count: int, model: Model | None) -> Layout:
    """The layout of a count of values, for a model where it is known.

    Raises: GridError naming the counts there are.
    """
    fitting = [layout for layout in LAYOUTS if layout.count == count and (model is None or layout.suits(model))]
    if not fitting and model is not None and count == len(model.blocks):
        return plain_layout(model)
    if not fitting:
        raise GridError([_wrong_count(count, model)])
    if len({layout.family for layout in fitting}) > 1:
        which = " or ".join(f"{_MODEL_OF[layout.family]} ({layout.tool})" for layout in fitting)
        raise GridError([f"lbw: {count} values may be those of {which}: give --model"])
    return fitting[0]


def _wrong_count(count: int, model: Model | None) -> str:
    families = dict.fromkeys(layout.family for layout in LAYOUTS)
    if model is not None:
        plain = len(model.blocks)
        counts = [layout.count for layout in LAYOUTS if layout.suits(model)]
        there = f"{model.name} has {', '.join(map(str, sorted({*counts, plain})))}"
    else:
        there = "; ".join(
            f"{_MODEL_OF[family]} has {', '.join(map(str, sorted(x.count for x in LAYOUTS if x.family == family)))}"
            for family in families
        )
    hint = ""
    if count == 27:
        hint = (
            " (27 is Inspire Pack's for a LoCon of SD1.x: three values for the middle block, which is one block here)"
        )
    return f"lbw: {count} values: {there}, none is added or cut{hint}; lr-grid convert --explain lbw shows them"


def write(arguments: Arguments, job: Job) -> str:
    """Factors by block, in the fullest count, or in the one that is asked for (``lbw:17``)."""
    source = Source(arguments, job, "lbw")
    layout = _layout_to_write(source.model(), job.variant)
    factors = factors_to_write(source, "lbw holds one weight a block")
    lost = [f"{s}_{i}" for (s, i), factor in factors.items() if factor != 1 and (s, i) not in layout.blocks]
    values = [_one(name, blocks, factors, job) for name, blocks in layout.entries]
    if lost:
        job.losses.lose(f"{listed(lost)}: {layout.count} values say nothing of these blocks")
    idle = [name for name, blocks in layout.entries if not blocks]
    if idle:
        job.losses.note(f"lbw: {', '.join(idle)} {'is' if len(idle) == 1 else 'are'} 1: no LR stands behind them")
    job.losses.note(CHOICE)
    return ",".join(map(number_text, values))


def _layout_to_write(model: Model, variant: str) -> Layout:
    if variant and not variant.isdigit():
        raise GridError([f"lbw:{variant}: to write, the variant is a count of values (lbw:17)"])
    if variant:
        return _layout(int(variant), model)
    fitting = [layout for layout in LAYOUTS if layout.suits(model) and layout.tool == WEBUI]
    return max(fitting, key=lambda layout: layout.count) if fitting else plain_layout(model)


def _one(name: str, blocks: tuple[Block, ...], factors: dict[Block, float], job: Job) -> float:
    """The one value for the blocks of an entry; where they differ, that of the middle one, and the rest is lost."""
    if not blocks:
        return 1.0
    values = [factors[block] for block in blocks]
    middle = blocks[len(blocks) // 2] if blocks[0][0] == blocks[-1][0] else blocks[0]
    if len(set(values)) > 1:
        others = ", ".join(f"{s}_{i}: {factors[s, i]:g}" for s, i in blocks if factors[s, i] != factors[middle])
        job.losses.lose(f"{name} is one value: it takes that of {middle[0]}_{middle[1]}, not {others}")
    return factors[middle]


FORMAT = Format(
    name="lbw",
    title="LoRA block weight string (sd-webui-lora-block-weight, Inspire Pack)",
    holds=f"one strength a block: {', '.join(map(str, COUNTS))} values, or one for each block of --model",
    example="MIDD:1,0,0,0,1,1,1,1,1,1,1,1,0,0,0,0,0",
    read=read,
    write=write,
    variants="the name of a preset (reading), a count of values",
    explain=explain,
)
