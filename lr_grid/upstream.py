"""The wrapped network module: importing it, and what its networks hold."""

from __future__ import annotations

import copy
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lr_grid.errors import GridError
from lr_grid.module_rules import ModuleRule
from lr_grid.passed_on import BLOCK_WEIGHTS
from lr_grid.torch_walk import has_parameters, held, own_tensors
from lr_grid.values import Rate

if TYPE_CHECKING:
    from torch import nn

_MAIN_LISTS = ("unet_loras", "unet_ofts")
_LISTS = ("text_encoder_loras", *_MAIN_LISTS)
_ONES = [1.0] * 12


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
            elif name.startswith("musubi_tuner."):
                cure = "it belongs to musubi-tuner and is found in its environment; in sd-scripts use networks.*_grid"
            raise GridError([f"the network module {name} was not found ({cure})"]) from error
        raise


@contextmanager
def keep_presets(base: ModuleType) -> Iterator[None]:
    """Puts class attributes back that a preset changes: LyCORIS keeps its presets on the class, where they would reach
    into the next network of the process."""
    classes = [cls for cls in vars(base).values() if isinstance(cls, type) and "apply_preset" in vars(cls)]
    kept = [
        (cls, name, copy.deepcopy(value))
        for cls in classes
        for name, value in vars(cls).items()
        if name.isupper() and isinstance(value, (list, dict, bool, str))
    ]
    try:
        yield
    finally:
        for cls, name, value in kept:
            setattr(cls, name, value)


def parse_regex_pairs(text: str) -> dict[str, str]:
    """``regex=value,regex=value`` (network_reg_lrs, network_reg_dims, already checked) as regex -> value."""
    pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
    return {pattern.strip(): value.strip() for pattern, _, value in pairs}


def parse_regex_lrs(text: str) -> dict[str, float]:
    """network_reg_lrs, already checked, as regex -> absolute LR."""
    return {pattern: float(lr) for pattern, lr in parse_regex_pairs(text).items()}


def regex_rules(network: nn.Module, modules: Sequence[nn.Module]) -> tuple[ModuleRule[Rate], ...]:
    """The network's ``network_reg_lrs`` as rules, first match wins: searched in the LoRA name, or, where the network
    keeps the model's own names (networks.lora_anima), matched against the whole dotted path."""
    rules = getattr(network, "reg_lrs", None) or {}
    whole = any(hasattr(module, "original_name") for module in modules)
    return tuple(ModuleRule(re.compile(pattern), Rate(float(lr)), whole) for pattern, lr in rules.items())


def regex_dims(network: nn.Module, modules: Sequence[nn.Module]) -> tuple[ModuleRule[int], ...]:
    """The network's ``network_reg_dims`` as rules, matched as its ``network_reg_lrs``."""
    rules = getattr(network, "reg_dims", None) or {}
    whole = any(hasattr(module, "original_name") for module in modules)
    return tuple(ModuleRule(re.compile(pattern), int(rank), whole) for pattern, rank in rules.items())


def block_weights(base: ModuleType, arguments: Mapping[str, Any], is_sdxl: bool) -> list[float] | None:
    """``down_lr_weight``, ``mid_lr_weight``, ``up_lr_weight`` as one weight a block in kohya's numbering, worked out by
    the wrapped module itself; None where they are not given.

    Raises: GridError where it has none, or none for this model.
    """
    if not any(key in arguments for key in BLOCK_WEIGHTS):
        return None
    parse = getattr(base, "parse_block_lr_kwargs", None)
    if parse is None:
        raise GridError([f"{base.__name__}'s block weights cannot be read beside a grid: give block_lr_weight instead"])
    if len(inspect.signature(parse).parameters) == 1:  # networks.lora_fa: SD1.x and SD2.x only, three lists
        if is_sdxl:
            raise GridError([f"{base.__name__} has no block weights for SDXL: give block_lr_weight"])
        down, mid, up = parse(dict(arguments))
        weights = [*(down or _ONES), 1.0 if mid is None else mid, *(up or _ONES)]
    else:
        weights = parse(is_sdxl, dict(arguments))
    return None if weights is None else [float(weight) for weight in weights]


def network_modules(network: nn.Module, base: str) -> list[nn.Module]:
    """The network's modules that train anything (one LoRA pair each), text encoders first, in upstream's order.

    Raises: GridError for a network that does not keep them in upstream's lists.
    """
    if not any(hasattr(network, name) for name in _MAIN_LISTS):
        raise GridError([f"{base} keeps its modules in an unknown way (no list unet_loras): lr-grid cannot grid it"])
    lists = [getattr(network, name, None) for name in _LISTS]
    # LyCORIS makes an empty module of a norm that it cannot train (RMSNorm).
    return [module for modules in lists for module in modules or [] if has_parameters(module)]


def module_name(module: nn.Module) -> str:
    """The network's own name of a module (OFT calls it oft_name)."""
    return str(held(module, "lora_name") or module.oft_name)


def all_parameters(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """(name, parameter) of a network module, without the model's own module, which it holds until it is attached."""
    return own_tensors(module)[0]


def own_parameters(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """(name, parameter) of all that a network module would train. Before apply_to a module also holds the model's own
    module, which is left out; LoRA-FA says itself that its lora_down stays as it is."""
    return trained_of(module, all_parameters(module))


def trained_of(module: nn.Module, named: list[tuple[str, nn.Parameter]]) -> list[tuple[str, nn.Parameter]]:
    """Of a network module's parameters those that it would train."""
    chosen = held(module, "get_trainable_params")
    if chosen is None:
        return named
    ids = {id(parameter) for parameter in chosen()}
    return [(name, parameter) for name, parameter in named if id(parameter) in ids]


def replace_modules(network: nn.Module, new: Mapping[str, nn.Module | None]) -> None:
    """Puts other modules into their places in the network, by name, before apply_to; None: no LoRA is made there."""
    for attribute in (*_LISTS, "loras"):
        modules = getattr(network, attribute, None)
        if isinstance(modules, list):
            placed = [new.get(module_name(m), m) for m in modules]
            setattr(network, attribute, [module for module in placed if module is not None])
