"""Checks of the arguments that are handed on to the wrapped module: what it would drop or stumble over is told."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from typing import Any

from lr_grid.errors import Problems, did_you_mean
from lr_grid.keys import is_indices

# sd-scripts passes these itself, whether the module reads them or not (train_network.py, create_network call).
INJECTED = frozenset({"dropout", "neuron_dropout"})
# What people take from documentation of LyCORIS and try on a plain LoRA, where it does nothing.
LYCORIS_ONLY = frozenset(
    {"algo", "preset", "dora_wd", "use_tucker", "use_scalar", "train_norm", "use_cp", "use_conv_cp"}
)

# What people put into --network_args though it is an option of the trainer.
TRAINER_OPTIONS = frozenset(
    {"unet_lr", "text_encoder_lr", "learning_rate", "network_dim", "network_alpha", "network_dropout"}
)

NO_UP_SIDE = "loraplus: no module of this network has an up side (lora_up), so LoRA+ sets nothing"

BLOCK_WEIGHTS = ("down_lr_weight", "mid_lr_weight", "up_lr_weight")
_CURVES = ("cosine", "sine", "linear", "reverse_linear", "zeros")
"""Curves of networks.lora's down_lr_weight and up_lr_weight (its linear rises, the grid's falls)."""


def check_arguments(
    base: str, known: frozenset[str] | None, arguments: Mapping[str, Any], grid_keys: frozenset[str], problems: Problems
) -> None:
    """Notes arguments that the wrapped module does not take: it would ignore them silently.

    Args:
        known: the keys it takes, or None where its source cannot be read (then nothing is noted).
        grid_keys: the grid's own, for did-you-mean.
    """
    if known is None:
        return
    for key in arguments:
        # The trainer hands dropout over as a number; text is the user's.
        if (key in INJECTED and not isinstance(arguments[key], str)) or (key in known and key != "neuron_dropout"):
            continue
        hint = did_you_mean(key, [*grid_keys, *known])
        if key in LYCORIS_ONLY and not base.startswith("lycoris"):
            module = "lr_grid.musubi.lycoris_grid" if base.startswith("musubi_tuner.") else "networks.lycoris_grid"
            hint = f" It belongs to LyCORIS: use --network_module {module}."
        elif key in TRAINER_OPTIONS:
            hint = f" It is the trainer's own option: give --{key}."
        elif key in INJECTED:
            hint = " Give the trainer's --network_dropout."
        elif key == "network_reg_lrs":
            hint = " module_lr does the same (regex:LR)."
        elif key.endswith("_rank") and f"{key.removesuffix('_rank')}_dim" in grid_keys:
            hint = f" Did you mean {key.removesuffix('_rank')}_dim?"
        elif key == "te_lr":
            hint = " Did you mean te_default_lr (or the trainer's --text_encoder_lr)?"
        problems.add(f"{key}: neither lr-grid nor {base} takes this argument ({base} would ignore it silently).{hint}")


def check_regex_pairs(arguments: Mapping[str, Any], problems: Problems) -> None:
    """Notes what upstream drops with a warning or in silence in ``network_reg_lrs`` and ``network_reg_dims``."""
    for key, parse in (("network_reg_lrs", float), ("network_reg_dims", int)):
        for pair in str(arguments.get(key) or "").split(","):
            pattern, equals, value = (text.strip() for text in pair.partition("="))
            if not pair.strip():
                continue
            if not equals:
                problems.add(
                    f"{key}: {pair.strip()!r} is not regex=value (upstream splits at every comma, so a regex with a"
                    " comma cannot be given here; module_lr takes one)"
                )
                continue
            try:
                re.compile(pattern)
                parse(value)
            except (re.error, OverflowError) as error:
                problems.add(f"{key}: the regex {pattern!r} does not compile: {error}")
            except ValueError:
                problems.add(
                    f"{key}: {value!r} (for {pattern!r}) is not a {'number' if parse is float else 'whole number'}"
                )


def about_reg_dims(passed: Mapping[str, Any], given: Collection[str]) -> list[str]:
    """A line about block indices beside network_reg_dims, where a grid obeys them.

    Args:
        given: the grid's keys that were given.
    """
    if "network_reg_dims" in passed and any(map(is_indices, given)) and set(given) - passed.keys():
        return ["train_*_block_indices holds for the modules of network_reg_dims, too (not so without a grid)"]
    return []


def check_patterns(base: str, arguments: Mapping[str, Any], problems: Problems) -> None:
    """Notes ``exclude_patterns`` and ``include_patterns`` that are no list of regexes: musubi-tuner crashes, or reads a
    text as a regex per letter."""
    for key in ("exclude_patterns", "include_patterns"):
        if key not in arguments:
            continue
        try:
            given = ast.literal_eval(str(arguments[key]))
            patterns = [given] if base == "networks.lora_anima" and isinstance(given, str) else given
            if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
                raise ValueError
        except (ValueError, SyntaxError):
            problems.add(f"{key}: {arguments[key]!r} is not a list of regexes: write {key}=['.*mlp.*','.*attn.*']")
            continue
        for pattern in patterns:
            try:
                re.compile(pattern)
            except (re.error, OverflowError) as error:
                problems.add(f"{key}: the regex {pattern!r} does not compile: {error}")


def check_block_curves(arguments: Mapping[str, Any], problems: Problems) -> None:
    """Notes ``down_lr_weight``, ``mid_lr_weight``, ``up_lr_weight`` that upstream would stumble over."""
    for key in BLOCK_WEIGHTS:
        value = arguments.get(key)
        if value is None:
            continue
        text = str(value)
        is_list = "," in text or key == "mid_lr_weight"
        name, _, base = text.partition("+")
        try:
            for number in text.split(",") if is_list else [base or "0"]:
                float(number or 0)  # upstream reads an empty place as 0
        except ValueError:
            problems.add(f"{key}: {text!r} holds something that is not a number")
        if not is_list and name not in _CURVES:
            problems.add(
                f"{key}: {name!r} is neither a list of numbers nor a curve; curves are {', '.join(_CURVES)},"
                f" each with +base if wanted (sine+.5).{did_you_mean(name, _CURVES)}"
            )


def no_convs(base: str, family: str) -> str:
    """What is wrong with a conv_dim where there is no convolution larger than 1x1."""
    return f"conv_dim: {base} trains no convolution larger than 1x1 in {family}: leave it out"
