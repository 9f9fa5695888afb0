"""Base models without weights: all of their tensors on the meta device, weight files read by their headers only.

The model has its real depth and width, takes no memory and no time, and computes nothing. Only while models load is a
file hollow (``loading``): a LoRA or a saved state is read as it stands.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator, Mapping
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

_METADATA = "__metadata__"
_depth = 0


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
    torch.Tensor.cpu = moving("cpu")  # type: ignore[method-assign]
    torch.Tensor.cuda = moving("cuda")  # type: ignore[method-assign]


def read_header(path: Any) -> dict[str, Any]:
    """The header of a safetensors file: name -> dtype and shape, and ``__metadata__``. Nothing else is read or mapped.

    Raises: OSError where the file cannot be opened, ValueError where it is none or is shorter than its header says.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < length <= size - 8:
            raise ValueError(f"{path} is no safetensors file, or an incomplete one")
        try:
            header: dict[str, Any] = json.loads(file.read(length))
        except ValueError:
            raise ValueError(f"{path} is no safetensors file") from None
    end = max((entry["data_offsets"][1] for name, entry in header.items() if name != _METADATA), default=0)
    if size < 8 + length + end:
        raise ValueError(f"{path} is incomplete: {size:,} bytes of {8 + length + end:,}")
    return header


def header_state(path: Any) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file on the meta device.

    Raises: as ``read_header``.
    """
    return {name: _from_entry(entry) for name, entry in read_header(path).items() if name != _METADATA}


def _from_entry(entry: Mapping[str, Any]) -> torch.Tensor:
    return torch.empty(entry["shape"], dtype=DTYPES[entry["dtype"]], device="meta")


class _Slice:
    def __init__(self, entry: Mapping[str, Any]) -> None:
        self._entry = entry

    def get_shape(self) -> list[int]:
        return list(self._entry["shape"])

    def get_dtype(self) -> str:
        return str(self._entry["dtype"])

    def __getitem__(self, index: Any) -> torch.Tensor:
        return _from_entry(self._entry)[index]


class _HollowOpen:
    """Stands in for ``safetensors.safe_open`` while models load."""

    def __init__(self, filename: Any, *_: Any, **__: Any) -> None:
        self._header = read_header(filename)

    def __enter__(self) -> _HollowOpen:
        return self

    def __exit__(self, *_: Any) -> None:
        """Nothing is open."""

    def keys(self) -> list[str]:
        return [name for name in self._header if name != _METADATA]

    offset_keys = keys

    def metadata(self) -> dict[str, str] | None:
        return self._header.get(_METADATA)

    def get_slice(self, name: str) -> _Slice:
        return _Slice(self._header[name])

    def get_tensor(self, name: str) -> torch.Tensor:
        return _from_entry(self._header[name])


def read_headers_only() -> None:
    """Makes the ways in which files of weights are opened give hollow tensors while models load.

    To be called before a trainer is imported, which takes these functions by name.
    """
    real_load_file, real_load, real_open = safetensors.torch.load_file, torch.load, safetensors.safe_open

    def load_file(filename: Any, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        return header_state(filename) if is_loading() else real_load_file(filename, *args, **kwargs)

    def safe_open(*args: Any, **kwargs: Any) -> Any:
        return (_HollowOpen if is_loading() else real_open)(*args, **kwargs)

    def load(file: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_loading():
            return real_load(file, *args, **kwargs)
        kwargs.pop("map_location", None)
        try:  # a mapped file of which no tensor is read
            return real_load(file, "meta", *args[1:], **{**kwargs, "mmap": True})
        except RuntimeError:  # the format before torch 1.6 cannot be mapped: it is read
            return real_load(file, "meta", *args[1:], **{**kwargs, "mmap": False})

    safetensors.torch.load_file = load_file
    safetensors.safe_open = safe_open  # type: ignore[misc, assignment]
    safetensors.torch.safe_open = safe_open  # type: ignore[misc, assignment]
    torch.load = load  # type: ignore[assignment]


def hollow_modules() -> None:
    """A module that was made on the CPU in so many words goes to the meta device before hollow weights are loaded."""
    real = torch.nn.Module.load_state_dict

    def load_state_dict(self: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        if is_loading() and any(not p.is_meta for p in self.parameters()):
            self._apply(lambda tensor: tensor if tensor.is_meta else torch.empty_like(tensor, device="meta"))
        return real(self, *args, **kwargs)

    torch.nn.Module.load_state_dict = load_state_dict  # type: ignore[method-assign]


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
