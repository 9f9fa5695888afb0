"""Measures norms round one step of an optimizer: a few fused calls on the device, nothing that waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lr_grid.norms.cells import ABSENT, QUANTITIES

COPY_LIMIT = 512 * 2**20
"""Bytes. What a step changed is told by a copy from before the step; where one copy of all that trains is larger, the
cells take turns, and each is measured every few steps."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One step's norms of every tensor, still on the device."""

    graded: list[int]
    """Tensors that had a gradient."""
    copied: list[int]
    """Tensors whose change was measured."""
    norms: torch.Tensor
    """Of the gradients, then of all weights, then of the changes."""


class Measure:
    """The norms of cells, each a list of parameters."""

    def __init__(self, cells: Sequence[Sequence[nn.Parameter]], together: Sequence[Any], limit: int = COPY_LIMIT):
        """
        Args:
            together: for each cell, what it shares its turn with: cells of the same one are measured in the same step.
            limit: the most bytes that the copy may take (a turn larger than that has it alone).
        """
        self._parameters = [parameter for cell in cells for parameter in cell]
        self._cell_of = torch.tensor([index for index, cell in enumerate(cells) for _ in cell], dtype=torch.long)
        self._cells = len(cells)
        self._turns = _turns(cells, together, limit)
        self._buffers: list[list[torch.Tensor]] | None = None
        self._next = 0
        self._graded: list[int] = []
        self._grads: torch.Tensor | None = None

    @property
    def turns(self) -> int:
        """In how many steps every cell's change is measured once; 0: the copy has been given up."""
        return len(self._turns)

    @property
    def copy_bytes(self) -> int:
        """What the copy takes."""
        sizes = [[self._parameters[i] for i in turn] for turn in self._turns]
        return max((sum(p.numel() * p.element_size() for p in turn) for turn in sizes), default=0)

    def without_copy(self) -> None:
        """No change is measured from now on: no memory is taken."""
        self._turns, self._buffers = [], None

    @torch.no_grad()
    def before(self, scale: torch.Tensor | None = None) -> None:
        """Call it when the gradients are final. ``scale``: what they are still multiplied with."""
        grads = [(index, p.grad) for index, p in enumerate(self._parameters) if p.grad is not None]
        self._graded = [index for index, _ in grads]
        self._grads = _norms([grad for _, grad in grads])
        if scale is not None:
            self._grads = self._grads / scale.to(self._grads)
        if self._turns:
            if self._buffers is None:
                self._buffers = _buffers([[self._parameters[i] for i in turn] for turn in self._turns])
            turn = self._next % len(self._turns)
            torch._foreach_copy_(self._buffers[turn], [self._parameters[i] for i in self._turns[turn]])

    @torch.no_grad()
    def after(self) -> Measured:
        """Call it when the weights have changed."""
        assert self._grads is not None
        norms = [self._grads, _norms(self._parameters)]
        copied: list[int] = []
        if self._turns and self._buffers is not None:
            turn = self._next % len(self._turns)
            copied, copies = self._turns[turn], self._buffers[turn]
            torch._foreach_sub_(copies, [self._parameters[i] for i in copied])
            norms.append(_norms(copies))
        self._next += 1
        device = norms[1].device
        return Measured(self._graded, copied, torch.cat([norm.to(device) for norm in norms]))

    def of_cells(self, measured: Measured) -> torch.Tensor:
        """(quantities, cells) in float64 on the CPU, ABSENT where nothing was measured. Waits for the device."""
        values = measured.norms.to("cpu", torch.float64)
        everything = list(range(len(self._parameters)))
        result = torch.full((len(QUANTITIES), self._cells), ABSENT, dtype=torch.float64)
        begin = 0
        for row, tensors in enumerate((measured.graded, everything, measured.copied)):
            squares = values[begin : begin + len(tensors)].square()
            begin += len(tensors)
            cells = self._cell_of[tensors]
            sums = torch.zeros(self._cells, dtype=torch.float64).index_add_(0, cells, squares)
            result[row, cells] = sums.sqrt()[cells]
        return result


def _norms(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """The L2 norm of each, in float32, on the device of the first."""
    if not tensors:
        return torch.zeros(0)
    if len({(tensor.device, tensor.dtype) for tensor in tensors}) > 1:
        device = tensors[0].device
        return torch.stack([_foreach_norm([tensor])[0].to(device, torch.float32) for tensor in tensors])
    return torch.stack(list(_foreach_norm(list(tensors)))).float()


def _foreach_norm(tensors: list[torch.Tensor]) -> Sequence[torch.Tensor]:
    """In float32 also of half-precision tensors, whose own range a norm may leave."""
    if tensors[0].dtype == torch.float32:
        return torch._foreach_norm(tensors)
    try:
        return torch._foreach_norm(tensors, 2, torch.float32)
    except TypeError:  # a torch before 2.4
        return torch._foreach_norm(tensors)


def _turns(cells: Sequence[Sequence[nn.Parameter]], together: Sequence[Any], limit: int) -> list[list[int]]:
    """The tensors of each turn: as few turns as fit the limit in the cells' order."""
    by_place: dict[Any, list[int]] = {}
    parameters: list[nn.Parameter] = []
    for place, cell in zip(together, cells, strict=True):
        by_place.setdefault(place, []).extend(range(len(parameters), len(parameters) + len(cell)))
        parameters += cell
    turns: list[list[int]] = []
    size = 0
    for tensors in by_place.values():
        more = sum(parameters[i].numel() * parameters[i].element_size() for i in tensors)
        if not turns or size + more > limit:
            turns.append([])
            size = 0
        turns[-1] += tensors
        size += more
    return [sorted(turn) for turn in turns]


def _buffers(turns: Sequence[Sequence[torch.Tensor]]) -> list[list[torch.Tensor]]:
    """For each turn a tensor like each of its tensors; all turns share the same memory."""
    kinds = list(dict.fromkeys((tensor.device, tensor.dtype) for turn in turns for tensor in turn))
    result: list[list[torch.Tensor]] = []
    memory = {
        kind: torch.empty(
            max(sum(t.numel() for t in turn if (t.device, t.dtype) == kind) for turn in turns),
            device=kind[0],
            dtype=kind[1],
        )
        for kind in kinds
    }
    for turn in turns:
        used = dict.fromkeys(kinds, 0)
        views = []
        for tensor in turn:
            kind = (tensor.device, tensor.dtype)
            views.append(memory[kind][used[kind] : used[kind] + tensor.numel()].view(tensor.shape))
            used[kind] += tensor.numel()
        result.append(views)
    return result
