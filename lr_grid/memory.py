"""How much memory an optimizer keeps for the tensors it trains: its state, in bytes.

Weights and gradients are not in it, nor what an optimizer allocates during a step. Each optimizer is taken as
sd-scripts makes it without ``--optimizer_args``. Counted as 0: scalars (``step``) and the code tables of bitsandbytes
(1 KiB for each kind of state, shared by all tensors).

Sources: RAN = stepped on a CPU in fp32, bf16 and fp16, all tensors of ``optimizer.state`` measured; READ = code only.

- RAN, torch 2.13.0: AdamW, SGDNesterov, and those of lr_grid.optim.
- RAN, transformers 4.54.1, 4.57.6 and 5.23.0: Adafactor (relative_step, no first moment).
- RAN, lion-pytorch 0.2.3: Lion.
- RAN, prodigyopt 1.1.2: Prodigy.
- RAN, dadaptation 3.2: every DAdapt name (DAdaptSGD's first fp16 step broke off, but after it had made its state).
- RAN, schedulefree 1.4: AdamWScheduleFree, RAdamScheduleFree, SGDScheduleFree.
- RAN, prodigy-plus-schedule-free 1.9.2: prodigyplus.ProdigyPlusScheduleFree.
- RAN, bitsandbytes 0.50.2: every 8-bit and every paged name.
- READ, bitsandbytes 0.50.2: paging, which a CPU does not have. On a GPU the paged optimizers put the states of a tensor
  of 100000 elements or more where they can be evicted to the CPU's memory; their size is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod

from lr_grid.errors import GridError
from lr_grid.words import Shape

Rule = Callable[[Shape, int, bool], int]
"""Bytes of state of one tensor: of its shape, the bytes of one of its elements, and whether it is all zero at first."""

FP32 = 4
"""Bytes of an element of states that are fp32 whatever the trained tensor is."""
BITSANDBYTES_MIN_8BIT = 4096
"""Elements below which bitsandbytes keeps a tensor's states in fp32 (its ``min_8bit_size``)."""
BITSANDBYTES_BLOCK = 256
"""Elements that share one fp32 scale (``absmax``) in an 8-bit state."""
PRODIGY_PLUS_SLICE = 11
"""Of how many elements ProdigyPlusScheduleFree keeps one in ``s`` and ``p0``."""
PRODIGY_PLUS_MIN_FACTORED = 32
"""A tensor with no dimension of this size is not factored by ProdigyPlusScheduleFree."""


def _like(states: int) -> Rule:
    """States of the tensor's own shape and dtype."""
    return lambda shape, element_size, zero: states * prod(shape) * element_size


def _fp32(states: int) -> Rule:
    """States of the tensor's shape, always fp32."""
    return lambda shape, element_size, zero: states * prod(shape) * FP32


def _blockwise(states: int) -> Rule:
    """States of bitsandbytes in 8 bits: a byte an element and a scale a block, fp32 for small tensors."""

    def rule(shape: Shape, element_size: int, zero: bool) -> int:
        n = prod(shape)
        if n < BITSANDBYTES_MIN_8BIT:
            return states * n * FP32
        return states * (n + _ceil(n, BITSANDBYTES_BLOCK) * FP32)

    return rule


def _adafactor(shape: Shape, element_size: int, zero: bool) -> int:
    """One second moment, fp32: whole for a vector, else a row and a column for every matrix of the last two dimensions.

    So the kernel of a convolution is a stack of 3x3 matrices (factors: 2/3 of it) or of 1x1 ones (twice its size).
    """
    if len(shape) < 2:
        return prod(shape) * FP32
    return (prod(shape[:-1]) + prod(shape[:-2]) * shape[-1]) * FP32


def _prodigy(shape: Shape, element_size: int, zero: bool) -> int:
    """exp_avg, exp_avg_sq, s and p0 (where the tensor began), like the tensor. Of a tensor of zeros, p0 is a scalar."""
    return (3 if zero else 4) * prod(shape) * element_size


def _prodigy_plus(shape: Shape, element_size: int, zero: bool) -> int:
    """z like the tensor, exp_avg_sq factored, and s and p0 of a slice in 2 bytes (bf16, or the tensor's fp16).

    The factors, in fp32, leave out the largest and the second largest dimension. Of a tensor of zeros, p0 is a scalar.
    """
    n = prod(shape)
    if len(shape) >= 2 and max(shape) >= PRODIGY_PLUS_MIN_FACTORED:
        second, largest = sorted(shape)[-2:]
        squares = (n // largest + n // second) * FP32
    else:
        squares = n * element_size
    sliced = _ceil(n, PRODIGY_PLUS_SLICE) * 2
    return n * element_size + squares + (1 if zero else 2) * sliced


def _ceil(n: int, size: int) -> int:
    return -(-n // size)


RULES: dict[str, Rule] = {
    "AdamW": _like(2),
    "AdamW8bit": _blockwise(2),
    "PagedAdamW": _fp32(2),
    "PagedAdamW32bit": _fp32(2),
    "PagedAdamW8bit": _blockwise(2),
    "Lion": _like(1),
    "Lion8bit": _blockwise(1),
    "PagedLion8bit": _blockwise(1),
    "SGDNesterov": _like(1),
    "SGDNesterov8bit": _blockwise(1),
    "Adafactor": _adafactor,
    "Prodigy": _prodigy,
    "DAdaptation": _like(3),  # another name of DAdaptAdamPreprint
    "DAdaptAdamPreprint": _like(3),
    "DAdaptAdaGrad": _like(3),
    "DAdaptAdam": _like(3),
    "DAdaptAdan": _like(5),
    "DAdaptAdanIP": _like(5),
    "DAdaptLion": _like(2),
    "DAdaptSGD": _like(3),
    "AdamWScheduleFree": _like(2),
    "RAdamScheduleFree": _like(2),
    "SGDScheduleFree": _like(1),
    "prodigyplus.ProdigyPlusScheduleFree": _prodigy_plus,
    "lr_grid.optim.AdamW": _like(2),
    "lr_grid.optim.Lion": _like(1),
}

OPTIMIZERS: tuple[str, ...] = tuple(RULES)
"""The optimizers whose state is known, as ``--optimizer_type`` of sd-scripts spells them."""

_BY_LOWER = {name.lower(): rule for name, rule in RULES.items()}


def state_bytes(
    optimizer: str, shapes: Iterable[Shape], element_size: int = 4, zero_shapes: Iterable[Shape] = ()
) -> int:
    """The bytes of state that an optimizer keeps for the tensors it trains.

    Args:
        optimizer: a name of OPTIMIZERS, in upper or lower case.
        shapes: of the trained tensors.
        element_size: bytes of an element of the trained tensors: 4 (fp32), or 2 with --full_bf16 or --full_fp16.
        zero_shapes: of further trained tensors, those that are all zero before the first step (the up side of a new
            LoRA). Prodigy and ProdigyPlusScheduleFree keep less of them; for all others they are like ``shapes``.

    Raises:
        GridError: (a ValueError) for an optimizer that is not in OPTIMIZERS.
    """
    rule = _BY_LOWER.get(optimizer.lower())
    if rule is None:
        known = ", ".join(OPTIMIZERS)
        raise GridError([f"optimizer: how much memory {optimizer!r} keeps is not known here. Known: {known}"])
    started = sum(rule(shape, element_size, False) for shape in shapes)
    return started + sum(rule(shape, element_size, True) for shape in zero_shapes)
