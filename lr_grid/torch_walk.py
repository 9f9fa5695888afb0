"""Walks over torch modules for networks of thousands of them: what torch's own walks yield, several times faster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

ORIGINAL = "org_module"
"""What a network module calls the model's own module, which it holds until it is attached."""


def named_modules(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """As ``root.named_modules()``: every module once, under the first path that leads to it."""
    seen: set[int] = set()
    waiting: list[tuple[str, nn.Module]] = [("", root)]
    while waiting:
        path, module = waiting.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        yield path, module
        children = module._modules
        if children:
            dot = f"{path}." if path else ""
            waiting.extend([(dot + name, child) for name, child in reversed(children.items()) if child is not None])


Tensors = tuple[list[tuple[str, "nn.Parameter"]], list[tuple[str, "Tensor"]]]
"""(named parameters, named buffers)"""


def own_tensors(module: nn.Module) -> Tensors:
    """(named parameters, named buffers) of a network module, each once, without those of the model's own module."""
    parameters: list[tuple[str, nn.Parameter]] = []
    buffers: list[tuple[str, Tensor]] = []
    _collect(module, "", parameters, buffers, set())
    return parameters, buffers


def _collect(
    module: nn.Module,
    dot: str,
    parameters: list[tuple[str, nn.Parameter]],
    buffers: list[tuple[str, Tensor]],
    seen: set[int],
) -> None:
    for found, tensors in ((parameters, module._parameters), (buffers, module._buffers)):
        for name, tensor in tensors.items():
            if tensor is not None and id(tensor) not in seen:
                seen.add(id(tensor))
                found.append((dot + name, tensor))  # type: ignore[arg-type]
    for name, child in module._modules.items():
        if child is not None and not (not dot and name.startswith(ORIGINAL)) and id(child) not in seen:
            seen.add(id(child))
            _collect(child, f"{dot}{name}.", parameters, buffers, seen)


def has_parameters(module: nn.Module) -> bool:
    """Whether a module holds any parameter."""
    if any(parameter is not None for parameter in module._parameters.values()):
        return True
    return any(child is not None and has_parameters(child) for child in module._modules.values())


def held(module: Any, name: str) -> Any:
    """As ``getattr(module, name, None)``, without the cost of torch's message where there is no such attribute."""
    try:
        own = module.__dict__
        if name in own:
            return own[name]
        for store in (own["_parameters"], own["_buffers"], own["_modules"]):
            if name in store:
                return store[name]
        return getattr(module, name) if hasattr(type(module), name) else None
    except (AttributeError, KeyError):  # no torch module: a stand-in, None
        return getattr(module, name, None)
