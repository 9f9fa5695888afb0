"""What trains in a live model, whoever put it there: adapters inside it (PEFT's and others'), or the model itself.

Every trained parameter is filed under the module of the model that it changes: an adapter's under the layer it sits on,
a weight under its own layer, a bare parameter of a block under itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from torch import nn

from lr_grid.anatomy.paths import plain
from lr_grid.facts import rank_and_alpha

_ADAPTER = re.compile(r"(?:^|\.)(?:(?:lora|hada|lokr|b?oft|vera|ia3|glora)_\w+|up_list|down_list)(?:\.|$)")
_LEAST_FLAT_PREFIX = 1  # lora_unet_, lycoris_, ...: at least one word stands before the flattened path
_WRAPPERS = ("DistributedDataParallel", "DataParallel", "FullyShardedDataParallel", "DeepSpeedEngine")
_FROZEN_HERE = "_lr_grid_frozen"
"""An attribute of parameters that an LR of 0 froze: a later call still knows them as a part of what trains."""


@dataclass
class TrainedModule:
    """A module of the model and what trains there."""

    path: str
    """Dotted path in the model (of a bare parameter: with its name)."""
    module: nn.Module | None
    """The model's own module; None for a bare parameter of a block."""
    parameters: list[tuple[str, nn.Parameter]] = field(default_factory=list)
    """(name as ``named_parameters()`` of what was given says it, parameter)"""
    rank: int | None = None
    alpha: float | None = None
    frozen_before: list[str] = field(default_factory=list)
    """Names of further parameters, which an earlier call froze."""


def freeze(parameters: Iterable[nn.Parameter]) -> None:
    """Takes parameters out of training, and remembers that an LR of 0 did it."""
    for parameter in parameters:
        parameter.requires_grad_(False)
        parameter.grad = None
        setattr(parameter, _FROZEN_HERE, True)


def unwrap(model: nn.Module) -> nn.Module:
    """The bare model below torch.compile, DistributedDataParallel and its like, and PEFT's wrapper."""
    return list(_layers(model))[-1]


def is_distributed(model: nn.Module) -> bool:
    """Whether DistributedDataParallel has already taken the model: it waits for every gradient that it saw then."""
    return any(type(layer).__name__ == "DistributedDataParallel" for layer in _layers(model))


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    """The model and what it wraps, outermost first."""
    inner: object = model
    while isinstance(inner, nn.Module):
        yield inner
        model, inner = inner, getattr(inner, "_orig_mod", None)
        if inner is None and type(model).__name__ in _WRAPPERS:
            inner = model.module
        if inner is None and hasattr(model, "peft_config") and hasattr(model, "get_base_model"):
            inner = model.get_base_model()  # type: ignore[operator]
        if inner is model:
            return


def trained_modules(model: nn.Module) -> list[TrainedModule]:
    """All that has ``requires_grad`` in a model (or had it until an earlier call froze it), in its own order."""
    paths = {id(module): path for path, module in unwrap(model).named_modules()}
    found: dict[str, TrainedModule] = {}
    for name, parameter, chain in _parameters(model):
        inside = [(paths[id(module)], module) for module in chain if id(module) in paths]
        path, place = _place(name, inside)
        path = plain(path)
        if path not in found:
            found[path] = TrainedModule(path, place, [], *_of_peft_layer(inside))
        _add(found[path], name, parameter)
    modules = list(found.values())
    if any(_ADAPTER.search(name) for module in modules for name, _ in module.parameters):
        # Where adapters train, what was once frozen of the model itself is no part of it.
        modules = [m for m in modules if m.parameters or any(map(_ADAPTER.search, m.frozen_before))]
    return modules


def trained_modules_of_adapter(adapter: nn.Module, model: nn.Module) -> list[TrainedModule]:
    """All that has ``requires_grad`` in an adapter that lives outside the model (kohya's networks, LyCORIS): its
    modules are named after the model's, flattened. What belongs to no module of the model stands under its own name.

    Raises: ValueError where nothing of the adapter belongs to the model.
    """
    bare = unwrap(model)
    layers = [(plain(path), module) for path, module in bare.named_modules() if path and _is_layer(module)]
    by_flat = {path.replace(".", "_"): (path, module) for path, module in layers}
    network = unwrap(adapter)
    prefix = next(name for name, module in adapter.named_modules(remove_duplicate=False) if module is network)
    found: dict[str, TrainedModule] = {}
    known = False
    for full_name, parameter in adapter.named_parameters():
        if not _counts(parameter):
            continue
        name = full_name.removeprefix(f"{prefix}.") if prefix else full_name
        owner = name.partition(".")[0]
        place = _unflatten(owner, by_flat)
        known = known or place is not None
        path, module = place or (owner, None)
        if path not in found:
            own = network.get_submodule(owner) if "." in name else None
            found[path] = TrainedModule(path, module, [], *rank_and_alpha(own))
        _add(found[path], full_name, parameter)
    if found and not known:
        raise ValueError(
            "none of its modules is named after a module of the model. adapter= is for networks beside the model"
            " (kohya's, LyCORIS); PEFT's adapters stand inside it: leave adapter out"
        )
    return list(found.values())


def _is_layer(module: nn.Module) -> bool:
    """Whether a module has weights of its own, not only modules that have."""
    return not any(True for _ in module.children()) or any(True for _ in module.parameters(recurse=False))


def _counts(parameter: nn.Parameter) -> bool:
    return parameter.requires_grad or hasattr(parameter, _FROZEN_HERE)


def _add(module: TrainedModule, name: str, parameter: nn.Parameter) -> None:
    if parameter.requires_grad:
        module.parameters.append((name, parameter))
    else:
        module.frozen_before.append(name)


def _unflatten(name: str, by_flat: dict[str, tuple[str, nn.Module]]) -> tuple[str, nn.Module] | None:
    """``lora_unet_blocks_0_attn1_to_q`` -> (``blocks.0.attn1.to_q``, that module): the longest ending that is one."""
    words = name.split("_")
    endings = ("_".join(words[start:]) for start in range(_LEAST_FLAT_PREFIX, len(words)))
    return next((by_flat[ending] for ending in endings if ending in by_flat), None)


def _parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, list[nn.Module]]]:
    """(name, parameter, the modules it lies in, outermost first) of all that trains; a shared one once."""
    modules = dict(model.named_modules())
    for name, parameter in model.named_parameters():
        if not _counts(parameter):
            continue
        parts = name.split(".")[:-1]
        yield name, parameter, [modules[".".join(parts[:depth])] for depth in range(len(parts) + 1)]


def _place(name: str, inside: list[tuple[str, nn.Module]]) -> tuple[str, nn.Module | None]:
    """(path, module) of the layer that a parameter changes.

    Args:
        inside: (path, module) of the modules it lies in, as far as they are the model's, outermost first.
    """
    if not inside:  # a prompt or another part of the wrapper: no layer of the model
        return name, None
    for path, module in inside:
        base: object = getattr(module, "base_layer", None)  # PEFT puts its layer in the place of the model's
        if isinstance(base, nn.Module):
            return path, _innermost(base)
    for depth in range(1, len(inside)):
        below = inside[depth][0].removeprefix(inside[depth - 1][0]).lstrip(".")
        if inside[depth - 1][0] and _ADAPTER.match(below):
            return inside[depth - 1]
    path, module = inside[-1]
    leaf = name.rpartition(".")[2]
    if (path and _ADAPTER.match(leaf)) or not any(True for _ in module.children()):
        return path, module
    return f"{path}.{leaf}".removeprefix("."), None


def _innermost(layer: nn.Module) -> nn.Module:
    """The model's own layer below one PEFT layer or several."""
    inner: object = getattr(layer, "base_layer", None)
    return _innermost(inner) if isinstance(inner, nn.Module) else layer


def _of_peft_layer(inside: list[tuple[str, nn.Module]]) -> tuple[int | None, float | None]:
    """(rank, alpha) of a PEFT layer's active adapter (the first of several), or of any layer that has them itself."""
    for _, module in inside:
        if hasattr(module, "base_layer"):
            active = (list(getattr(module, "active_adapters", None) or ()) or [""])[0]
            rank, alpha, other = (
                _of_adapter(getattr(module, name, None), active) for name in ("r", "lora_alpha", "alpha")
            )
            alpha = other if alpha is None else alpha
            return None if rank is None else int(rank), alpha
    return None, None


def _of_adapter(value: object, adapter: str) -> float | None:
    """A number that PEFT keeps by adapter, and others as it is."""
    value = value.get(adapter) if isinstance(value, Mapping) else value
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
