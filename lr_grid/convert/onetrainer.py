"""OneTrainer's block multipliers for FLUX: a JSON object with ``block_learning_rate_multiplier``.

Source: the fork tarkansarim/OneTrainer-FluxDe-DistilledSupport-, whose window this setting belongs to.
"""

from __future__ import annotations

import json
import re
from typing import Any

from lr_grid.blocks import Block
from lr_grid.convert.base import Arguments, Format, Job
from lr_grid.convert.block_weights import check_weights, factors_to_write
from lr_grid.convert.entries import block_table
from lr_grid.convert.models import Model, find_model
from lr_grid.convert.source import Source
from lr_grid.convert.texts import read_json
from lr_grid.errors import GridError, Problems, did_you_mean
from lr_grid.gridfile import ONETRAINER_BLOCK
from lr_grid.values import number

_CUSTOM = "block_learning_rate_custom_presets"
_ACTIVE = ("blocks", "attn-only", "attn-mlp")


def _preset(other: float, **blocks: tuple[float, tuple[int, ...]]) -> dict[str, float]:
    names = [f"double_block_{i}" for i in range(19)] + [f"single_block_{i}" for i in range(38)]
    values = dict.fromkeys(names, other)
    for stack, (value, indices) in blocks.items():
        values |= {f"{stack}_block_{i}": value for i in indices}
    return values


PRESETS = {
    "Structure": _preset(0.01, single=(1.0, tuple(range(9, 15)))),
    "Detail": _preset(0.01, single=(1.0, (7, 12, 16, 20))),
    "Luma Normalize": _preset(1.0, double=(0.0, tuple(range(7))), single=(0.0, (15, 16, 22, 29, 32, 34, 35, 36, 37))),
}
"""Built in there; Luma Normalize names its zeros only, the rest stays at 1."""


def _spelling(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


def read(text: str, job: Job) -> Arguments:
    """Block multipliers as block_lr_weight."""
    job.model = _checked(job.model or find_model("flux-dev"))
    values = _chosen(text, job)
    problems, weights = Problems(), {}
    for name, value in values.items():
        block = _block(name, job.model, problems)
        try:
            weight = number(value)
        except ValueError as error:
            problems.add(f"{name}: {error}")
            continue
        check_weights({name: weight}, problems)
        if block is not None:
            weights[block] = weight
        elif name == "other":
            job.losses.lose(f"other {weight:g}: it speaks of what stands outside the blocks: no LoRA there")
    problems.raise_if_any()
    if not weights:
        raise GridError([f"onetrainer: {ONETRAINER_BLOCK} is empty: it says nothing"])
    return {"block_lr_weight": block_table(weights, job.model, skip=1.0)}


def _checked(model: Model) -> Model:
    if set(model.stacks) != {"double", "single"}:
        raise GridError(
            [f"onetrainer: it has double and single blocks, and {model.name} has {', '.join(model.stacks)}"]
        )
    return model


def _chosen(text: str, job: Job) -> dict[str, Any]:
    """The block of the file, or the preset that the variant names."""
    data = read_json(text) if text.strip() else {}
    found = data.get(_CUSTOM)
    custom: dict[str, Any] = found if isinstance(found, dict) else {}
    if job.variant:
        named = {_spelling(name): values for name, values in {**PRESETS, **custom}.items()}
        if _spelling(job.variant) not in named:
            names = {_spelling(name): name for name in (*PRESETS, *custom)}
            near = did_you_mean(_spelling(job.variant), names).removeprefix(" Did you mean ").removesuffix("?")
            hint = f" Did you mean {names[near]}?" if near else ""
            raise GridError([f"onetrainer: no preset {job.variant!r}; there are {', '.join(names.values())}.{hint}"])
        return named[_spelling(job.variant)]
    block = data.get(ONETRAINER_BLOCK)
    if not isinstance(block, dict):
        raise GridError([f"onetrainer: the JSON has no {ONETRAINER_BLOCK} (an object)"])
    preset = data.get("layer_filter_preset")
    if preset is not None and preset not in _ACTIVE:
        job.losses.note(
            f"onetrainer: with layer_filter_preset {preset!r} the multipliers are not active there (only with"
            f" {', '.join(_ACTIVE)})"
        )
    if "learning_rate" in data:
        job.losses.note(f"onetrainer: learning_rate {data['learning_rate']} is what they multiply: give it the trainer")
    return block


def _block(name: str, model: Model, problems: Problems) -> Block | None:
    match = re.fullmatch(r"(double|single)_block_(\d+)", name)
    if match and int(match[2]) < model.stacks[match[1]]:
        return match[1], int(match[2])
    if match:
        last = model.stacks[match[1]] - 1
        problems.add(f"{name}: is out of range: {model.name} has {match[1]}_block_0 to {match[1]}_block_{last}")
    elif name != "other":
        problems.add(f"{name!r} is no block: they are called double_block_0, single_block_0, ...")
    return None


def write(arguments: Arguments, job: Job) -> str:
    """All blocks with their multipliers."""
    job.model = _checked(job.model or find_model("flux-dev"))
    factors = factors_to_write(Source(arguments, job, "onetrainer"), "onetrainer holds one multiplier a block")
    if any(factor > 1 for factor in factors.values()):
        job.losses.note("onetrainer: its window's sliders end at 1: a multiplier above 1 is kept while it stays closed")
    job.losses.note(
        "onetrainer: put it into a config whose layer_filter_preset is blocks, attn-only or attn-mlp (it is not active"
        " elsewhere); a multiplier of 0 keeps its optimizer state there"
    )
    names = {f"{stack}_block_{i}": factor for (stack, i), factor in factors.items()}
    return json.dumps({ONETRAINER_BLOCK: names}, indent=2) + "\n"


FORMAT = Format(
    name="onetrainer",
    title="JSON with block_learning_rate_multiplier (FLUX, an OneTrainer fork)",
    holds="one multiplier a block",
    example='{"block_learning_rate_multiplier": {"double_block_0": 0.3, "single_block_7": 0}}',
    read=read,
    write=write,
    variants=f"a preset: {', '.join(PRESETS)}, or one of the file's own",
    without_text=bool,
)
