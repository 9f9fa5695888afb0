"""sd-scripts' block LR weights of networks.lora: down_lr_weight, mid_lr_weight, up_lr_weight, block_lr_zero_threshold.

Counts, curves and the threshold are those of sd-scripts, networks/lora.py, get_block_lr_weight. Where that pads a short
list with 1 or cuts a long one, a list of another length is refused here.
"""

from __future__ import annotations

from lr_grid.block_curves import CURVES, LENGTHS, weights_of
from lr_grid.convert.base import Arguments, Format, Job
from lr_grid.convert.block_weights import factors_to_write
from lr_grid.convert.models import Model
from lr_grid.convert.quoting import bash
from lr_grid.convert.source import Source
from lr_grid.convert.texts import argument_pairs, number_text, numbers
from lr_grid.errors import GridError, Problems, did_you_mean
from lr_grid.keys import is_grid_key
from lr_grid.passed_on import BLOCK_WEIGHTS
from lr_grid.values import number

THRESHOLD = "block_lr_zero_threshold"


def lengths(model: Model) -> tuple[int, int, int]:
    """How many values down, mid and up have.

    Raises: GridError where the model is no U-Net.
    """
    if not model.is_unet:
        raise GridError([f"down_mid_up: {model.name} is no U-Net: this is a format of SD1.x, SD2.x and SDXL"])
    return LENGTHS[model.is_sdxl]


def read(text: str, job: Job) -> Arguments:
    """Weights of the down, mid and up blocks as one block_lr_weight."""
    given = argument_pairs(text)
    problems = Problems()
    if not any(key in given for key in BLOCK_WEIGHTS):
        hints = [did_you_mean(key, BLOCK_WEIGHTS) for key in given]
        raise GridError([f"down_mid_up: there is none of {', '.join(BLOCK_WEIGHTS)}.{''.join(hints)}"])
    if job.model is None:
        raise GridError(["down_mid_up: SD1.x and SDXL have different numbers of blocks: give --model sd15 or sdxl"])
    if THRESHOLD in given:
        try:
            number(given[THRESHOLD])
        except ValueError as error:
            problems.add(f"{THRESHOLD}: {error}")
    for key, count in zip(BLOCK_WEIGHTS, lengths(job.model), strict=True):
        if key in given:
            _check(key, given[key], count, job.model, problems)
    problems.raise_if_any()
    for key, value in given.items():
        if key not in (*BLOCK_WEIGHTS, THRESHOLD):
            what = "a setting of the grid" if is_grid_key(key) else "another argument of the network module"
            job.losses.lose(f"{key}={value}: is {what}, not of this format (read it with --from args)")
    return {"block_lr_weight": weights_of("networks.lora", given, job.model.is_sdxl)}


def _check(key: str, text: str, count: int, model: Model, problems: Problems) -> None:
    """Notes a list of another length than the model's (upstream pads or cuts it), and a curve that does not exist."""
    if "," in text or key == "mid_lr_weight":
        # Upstream reads an empty place as 0.
        numbers(",".join(item.strip() or "0" for item in text.split(",")), key, problems)
        if len(text.split(",")) != count:
            down, mid, up = lengths(model)
            problems.add(
                f"{key}: {len(text.split(','))} values, but {model.name} has {count} there (down {down}, mid {mid}, up"
                f" {up}; SD1.x and SD2.x 12, 1, 12, SDXL 9, 3, 9)"
            )
        return
    name, plus, base = text.partition("+")
    if name not in CURVES:
        problems.add(
            f"{key}: {name!r} is neither {count} numbers nor a curve; curves are {', '.join(CURVES)}, each with"
            f" +base if wanted (sine+.5).{did_you_mean(name, CURVES)}"
        )
    elif plus:
        try:
            number(base)
        except ValueError as error:
            problems.add(f"{key}: what {name} adds: {error}")


def write(arguments: Arguments, job: Job) -> str:
    """Three arguments for networks.lora."""
    source = Source(arguments, job, "down_mid_up")
    down, mid, up = lengths(source.model())
    factors = list(factors_to_write(source, "down_mid_up holds one factor a block of a U-Net").values())
    if source.model().is_sdxl:
        for name, block in (("unet_0 (embeddings)", 0), ("unet_22 (out)", 22)):
            if factors[block] != 1:
                job.losses.lose(f"{name}: {factors[block]:g}: there it is always 1 (a plain LoRA has no module there)")
        factors = factors[1:-1]
    lists = (factors[:down], factors[down : down + mid], factors[down + mid :])
    assert [len(values) for values in lists] == [down, mid, up]
    return bash(f"{key}={','.join(map(number_text, values))}" for key, values in zip(BLOCK_WEIGHTS, lists, strict=True))


FORMAT = Format(
    name="down_mid_up",
    title="down_lr_weight, mid_lr_weight, up_lr_weight of sd-scripts' networks.lora",
    holds="one factor a block: SD1.x 12+1+12, SDXL 9+3+9 (of 23: its first and last are always 1)",
    example="down_lr_weight=sine+.5 mid_lr_weight=1 up_lr_weight=cosine+.5 block_lr_zero_threshold=0.1",
    read=read,
    write=write,
)
