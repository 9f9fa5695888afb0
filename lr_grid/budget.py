"""``rank_budget``: a number of parameters, spent over the cells of a grid in given proportions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass
class Member:
    """One module: what a step of rank costs it (parameters), and what it costs at rank 0."""

    name: str
    fixed: int
    per_rank: int


@dataclass
class CellShare:
    """The modules of one cell (block x component), which get one rank in proportion to ``share``."""

    share: float
    members: list[Member]

    def cost(self, rank: int) -> int:
        """Parameters of the whole cell at a rank."""
        return sum(member.fixed + member.per_rank * rank for member in self.members)


def spend(cells: Sequence[CellShare], budget: int, multiple: int = 1, least: int = 1) -> dict[str, int] | None:
    """The rank of every module, so that all of them together have at most ``budget`` parameters, and nearly as many.

    Ranks are proportional to the shares, multiples of ``multiple`` and at least ``least``. What rounding leaves over
    goes to the cells that it cost most, and, where not even a whole cell fits any more and over 1 % is left, to single
    modules.

    Returns: rank by module name; None where even the least ranks cost more.

    Raises: ValueError where no rank costs anything.
    """
    if not any(cell.share > 0 and member.per_rank > 0 for cell in cells for member in cell.members):
        raise ValueError("nothing here has parameters in proportion to its rank, so there is nothing to spend")
    low, high = 0.0, 1.0
    ranks = _ranks(cells, low, multiple, least)
    if _cost(cells, ranks) > budget:
        return None
    while _cost(cells, _ranks(cells, high, multiple, least)) <= budget:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        if _cost(cells, _ranks(cells, middle, multiple, least)) <= budget:
            low = middle
        else:
            high = middle
    ranks = _ranks(cells, low, multiple, least)
    left = budget - _cost(cells, ranks)
    lost = sorted(range(len(cells)), key=lambda i: ranks[i] - high * cells[i].share)  # stable: earlier blocks first
    raised = set()
    for i in lost:
        step = cells[i].cost(ranks[i] + multiple) - cells[i].cost(ranks[i])
        if step <= left:
            left -= step
            ranks[i] += multiple
            raised.add(i)
    result = {member.name: rank for cell, rank in zip(cells, ranks, strict=True) for member in cell.members}
    if left > budget / 100:
        for member in _members(cells[i] for i in lost if i not in raised):
            if member.per_rank * multiple <= left:
                left -= member.per_rank * multiple
                result[member.name] += multiple
    return result


def _members(cells: Iterable[CellShare]) -> Iterable[Member]:
    return (member for cell in cells for member in cell.members)


def _ranks(cells: Sequence[CellShare], scale: float, multiple: int, least: int) -> list[int]:
    # A little over: 16 x 0.75 must not become 11 by the last bit of a float.
    return [max(least, int(scale * cell.share / multiple + 1e-9) * multiple) for cell in cells]


def _cost(cells: Sequence[CellShare], ranks: Sequence[int]) -> int:
    return sum(cell.cost(rank) for cell, rank in zip(cells, ranks, strict=True))
