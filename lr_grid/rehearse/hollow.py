"""Base models without weights: all of their tensors on the meta device, weight files read by their headers only.

The model has its real depth and width, takes no memory and no time, and computes nothing. Only while models load is a
file hollow (``loading``): a LoRA or a saved state is read as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import safetensors
import safetensors.torch
import torch

from lr_grid.rehearse.missing import need

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
"""safetensors' names of types."""

_depth = 0
_real_open: Any = safetensors.safe_open


def is_loading() -> bool:
    """Whether models load just now."""
    return _depth > 0


@contextmanager
def loading() -> Iterator[None]:
    """While it lasts, tensors are made on the meta device, and weight files give theirs by their headers."""
    global _depth  # noqa: PLW0603 - the patched functions of other modules ask for it
    _depth += 1
    try:
        with torch.device("meta"):
            yield
    finally:
        _depth -= 1


def keep_meta() -> None:
    """A tensor on the meta device stays there, where a trainer moves it to a device; its type may change."""
    real = {name: getattr(torch.Tensor, name) for name in ("to", "cpu", "cuda")}

    def to(self: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if not self.is_meta:
            return real["to"](self, *args, **kwargs)
        dtype = torch._C._nn._parse_to(*args, **{k: v for k, v in kwargs.items() if k != "copy"})[1]
        return self if dtype is None else real["to"](self, dtype)

    def moving(name: str) -> Callable[..., torch.Tensor]:
        def move(self: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            return self if self.is_meta else real[name](self, *args, **kwargs)

        return move

    torch.Tensor.to = to  # type: ignore[method-assign, assignment]
    torch.Tensor.cpu = moving("cpu")  # type: ignore[method-assign, assignment]
    torch.Tensor.cuda = moving("cuda")  # type: ignore[method-assign, assignment]


def header_state(path: Any) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file on the meta device. Nothing but its header is read.

    Raises: what safetensors raises where the file is missing, is none, or is shorter than its header says.
    """
    with _real_open(path, framework="pt") as file:
        return {name: _from_slice(file, name) for name in file.keys()}  # noqa: SIM118 - it is no dict


def _from_slice(file: Any, name: str) -> torch.Tensor:
    part = file.get_slice(name)
    return torch.empty(part.get_shape(), dtype=DTYPES[part.get_dtype()], device="meta")


class _HollowOpen:
    """Stands in for ``safetensors.safe_open`` while models load."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._file = _real_open(*args, **{k: v for k, v in kwargs.items() if k != "device"})

    def __enter__(self) -> _HollowOpen:
        self._file.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._file.__exit__(*error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def get_tensor(self, name: str) -> torch.Tensor:
        return _from_slice(self._file, name)


def read_headers_only() -> None:
    """Makes the ways in which files of weights are opened give hollow tensors while models load.

    To be called before a trainer is imported, which takes these functions by name.
    """
    real_load_file, real_load = safetensors.torch.load_file, torch.load

    def load_file(filename: Any, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        return header_state(filename) if is_loading() else real_load_file(filename, *args, **kwargs)

    def safe_open(*args: Any, **kwargs: Any) -> Any:
        return (_HollowOpen if is_loading() else _real_open)(*args, **kwargs)

    def load(file: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_loading():
            return real_load(file, *args, **kwargs)
        kwargs.pop("map_location", None)
        try:  # a mapped file of which no tensor is read
            return real_load(file, "meta", *args[1:], **{**kwargs, "mmap": True})
        except RuntimeError:  # the format before torch 1.6 cannot be mapped: it is read
            return real_load(file, "meta", *args[1:], **{**kwargs, "mmap": False})

    safetensors.torch.load_file = load_file
    safetensors.safe_open = safe_open
    safetensors.torch.safe_open = safe_open
    torch.load = load


def hollow_opener(cls: Any, of: str) -> None:
    """The same for the trainers' own reader of safetensors files.

    Raises: CannotRehearse where it has no ``get_tensor``.
    """
    real = need(cls, "get_tensor", of)

    def get_tensor(self: Any, key: str, device: Any = None, dtype: torch.dtype | None = None) -> torch.Tensor:
        if not is_loading():
            return real(self, key, device, dtype) if device is not None or dtype is not None else real(self, key)
        if key not in self.header:
            raise KeyError(f"Tensor '{key}' not found in the file")
        entry = self.header[key]
        return torch.empty(entry["shape"], dtype=dtype or DTYPES[entry["dtype"]], device="meta")

    cls.get_tensor = get_tensor


def leave_unfilled() -> None:
    """What a network is initialized with is never read in a rehearsal: torch.nn.init does nothing from now on.

    Memory that is asked for and never written costs nothing: a network of rank 128 stands as fast as one of rank 4.
    """
    for name in [name for name in dir(torch.nn.init) if name.endswith("_") and not name.startswith("_")]:
        real = getattr(torch.nn.init, name)
        if callable(real):
            setattr(torch.nn.init, name, lambda tensor, *args, **kwargs: tensor)
