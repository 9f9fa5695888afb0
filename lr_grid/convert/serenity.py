"""Serenity's published per-layer system: a JSON object with a ``per_layer_lr`` block (component x depth, absolute LRs).

Source: CodeAlexx/StageHand, docs/per-layer-lr.md. Read as lr_grid.gridfile reads such a file.
"""

from __future__ import annotations

import json
from typing import Any

from lr_grid.convert.base import Arguments, Format, Job
from lr_grid.convert.source import Source, kind_of
from lr_grid.convert.texts import read_json
from lr_grid.errors import GridError, Problems, did_you_mean
from lr_grid.gridfile import ONETRAINER_BLOCK, PUBLISHED_BLOCK, read_table
from lr_grid.words import COMPONENTS

_COMPONENTS = ("self_attn", "cross_attn", "ffn", "norm")
_STRATEGIES = ("flat", "linear", "cosine", "inverted_u")
_KEYS = (
    *("enabled", "component_lr", "depth_strategy", "min_depth_factor", "peak_position", "default_lr", "log_grad_norms"),
)
_WHY = {
    "holds": "serenity holds component LRs (self_attn, cross_attn, ffn, norm), a default and a depth curve",
    "component": "the published system has no such component: its modules take default_lr there",
    "blocks": "it knows no single blocks",
    "depth": "it has the curves flat, linear, cosine and inverted_u, exact, anew in each stack",
    "module": "it knows no regexes",
    "loraplus": "it knows no LoRA+",
    "encoder": "it knows no text encoders",
    "rank": "it knows no ranks",
    "chosen": "it has no lists of what trains",
    "upstream": "it is no setting of the grid: give it to the network module itself",
}


def read(text: str, job: Job) -> Arguments:
    """The settings of a per_layer_lr block."""
    data = read_json(text)
    block = data.get(PUBLISHED_BLOCK)
    if not isinstance(block, dict):
        raise GridError([f"serenity: the JSON has no {PUBLISHED_BLOCK} block (an object)"])
    if not block:
        raise GridError([f"serenity: {PUBLISHED_BLOCK} is empty: it says nothing"])
    problems = Problems()
    for key in block:
        if key not in _KEYS:
            problems.add(f"serenity: {key!r} is no key of a {PUBLISHED_BLOCK} block.{did_you_mean(key, _KEYS)}")
    problems.raise_if_any()
    try:
        file = read_table("serenity", data)
    except ValueError as error:
        raise GridError([str(error)]) from None
    if PUBLISHED_BLOCK not in file.published:
        off = "has enabled=false" if "enabled" in block else "has no enabled, which counts as false"
        raise GridError([f"serenity: {PUBLISHED_BLOCK} {off}: it says nothing (set enabled to true)"])
    for notice in file.notices:
        job.losses.note(notice)
    others = [key for key in data if key not in (PUBLISHED_BLOCK, ONETRAINER_BLOCK)]
    if others:
        job.losses.note(f"serenity: only {PUBLISHED_BLOCK} is read, not {', '.join(others)}")
    return _fit(_without_idle(file.published, job), job)


def _without_idle(settings: Arguments, job: Job) -> Arguments:
    """Takes out what has no effect beside the strategy: given one by one, such keys are contradictions."""
    strategy = settings.get("depth_strategy", "linear")
    idle = {"flat": ("min_depth_factor", "peak_position"), "inverted_u": ()}.get(strategy, ("peak_position",))
    for key in idle:
        if key in settings:
            job.losses.note(f"{key} has no effect with {strategy}, it is left out")
    return {key: value for key, value in settings.items() if key not in idle}


def _fit(settings: Arguments, job: Job) -> Arguments:
    """Takes out components that the model has none of: a published block always lists all of them."""
    table = settings.get("component_lr")
    if not isinstance(table, dict) or job.model is None:
        return settings
    has = set(job.model.components)
    if "fused" in has and "fused" not in table:
        has |= {"self_attn", "ffn"}
    for component, lr in table.items():
        if component not in has and component in COMPONENTS:
            job.losses.lose(f"{component} {lr}: {job.model.name} has no such module in its trainer's LoRA")
    kept: dict[str, Any] = {c: lr for c, lr in table.items() if c in has or c not in COMPONENTS}
    if not kept:
        raise GridError([f"serenity: {job.model.name} has none of {', '.join(table)}"])
    return {**settings, "component_lr": kept}


def write(arguments: Arguments, job: Job) -> str:
    """A per_layer_lr block; LRs absolute."""
    source = Source(arguments, job, "serenity")
    settings = source.settings
    curve = settings.depth_strategy in _STRATEGIES and settings.depth_scope == "stack" and not settings.depth_levels

    def carried(key: str) -> bool:
        if kind_of(key) == "depth":
            return curve
        return key in ("default_lr", "log_grad_norms") or (
            kind_of(key) == "component" and key.removesuffix("_lr") in _COMPONENTS
        )

    source.finish(carried, _WHY)
    block: dict[str, Any] = {"enabled": True, "component_lr": {}}
    for component in _COMPONENTS:
        if component != "norm" or component in settings.component_lr:
            block["component_lr"][component] = source.absolute(source.component(component), f"{component}_lr")
    block["depth_strategy"] = settings.depth_strategy if curve else "flat"
    if block["depth_strategy"] != "flat":
        block["min_depth_factor"] = settings.min_depth_factor
    if block["depth_strategy"] == "inverted_u":
        block["peak_position"] = settings.peak_position
    block["default_lr"] = source.absolute(source.default, "the default LR")
    if settings.log_grad_norms:
        block["log_grad_norms"] = True
        job.losses.note("serenity: log_grad_norms is reserved there: it does nothing yet")
    job.losses.note(
        "serenity: there the components are those of diffusers' names; fused modules (kohya's FLUX single blocks) have"
        " no counterpart"
    )
    return json.dumps({PUBLISHED_BLOCK: block}, indent=2) + "\n"


FORMAT = Format(
    name="serenity",
    title="JSON with a per_layer_lr block (Serenity's published system)",
    holds="absolute LRs of self_attn, cross_attn, ffn, norm; a default LR; a depth curve",
    example='{"per_layer_lr": {"enabled": true, "component_lr": {"self_attn": 4e-4}, "depth_strategy": "cosine"}}',
    read=read,
    write=write,
)
