"""Walks over torch modules for networks of thousands of them: what torch's own walks yield, several times faster."""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

ORIGINAL = "org_module"
"""What a network module calls the model's own module, which it holds until it is attached."""


def paths_of(wanted: Container[int], root: nn.Module) -> dict[int, tuple[str, nn.Module]]:
    """Where modules stand in a model: id -> (the first path that leads to it, as ``named_modules`` says it; itself).

    Args:
        wanted: their ids; what the model does not hold is left out.
    """
    found = {id(root): ("", root)} if id(root) in wanted else {}
    _find(wanted, root, "", found)
    return found


def _find(wanted: Container[int], module: nn.Module, dot: str, found: dict[int, tuple[str, nn.Module]]) -> None:
    for name, child in module._modules.items():
        if child is None:
            continue
        key = id(child)
        if key in wanted and key not in found:
            found[key] = (dot + name, child)
        if child._modules:
            _find(wanted, child, f"{dot}{name}.", found)


Tensors = tuple[list[tuple[str, "nn.Parameter"]], list[tuple[str, "Tensor"]]]
"""(named parameters, named buffers)"""


def own_tensors(module: nn.Module) -> Tensors:
    """(named parameters, named buffers) of a network module, each once, without those of the model's own module."""
    parameters: dict[int, tuple[str, nn.Parameter]] = {}
    buffers: dict[int, tuple[str, Tensor]] = {}
    children = {name: child for name, child in module._modules.items() if not name.startswith(ORIGINAL)}
    _collect(module, children, "", parameters, buffers)
    return list(parameters.values()), list(buffers.values())


def _collect(
    module: nn.Module,
    children: Mapping[str, nn.Module | None],
    dot: str,
    parameters: dict[int, tuple[str, nn.Parameter]],
    buffers: dict[int, tuple[str, Tensor]],
) -> None:
    """By id; of two names the first stays."""
    if module._parameters:
        for name, parameter in module._parameters.items():
            if parameter is not None and id(parameter) not in parameters:
                parameters[id(parameter)] = dot + name, parameter
    if module._buffers:
        for name, buffer in module._buffers.items():
            if buffer is not None and id(buffer) not in buffers:
                buffers[id(buffer)] = dot + name, buffer
    for name, child in children.items():
        if child is not None:
            _collect(child, child._modules, f"{dot}{name}.", parameters, buffers)


def has_parameters(module: nn.Module) -> bool:
    """Whether a module holds any parameter."""
    if any(parameter is not None for parameter in module._parameters.values()):
        return True
    return any(child is not None and has_parameters(child) for child in module._modules.values())


@cache  # a look through a dozen base classes for what they do not have
def _is_of_class(cls: Any, name: str) -> bool:
    return hasattr(cls, name)


def held(module: Any, name: str) -> Any:
    """As ``getattr(module, name, None)``, without the cost of torch's message where there is no such attribute."""
    try:
        own = module.__dict__
        if name in own:
            return own[name]
        for store in (own["_modules"], own["_parameters"], own["_buffers"]):
            if name in store:
                return store[name]
        kind: Any = type(module)
        return getattr(module, name) if _is_of_class(kind, name) else None
    except (AttributeError, KeyError):  # no torch module: a stand-in, None
        return getattr(module, name, None)
