"""What trains in a live model, whoever put it there: adapters inside it (PEFT's and others'), or the model itself.

Every trained parameter is filed under the module of the model that it changes: an adapter's under the layer it sits on,
a weight under its own layer, a bare parameter of a block under itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import nn

_ADAPTER = re.compile(r"(?:^|\.)(?:lora_|hada_|lokr_|oft_|boft_|vera_|ia3_|glora_|adapter_|up_list|down_list)")
_LEAST_FLAT_PREFIX = 1  # lora_unet_, lycoris_, ...: at least one word stands before the flattened path


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


def unwrap(model: nn.Module) -> nn.Module:
    """The bare model below torch.compile, DistributedDataParallel and PEFT's wrapper."""
    while True:
        inner: object = getattr(model, "_orig_mod", None)
        if inner is None and type(model).__name__ in ("DistributedDataParallel", "DataParallel"):
            inner = model.module
        if inner is None and hasattr(model, "peft_config") and hasattr(model, "get_base_model"):
            inner = model.get_base_model()  # type: ignore[operator]
        if not isinstance(inner, nn.Module) or inner is model:
            return model
        model = inner


def trained_modules(model: nn.Module) -> list[TrainedModule]:
    """All that has ``requires_grad`` in a model, in its own order."""
    paths = {id(module): path for path, module in unwrap(model).named_modules()}
    found: dict[str, TrainedModule] = {}
    for name, parameter, chain in _parameters(model):
        inside = [(paths[id(module)], module) for module in chain if id(module) in paths]
        path, place = _place(name, inside)
        if path not in found:
            found[path] = TrainedModule(path, place, [], *_rank_and_alpha(inside))
        found[path].parameters.append((name, parameter))
    return list(found.values())


def trained_modules_of_adapter(adapter: nn.Module, model: nn.Module) -> list[TrainedModule]:
    """All that has ``requires_grad`` in an adapter that lives outside the model (kohya's networks, LyCORIS): its
    modules are named after the model's, flattened. What belongs to no module of the model stands under its own name."""
    bare = unwrap(model)
    by_flat = {path.replace(".", "_"): (path, module) for path, module in bare.named_modules() if path}
    found: dict[str, TrainedModule] = {}
    for name, parameter in adapter.named_parameters():
        if not parameter.requires_grad:
            continue
        owner = name.partition(".")[0]
        path, place = _unflatten(owner, by_flat) or (owner, None)
        if path not in found:
            module = adapter.get_submodule(owner) if "." in name else None
            alpha = getattr(module, "alpha", None)
            found[path] = TrainedModule(
                path, place, [], getattr(module, "lora_dim", None), None if alpha is None else float(alpha)
            )
        found[path].parameters.append((name, parameter))
    return list(found.values())


def _unflatten(name: str, by_flat: dict[str, tuple[str, nn.Module]]) -> tuple[str, nn.Module] | None:
    """``lora_unet_blocks_0_attn1_to_q`` -> (``blocks.0.attn1.to_q``, that module): the longest ending that is one."""
    words = name.split("_")
    endings = ("_".join(words[start:]) for start in range(_LEAST_FLAT_PREFIX, len(words)))
    return next((by_flat[ending] for ending in endings if ending in by_flat), None)


def _parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, list[nn.Module]]]:
    """(name, parameter, the modules it lies in, outermost first) of all that trains; a shared one once."""
    modules = dict(model.named_modules())
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
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
        below = inside[depth][0].removeprefix(inside[depth - 1][0])
        if _ADAPTER.match(below):
            return inside[depth - 1]
    path, module = inside[-1]
    leaf = name.rpartition(".")[2]
    if _ADAPTER.match(leaf) or not any(True for _ in module.children()):
        return path, module
    return f"{path}.{leaf}".removeprefix("."), None


def _innermost(layer: nn.Module) -> nn.Module:
    """The model's own layer below one PEFT layer or several."""
    inner: object = getattr(layer, "base_layer", None)
    return _innermost(inner) if isinstance(inner, nn.Module) else layer


def _rank_and_alpha(inside: list[tuple[str, nn.Module]]) -> tuple[int | None, float | None]:
    """Of a PEFT layer's active adapter."""
    for _, module in inside:
        if hasattr(module, "base_layer"):
            active = (list(getattr(module, "active_adapters", ())) or [""])[0]
            rank = (getattr(module, "r", None) or {}).get(active)
            alpha = (getattr(module, "lora_alpha", None) or getattr(module, "alpha", None) or {}).get(active)
            return rank, None if alpha is None else float(alpha)
    return None, None
