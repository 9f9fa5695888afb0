"""The wrapped network module: importing it, and what its networks hold."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from torch import nn

from lr_grid.errors import GridError
from lr_grid.passed_on import BLOCK_WEIGHTS
from lr_grid.settings import ModuleRule
from lr_grid.values import Rate


def load_base(name: str) -> ModuleType:
    """Imports the wrapped network module.

    Raises: GridError where it cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(missing + "."):
            cure = "is the name right? sd-scripts' own modules are found only by its scripts"
            if name.startswith("lycoris"):
                cure = "pip install lycoris-lora"
            raise GridError([f"the network module {name} was not found ({cure})"]) from error
        raise


def parse_regex_lrs(text: str) -> dict[str, float]:
    """``regex=LR,regex=LR`` (network_reg_lrs, already checked) as regex -> absolute LR."""
    pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
    return {pattern.strip(): float(lr) for pattern, _, lr in pairs}


def regex_rules(network: nn.Module) -> tuple[ModuleRule, ...]:
    """The network's ``network_reg_lrs``, as rules on the LoRA name (upstream's re.search, first match wins)."""
    rules = getattr(network, "reg_lrs", None) or {}
    return tuple(ModuleRule(re.compile(pattern), Rate(float(lr))) for pattern, lr in rules.items())


def block_weights(base: ModuleType, arguments: Mapping[str, Any], is_sdxl: bool) -> list[float] | None:
    """``down_lr_weight``, ``mid_lr_weight``, ``up_lr_weight`` as one weight a block in kohya's numbering, worked out by
    the wrapped module itself; None where they are not given."""
    if not any(key in arguments for key in BLOCK_WEIGHTS):
        return None
    parse = getattr(base, "parse_block_lr_kwargs", None)
    if parse is None:
        raise GridError([f"{base.__name__}'s block weights cannot be read beside a grid: give block_lr_weight instead"])
    weights = parse(is_sdxl, dict(arguments))
    return None if weights is None else [float(weight) for weight in weights]


def network_modules(network: nn.Module, base: str) -> list[nn.Module]:
    """The network's modules (one LoRA pair each), text encoders first, in upstream's order.

    Raises: GridError for a network that does not keep them in upstream's two lists.
    """
    lists = [getattr(network, name, None) for name in ("text_encoder_loras", "unet_loras")]
    if lists[1] is None:
        raise GridError([f"{base} keeps its modules in an unknown way (no list unet_loras): lr-grid cannot grid it"])
    return [module for modules in lists for module in modules or []]


def drop_modules(network: nn.Module, names: set[str]) -> None:
    """Takes modules out of the network before apply_to: no LoRA is made for them."""
    for attribute in ("text_encoder_loras", "unet_loras", "loras"):
        modules = getattr(network, attribute, None)
        if isinstance(modules, list):
            setattr(network, attribute, [m for m in modules if m.lora_name not in names])
