"""The keys of the settings grammar, and how the value of each is parsed. Nothing here knows a model.

With ``te_`` in front, a key speaks of all text encoders, with ``te1_``, ``te2_``, ``te3_`` of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lr_grid import values
from lr_grid.blocks import parse_block_values, parse_indices
from lr_grid.depth import CURVES
from lr_grid.errors import did_you_mean
from lr_grid.values import RATE, Rate, is_list
from lr_grid.words import COMPONENTS

_SECTION = re.compile(r"(te[123]?)_(.+)")
ENCODERS = ("te1", "te2", "te3")
EVERY_ENCODER = "te_"
"""What the keys begin with that speak of all text encoders."""
_TRAIN_INDICES = re.compile(r"train_(?:([A-Za-z]\w*?)_)?block_indices")


@dataclass(frozen=True, slots=True)
class ModuleRule:
    """``regex:LR`` of module_lr (or of upstream's network_reg_lrs)."""

    pattern: re.Pattern[str]
    rate: Rate
    whole: bool = False
    """True: it must match the whole dotted path. False: it is searched in the path or the LoRA name."""


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


def parse_module_rules(value: object) -> tuple[ModuleRule, ...]:
    """``regex:1e-4,regex:0.5x``, or a table / list of such (file). A regex may hold commas and colons.

    Raises: ValueError, naming the regex.
    """
    pairs: list[tuple[str, object]]
    if isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        text = ",".join(map(str, value)) if is_list(value) else str(value).strip()
        pairs, rest = [], text
        while rest:
            match = re.match(rf"(.+?):\s*({RATE})\s*(?:,|$)", rest)
            if not match:
                raise ValueError(f"{rest!r} is not regex:LR (e.g. double_blocks\\.0\\.:1e-4,img_mlp:0.5x)")
            pairs.append((match[1].strip(), match[2]))
            rest = rest[match.end() :].strip()
    if not pairs:
        raise ValueError("is empty; write regex:LR")
    rules = []
    for pattern, raw in pairs:
        try:
            rules.append(ModuleRule(re.compile(pattern), values.rate(raw)))
        except (re.error, OverflowError) as error:
            raise ValueError(f"the regex {pattern!r} does not compile: {error}") from None
    return tuple(rules)


Parser = Callable[[Any], Any]

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
    "module_lr": parse_module_rules,
    "train_components": _components,
    "train_block_indices": parse_indices,
    "train_double_block_indices": parse_indices,
    "train_single_block_indices": parse_indices,
    "loraplus_lr_ratio": values.ratio,
    "loraplus_unet_lr_ratio": values.ratio,
    "loraplus_text_encoder_lr_ratio": values.ratio,
    **{f"loraplus_{component}_lr_ratio": values.ratio for component in COMPONENTS},
}
KEYS = frozenset({*PARSERS, "component_lr", "grid"})
# What a text encoder can be given: it has one stack, and module_lr reaches it without a key of its own.
_NOT_OF_ENCODERS = {
    *("per_layer_lr", "depth_scope", "module_lr", "grid"),
    *("train_double_block_indices", "train_single_block_indices"),
    *("loraplus_unet_lr_ratio", "loraplus_text_encoder_lr_ratio"),
}
ENCODER_KEYS = KEYS - _NOT_OF_ENCODERS
HINTS = (KEYS - {"grid"}) | {f"te_{key}" for key in ENCODER_KEYS}


def split_section(key: str) -> tuple[str, str]:
    """``te1_ffn_lr`` -> ("te1", "ffn_lr"); ``ffn_lr`` -> ("", "ffn_lr")."""
    match = _SECTION.fullmatch(key)
    return (match[1], match[2]) if match else ("", key)


def is_train_indices(key: str) -> bool:
    """Whether a key is ``train_block_indices`` or ``train_<stack>_block_indices`` of any stack of the U-Net or DiT."""
    return _TRAIN_INDICES.fullmatch(key) is not None


def stack_of_indices(key: str) -> str | None:
    """``train_double_block_indices`` -> "double"; None for ``train_block_indices``: the model's only stack."""
    match = _TRAIN_INDICES.fullmatch(key)
    return match[1] if match else None


def is_grid_key(key: str) -> bool:
    """Whether a key belongs to the grammar."""
    section, name = split_section(key)
    return name in ENCODER_KEYS if section else key in KEYS or is_train_indices(key)
