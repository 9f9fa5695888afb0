"""What a network module trains beside one layer, at a rank: names and shapes of its tensors, worked out.

Sources: the constructors in sd-scripts' networks/lora.py, lora_fa.py, lora_flux.py, lora_sd3.py, dylora.py, oft.py,
oft_flux.py and musubi-tuner's networks/loha.py, lokr.py. A test holds this against the modules themselves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from lr_grid.plan import ModuleFacts
from lr_grid.sides import side_of
from lr_grid.words import Shape

Tensors = tuple[tuple[str, Shape], ...]
"""(name within the module, shape)"""


def adapter_tensors(module: str, path: str, shape: Shape, rank: int, arguments: Mapping[str, Any]) -> Tensors:
    """The tensors that a network module adds to a layer, trained or not.

    Args:
        module: import path of the network module.
        path: dotted path of the layer.
        shape: of the layer's weight.
        arguments: the network module's arguments.

    Raises: AssertionError for a rank that the module cannot have there.
    """
    return _MAKERS.get(module.rpartition(".")[2], _lora)(path, shape, rank, arguments)


def facts_at(module: str, tensors: Tensors, rank: int, alpha: float) -> ModuleFacts:
    """What the plan needs to know of a module with these tensors."""
    trained = trained_tensors(module, tensors)
    sides = {side_of(name) for name, _ in trained}
    saved = sum(math.prod(shape) for _, shape in tensors) + 1  # alpha
    ups = [math.prod(shape) for name, shape in tensors if re.match(r"lora_up\.\d", name)]
    if ups:  # split into q, k, v, it is saved as one pair: the up sides on the diagonal of a matrix of zeros
        saved += (len(ups) - 1) * sum(ups)
    return ModuleFacts(rank, alpha, "up" in sides, "down" in sides, tuple(shape for _, shape in trained), saved)


def trained_tensors(module: str, tensors: Tensors) -> Tensors:
    """The tensors that train: all, but LoRA-FA leaves lora_down as it was made."""
    half = module.endswith("lora_fa")
    return tuple((name, shape) for name, shape in tensors if not (half and name.startswith("lora_down")))


def _lora(_: str, shape: Shape, rank: int, __: Mapping[str, Any]) -> Tensors:
    out, inner, *kernel = shape
    return (
        ("lora_down.weight", (rank, inner, *kernel)),
        ("lora_up.weight", (out, rank, *(1 for _ in kernel))),
    )


def _split_lora(path: str, shape: Shape, rank: int, arguments: Mapping[str, Any]) -> Tensors:
    """With split_qkv=True one pair for each of q, k, v (and the MLP of a single block)."""
    pieces = _pieces(path, shape) if arguments.get("split_qkv") == "True" else []
    if len(pieces) < 2:
        return _lora(path, shape, rank, arguments)
    down = [(f"lora_down.{i}.weight", (rank, shape[1])) for i in range(len(pieces))]
    up = [(f"lora_up.{i}.weight", (piece, rank)) for i, piece in enumerate(pieces)]
    return (*down, *up)


def _pieces(path: str, shape: Shape) -> list[int]:
    """Widths of what a fused layer's output holds; one piece for any other layer."""
    if re.search(r"(double_blocks|joint_blocks).*qkv", path):
        return [shape[0] // 3] * 3
    if re.search(r"single_blocks.*linear1", path):
        return [shape[1]] * 3 + [shape[0] - 3 * shape[1]]
    return [shape[0]]


def _dylora(_: str, shape: Shape, rank: int, arguments: Mapping[str, Any]) -> Tensors:
    unit = int(arguments.get("unit") or 1)
    assert rank % unit == 0, f"rank {rank} must be a multiple of unit {unit}"
    out, inner, *kernel = shape
    kernel = kernel if any(size != 1 for size in kernel) else []  # of a 1x1 convolution it makes a Linear
    down = [(f"lora_A.{i}", (1, inner, *kernel)) for i in range(rank)]
    up = [(f"lora_B.{i}", (out, 1, *(1 for _ in kernel))) for i in range(rank)]
    return (*down, *up)


def _loha(_: str, shape: Shape, rank: int, __: Mapping[str, Any]) -> Tensors:
    out, inner = shape[:2]
    return tuple(
        (f"hada_w{i}_{side}", (out, rank) if side == "a" else (rank, inner)) for i in (1, 2) for side in ("a", "b")
    )


def _lokr(_: str, shape: Shape, rank: int, arguments: Mapping[str, Any]) -> Tensors:
    factor = int(arguments.get("factor", -1))
    (out_small, out_large), (in_small, in_large) = (_factors(size, factor) for size in shape[:2])
    first = ("lokr_w1", (out_small, in_small))
    if rank < max(out_large, in_large) / 2:
        return first, ("lokr_w2_a", (out_large, rank)), ("lokr_w2_b", (rank, in_large))
    return first, ("lokr_w2", (out_large, in_large))


def _factors(size: int, factor: int) -> tuple[int, int]:
    """``size`` as a product of two, the smaller first: ``factor`` and the rest where it divides, else the two nearest
    to each other whose smaller one is at most ``factor`` (any, where it is negative; 1, where it is 0)."""
    if factor > 0 and size % factor == 0:
        return min(factor, size // factor), max(factor, size // factor)
    most = size if factor < 0 else max(factor, 1)
    small = max(n for n in range(1, math.isqrt(size) + 1) if size % n == 0 and n <= most)
    return small, size // small


def _oft(_: str, shape: Shape, blocks: int, __: Mapping[str, Any]) -> Tensors:
    return (("oft_blocks", _oft_blocks(shape[0], blocks)),)


def _oft_flux(path: str, shape: Shape, blocks: int, __: Mapping[str, Any]) -> Tensors:
    return tuple((f"oft_blocks.{i}", _oft_blocks(piece, blocks)) for i, piece in enumerate(_pieces(path, shape)))


def _oft_blocks(width: int, blocks: int) -> Shape:
    assert width % blocks == 0, f"{blocks} blocks do not divide its {width} outputs"
    return blocks, width // blocks, width // blocks


_MAKERS: dict[str, Callable[[str, Shape, int, Mapping[str, Any]], Tensors]] = {
    "dylora": _dylora,
    "loha": _loha,
    "lokr": _lokr,
    "lora_flux": _split_lora,
    "lora_hunyuan_image": _split_lora,
    "lora_sd3": _split_lora,
    "oft": _oft,
    "oft_flux": _oft_flux,
}
"""By the last word of the network module's name; every other makes LoRA pairs."""
