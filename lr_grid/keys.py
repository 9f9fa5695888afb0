"""The keys of the settings grammar, and how the value of each is parsed. Nothing here knows a model.

With ``te_`` in front, a key speaks of all text encoders, with ``te1_``, ``te2_``, ``te3_`` of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lr_grid import rank_settings, values
from lr_grid.blocks import parse_block_values, parse_indices
from lr_grid.depth import CURVES
from lr_grid.errors import did_you_mean
from lr_grid.module_rules import parse_module_rules
from lr_grid.values import is_list
from lr_grid.words import COMPONENTS

_SECTION = re.compile(r"(te[123]?)_(.+)")
ENCODERS = ("te1", "te2", "te3")
EVERY_ENCODER = "te_"
"""What the keys begin with that speak of all text encoders."""
_INDICES = re.compile(r"(train|exclude)_(?:([A-Za-z]\w*?)_)?block_indices")


def _choice(allowed: tuple[str, ...]) -> Callable[[object], str]:
    def parse(value: object) -> str:
        word = str(value).strip().lower()
        if word not in allowed:
            raise ValueError(f"{value!r} is unknown; allowed: {', '.join(allowed)}.{did_you_mean(word, allowed)}")
        return word

    return parse


def _levels(value: object) -> int:
    levels = values.count(value)
    if levels == 1:
        raise ValueError("1 level would be flat: give 0 (exact) or 2 and more")
    return levels


def no_component(name: str) -> str:
    """What is wrong with a name that is no component."""
    return f"{name!r} is no component; there are {', '.join(COMPONENTS)}.{did_you_mean(name, COMPONENTS)}"


def _components(value: object) -> frozenset[str]:
    words = value if is_list(value) else str(value).split(",")
    names = [str(word).strip() for word in words if str(word).strip()]
    for name in names:
        if name not in COMPONENTS:
            raise ValueError(no_component(name))
    if not names:
        raise ValueError(f"is empty; components are {', '.join(COMPONENTS)}")
    return frozenset(names)


Parser = Callable[[Any], Any]

RANK_PARSERS: dict[str, Parser] = rank_settings.parsers(_choice(tuple(CURVES)))
PARSERS: dict[str, Parser] = {
    "per_layer_lr": values.flag,
    **{f"{component}_lr": values.rate for component in COMPONENTS},
    "default_lr": values.rate,
    "depth_strategy": _choice(tuple(CURVES)),
    "min_depth_factor": values.fraction,
    "peak_position": values.fraction,
    "depth_scope": _choice(("stack", "model")),
    "depth_levels": _levels,
    "block_lr_weight": lambda value: parse_block_values(value, values.number),
    "block_lr": lambda value: parse_block_values(value, values.rate),
    "module_lr": lambda value: parse_module_rules(value, values.rate),
    **{
        f"{way}_{what}": parse
        for way in ("train", "exclude")
        for what, parse in (
            ("components", _components),
            ("block_indices", parse_indices),
            ("double_block_indices", parse_indices),
            ("single_block_indices", parse_indices),
        )
    },
    "loraplus_lr_ratio": values.ratio,
    "loraplus_unet_lr_ratio": values.ratio,
    "loraplus_text_encoder_lr_ratio": values.ratio,
    **{f"loraplus_{component}_lr_ratio": values.ratio for component in COMPONENTS},
    **RANK_PARSERS,
    "log_grad_norms": values.flag,
    "resume_grid": _choice(("remap", "keep", "error")),
}
OF_THE_RUN = frozenset({"log_grad_norms", "resume_grid"})
"""Keys that say how a run goes, not which LRs or ranks it has: they do not switch a grid on."""
PRESET_KEYS = ("preset", "grid_preset")
"""Both name a preset; the second is for wrapped modules with a ``preset`` of their own (LyCORIS)."""
SOURCES = frozenset({"grid", *PRESET_KEYS})
"""Keys that say where settings are to be had."""
KEYS = frozenset({*PARSERS, "component_lr", *SOURCES})
# What a text encoder can be given: it has one stack, no convolution, and rules by regex reach it without a key of its
# own.
_NOT_OF_ENCODERS = {
    *("per_layer_lr", "depth_scope", "module_lr", "module_dims", "module_alphas", *SOURCES),
    *("conv_block_dims", "conv_block_alphas", *OF_THE_RUN),
    *(f"{way}_{stack}_block_indices" for way in ("train", "exclude") for stack in ("double", "single")),
    *("loraplus_unet_lr_ratio", "loraplus_text_encoder_lr_ratio"),
}
ENCODER_KEYS = KEYS - _NOT_OF_ENCODERS
HINTS = (KEYS - {"grid"}) | {f"te_{key}" for key in ENCODER_KEYS}


def split_section(key: str) -> tuple[str, str]:
    """``te1_ffn_lr`` -> ("te1", "ffn_lr"); ``ffn_lr`` -> ("", "ffn_lr")."""
    match = _SECTION.fullmatch(key)
    return (match[1], match[2]) if match else ("", key)


def is_indices(key: str) -> bool:
    """Whether a key is ``train_block_indices`` or ``train_<stack>_block_indices`` of any stack of the U-Net or DiT, or
    the same with ``exclude_``."""
    return _INDICES.fullmatch(key) is not None


def stack_of_indices(key: str) -> tuple[str, str | None]:
    """``train_double_block_indices`` -> ("train", "double"); None stands for the model's only stack."""
    match = _INDICES.fullmatch(key)
    assert match is not None
    return match[1], match[2]


def indices_key(way: str, stack: str | None) -> str:
    """``("exclude", "double")`` -> ``exclude_double_block_indices``."""
    return f"{way}_{stack}_block_indices" if stack else f"{way}_block_indices"


def is_grid_key(key: str) -> bool:
    """Whether a key belongs to the grammar."""
    section, name = split_section(key)
    return name in ENCODER_KEYS if section else key in KEYS or is_indices(key)
