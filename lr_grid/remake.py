"""Network modules made again with another rank or alpha, before they are attached to the model.

How a module was made is noted while the wrapped module makes its network: each call of a module class's constructor,
whole. So whatever a class takes (split_dims, GGPO, DyLoRA's unit, LoKr's factor, the options of LyCORIS' algorithms) is
handed on, in classes that nobody has heard of yet, too.
"""

from __future__ import annotations

import functools
import inspect
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import nn

from lr_grid.upstream import all_parameters, module_name, own_parameters
from lr_grid.values import Rate

_CALL = "_lr_grid_call"
"""Attribute of a network module: the call that made it."""
_RANK_NAMES = ("lora_dim", "dim")
"""What constructors call the rank (OFT, for whom it is the number of blocks: dim)."""


@dataclass(frozen=True, slots=True)
class Call:
    """How a network module was made."""

    arguments: inspect.BoundArguments
    rank_name: str

    @property
    def original(self) -> nn.Module:
        """The model's own module."""
        return self.arguments.arguments["org_module"]

    @property
    def rank(self) -> int:
        """The rank that was asked for."""
        return int(self.arguments.arguments[self.rank_name])

    @property
    def alpha(self) -> Rate:
        """The alpha that was asked for; none, or 0, is the rank, whatever that becomes."""
        alpha = self.arguments.arguments["alpha"]
        return Rate(1.0, relative=True) if alpha is None or float(alpha) == 0 else Rate(float(alpha))


@contextmanager
def noted(base: ModuleType) -> Iterator[None]:
    """While it lasts, every network module that is made notes how (``call_of``)."""
    classes = _module_classes(base)
    for cls in classes:
        cls.__init__ = _noting(cls.__init__)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for cls in classes:
            cls.__init__ = vars(cls)["__init__"].__wrapped__  # type: ignore[method-assign]


def call_of(module: nn.Module) -> Call | None:
    """How a module was made; None where that is not known, or it has no rank."""
    return vars(module).get(_CALL)


def forget_calls(modules: list[nn.Module]) -> None:
    """Drops the notes (they hold the model's modules)."""
    for module in modules:
        vars(module).pop(_CALL, None)


def remade(module: nn.Module, rank: int, alpha: float) -> nn.Module:
    """A module like this one with another rank or alpha.

    Where only alpha differs the weights are kept. Where the rank differs they are drawn anew, from the run's seed and
    the module's name: they depend on no other module's rank, and the run's random numbers (noise, order of the images)
    stay those of a run without rank settings.

    Args:
        module: one made under ``noted``, not yet attached.
        alpha: absolute.

    Raises: what its class says of a rank that it cannot have (AssertionError, ValueError).
    """
    call = call_of(module)
    assert call is not None, "made outside of noted()"
    new = _make(type(module), call, rank, alpha, module_name(module))
    for key, value in vars(module).items():
        if key not in vars(new):  # what the network told the module after it was made (original_name)
            new.__dict__[key] = value
    if rank == call.rank:
        kept = dict(all_parameters(module))
        for key, parameter in all_parameters(new):
            parameter.data.copy_(kept[key].data)
    new.train(module.training)
    return new


class ParameterCounts:
    """How many parameters a module would train at a rank: counted on a module made for it and thrown away."""

    def __init__(self) -> None:
        self._known: dict[Any, int] = {}

    def of(self, module: nn.Module, rank: int) -> int:
        """The number at ``rank``. Modules of one class and shape are counted once.

        Raises: as ``remade``.
        """
        call = call_of(module)
        assert call is not None, "made outside of noted()"
        options = {
            k: repr(v) for k, v in call.arguments.arguments.items() if k not in ("lora_name", "oft_name", "self")
        }
        shape = getattr(getattr(call.original, "weight", None), "shape", None)
        options |= {"org_module": f"{call.original!r} {shape}", call.rank_name: ""}
        key = (type(module), tuple(options.items()), rank)
        if key not in self._known:
            probe = module if rank == call.rank else _probe(module, call, rank)
            self._known[key] = sum(parameter.numel() for _, parameter in own_parameters(probe))
        return self._known[key]


def _probe(module: nn.Module, call: Call, rank: int) -> nn.Module:
    """A module to count: without memory, where its class can be made so."""
    alpha = call.alpha.resolve(rank)
    try:
        with torch.device("meta"):
            return _make(type(module), call, rank, alpha, "")
    except (RuntimeError, NotImplementedError):
        return _make(type(module), call, rank, alpha, "")


def _module_classes(base: ModuleType) -> list[type[nn.Module]]:
    """The classes of network modules that a base may make: those that it, or what it imports, knows, and LyCORIS' table
    of algorithms."""
    # Where its functions and classes come from: a base may build on another's.
    homes = {getattr(value, "__module__", None) for value in vars(base).values()}
    package = base.__name__.partition(".")[0]
    near = [m for m in vars(base).values() if isinstance(m, ModuleType) and m.__name__.partition(".")[0] == package]
    near += [sys.modules[name] for name in homes if isinstance(name, str) and name in sys.modules]
    found = [value for room in (base, *near) for value in list(vars(room).values())]
    found += getattr(base, "network_module_dict", {}).values()
    classes = [cls for cls in found if isinstance(cls, type) and issubclass(cls, nn.Module)]
    return [cls for cls in dict.fromkeys(classes) if "__init__" in vars(cls) and _rank_name(cls.__init__)]


def _rank_name(constructor: Any) -> str:
    """What a constructor calls the rank; empty where it makes no network module."""
    names = inspect.signature(constructor).parameters
    if not {"org_module", "alpha"} <= names.keys():
        return ""
    return next((name for name in _RANK_NAMES if name in names), "")


def _noting(constructor: Any) -> Any:
    signature, rank_name = inspect.signature(constructor), _rank_name(constructor)

    @functools.wraps(constructor)
    def wrapped(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        if _CALL not in vars(self):  # a subclass hands on to its parent: the outermost call is what made it
            arguments = signature.bind(self, *args, **kwargs)
            arguments.apply_defaults()
            self.__dict__[_CALL] = Call(arguments, rank_name)
        constructor(self, *args, **kwargs)

    return wrapped


def _make(cls: type[nn.Module], call: Call, rank: int, alpha: float, name: str) -> nn.Module:
    arguments = inspect.BoundArguments(call.arguments.signature, call.arguments.arguments.copy())
    arguments.arguments[call.rank_name] = rank
    arguments.arguments["alpha"] = float(alpha)
    with _seed_of(name):
        return cls(*arguments.args[1:], **arguments.kwargs)


@contextmanager
def _seed_of(name: str) -> Iterator[None]:
    """The CPU's random numbers from the run's seed and a name, put back afterwards. (torch.manual_seed would reach the
    GPUs' generators as well, which nothing here puts back.)"""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed((torch.initial_seed() + zlib.crc32(name.encode())) % 2**63)
    try:
        yield
    finally:
        torch.set_rng_state(state)
