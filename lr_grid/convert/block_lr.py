"""sdxl_train.py's --block_lr: 23 absolute LRs, one for each block of SDXL's U-Net; 0 is not trained.

Source: sd-scripts, sdxl_train.py, get_block_params_to_optimize.
"""

from __future__ import annotations

import re

from lr_grid.convert.base import Arguments, Format, Job
from lr_grid.convert.models import Model, find_model
from lr_grid.convert.source import COMMON_WHY, Source, block_carried, tell_uncurved
from lr_grid.convert.texts import looks_like_toml, number_text, numbers, read_toml, rounded
from lr_grid.errors import GridError, Problems

BLOCKS = 23


def _sdxl(model: Model | None) -> Model:
    if model is not None and not model.is_sdxl:
        raise GridError([f"block_lr: {BLOCKS} values belong to SDXL, and the model is {model.name}"])
    return model or find_model("sdxl")


def _plain(text: str) -> str:
    """The numbers, out of a flag or a config file."""
    if looks_like_toml(text):
        data = read_toml(text)
        tables = [data, *(value for value in data.values() if isinstance(value, dict))]
        found = next((table["block_lr"] for table in tables if "block_lr" in table), None)
        if found is None:
            raise GridError(["block_lr: the TOML has no block_lr"])
        return ",".join(map(str, found)) if isinstance(found, list) else str(found)
    flag = re.search(r"--block_lr[=\s]+(\S+)", text)
    return (flag[1] if flag else re.sub(r"^\s*block_lr\s*=", "", text)).strip().strip("'\"")


def read(text: str, job: Job) -> Arguments:
    """23 absolute LRs as block_lr."""
    job.model = _sdxl(job.model)
    problems = Problems()
    values = numbers(_plain(text), "block_lr", problems)
    count = len(_plain(text).split(","))
    if count != BLOCKS:
        problems.add(
            f"block_lr: {count} values, but SDXL has {BLOCKS} blocks (0 embeddings, 1-9 input, 10-12 middle, 13-21"
            " output, 22 out)"
        )
    problems.raise_if_any()
    return {"block_lr": values}


def write(arguments: Arguments, job: Job) -> str:
    """23 absolute LRs."""
    job.model = _sdxl(job.model)
    source = Source(arguments, job, "block_lr")
    holds = "block_lr holds one absolute LR a block"
    source.finish(lambda key: block_carried(key) or key == "default_lr", {**COMMON_WHY, "holds": holds})
    values = []
    for block in job.model.blocks:
        if source.left_out(block):
            values.append(0.0)
        elif block in source.block_lr:
            values.append(source.absolute(source.block_lr[block], "block_lr") * source.weights.get(block, 1.0))
        else:
            default = source.absolute(source.default, "the default LR")
            values.append(default * source.depth[block] * source.weights.get(block, 1.0))
    tell_uncurved(source)
    return ",".join(number_text(rounded(value)) for value in values)


FORMAT = Format(
    name="block_lr",
    title="sdxl_train.py's --block_lr",
    holds="23 absolute LRs, one a block of SDXL; 0: not trained",
    example=",".join(["1e-5"] * BLOCKS),
    read=read,
    write=write,
)
