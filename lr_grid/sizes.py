"""What a plan takes: parameters that train, bytes of the LoRA file, bytes of optimizer state."""

from __future__ import annotations

from lr_grid.memory import state_bytes
from lr_grid.plan import Plan

_HEADER_ENTRY = 75
"""Bytes that a safetensors header spends on a tensor beside its module's name: its own name, dtype, shape, offsets."""


def parameters(plan: Plan) -> int:
    """How many parameters train."""
    return sum(row.params for row in plan.rows)


def file_bytes(plan: Plan, width: int) -> int:
    """Bytes of the LoRA file at ``width`` bytes a number, without the trainer's metadata (a few kB)."""
    numbers = sum(row.saved for row in plan.rows)
    entries = sum((len(row.shapes) + 1) * (len(row.site.name) + _HEADER_ENTRY) for row in plan.rows if row.saved)
    return numbers * width + entries


def optimizer_bytes(plan: Plan, optimizer: str) -> int:
    """Bytes of an optimizer's state for all that trains; an upper bound for Prodigy, which keeps less of tensors that
    begin as zeros.

    Raises: GridError for an optimizer that memory.py does not know.
    """
    return state_bytes(optimizer, (shape for row in plan.rows for shape in row.shapes), plan.element_size)
