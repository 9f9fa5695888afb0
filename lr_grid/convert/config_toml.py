"""A trainer's --config_file: network_module and network_args."""

from __future__ import annotations

import json

from lr_grid.convert.arguments import lone_arguments
from lr_grid.convert.base import Arguments, Format, Job
from lr_grid.convert.network_args import checked
from lr_grid.convert.texts import config_arguments, read_toml
from lr_grid.errors import GridError


def read(text: str, job: Job) -> Arguments:
    """The network_args of a config file."""
    found = config_arguments(read_toml(text))
    if found is None:
        raise GridError(["config: the TOML has no network_args"])
    return checked(found, job)


def write(arguments: Arguments, job: Job) -> str:
    """network_module of the model, and the arguments as a list."""
    if job.model is None:
        raise GridError(["config: the network module is the model's: give --model (e.g. flux-dev)"])
    if not job.model.network_module:
        raise GridError([f"config: {job.model.name} is for a loop of one's own, which has no config file of a trainer"])
    words = [f"{key}={text}" for key, text in lone_arguments(arguments, job)]
    lines = [f"    {json.dumps(word, ensure_ascii=False)}," for word in words]
    return "\n".join([f'network_module = "{job.model.network_module}"', "network_args = [", *lines, "]"]) + "\n"


FORMAT = Format(
    name="config",
    title="a snippet for a trainer's --config_file (TOML)",
    holds="everything of the grid but values with =, spaces or quotes",
    example='network_args = ["self_attn_lr=1.5x", "depth_strategy=linear"]',
    read=read,
    write=write,
)
