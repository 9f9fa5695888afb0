"""Settings as the text that --network_args hold, and why some cannot stand there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lr_grid.convert.base import Arguments, Job
from lr_grid.convert.texts import number_text
from lr_grid.errors import Problems
from lr_grid.grid_settings import GridSettings
from lr_grid.keys import PARSERS, is_grid_key, split_section
from lr_grid.settings import read_settings
from lr_grid.values import is_list

MODULE_KEYS = ("module_lr", "module_dims", "module_alphas")


def as_text(value: Any) -> str:
    """A setting's value as --network_args hold it: ``double_0-6:0.3,single:0.8``, ``1,1,0.5``, ``true``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    if isinstance(value, Mapping):
        return ",".join(f"{key}:{as_text(item)}" for key, item in value.items())
    if is_list(value):
        return ",".join(as_text(item) for item in value)
    return str(value)


def why_no_argument(key: str, value: Any) -> str:
    """Why a setting of the grid cannot stand in --network_args; empty where it can."""
    if not is_grid_key(key):
        return ""
    text = as_text(value)
    if "=" in text:
        return "holds a = (musubi-tuner splits there)"
    if any(char.isspace() for char in text):
        return "holds a space (GUIs split there)"
    if "'" in text or '"' in text:
        return "holds a quote"
    if split_section(key)[1] in MODULE_KEYS:
        parse = PARSERS[split_section(key)[1]]
        try:
            same = parse(text) == parse(value)
        except ValueError:
            same = False
        if not same:
            return "holds a regex that would be read as several rules"
    return ""


def settings_of(arguments: Arguments) -> GridSettings:
    """The settings that arguments make.

    Raises: GridError with everything that is wrong in them.
    """
    problems = Problems()
    settings = read_settings(arguments, problems, words="the settings")
    problems.raise_if_any()
    return settings


def lone_arguments(arguments: Arguments, job: Job) -> list[tuple[str, str]]:
    """Key and text of every argument, each of which can stand in --network_args.

    Raises: GridError for wrong settings, and naming those that cannot stand there, with the cure.
    """
    settings_of(arguments)
    problems = Problems()
    for key, value in arguments.items():
        why = why_no_argument(key, value)
        if why:
            problems.add(
                f"{key}: {as_text(value)!r} {why}: write a grid file (--to toml -o grid.toml) and give grid=grid.toml"
            )
    problems.raise_if_any()
    note_components(arguments, job)
    return [(key, as_text(value)) for key, value in arguments.items()]


def note_components(arguments: Arguments, job: Job) -> None:
    """Tells of LRs for components that the model's network module, or most of them, has none of: lr-grid refuses
    those in the run."""
    table = arguments.get("component_lr")
    pairs = as_text(table).split(",") if table is not None else []
    named = [pair.rpartition(":")[0].strip() for pair in pairs]
    named += [key.removesuffix("_lr") for key in arguments if key.removesuffix("_lr") in _NOT_EVERYWHERE]
    missing = [name for name in dict.fromkeys(named) if name in _NOT_EVERYWHERE]
    if job.model is None and missing:
        job.losses.note(
            f"{', '.join(missing)}: where the model's LoRA has no such modules, the run refuses an LR for them (give"
            " --model to see)"
        )
    for name in missing:
        if job.model is not None and name not in job.model.components:
            job.losses.note(
                f"{name}: {job.model.name} has no such modules in its trainer's LoRA ({_NOT_EVERYWHERE[name]}): the run"
                " refuses an LR for them"
            )


_NOT_EVERYWHERE = {
    "norm": "only LyCORIS with train_norm trains norms",
    "cross_attn": "SD3, Lumina, Z-Image and others have no cross-attention of their own",
    "mod": "many leave modulation out",
    "fused": "only FLUX, Hunyuan's and the like have fused blocks",
    "embed": "embedders are left out unless asked for",
    "other": "DiTs have none in their blocks",
}
