"""Spending a number of parameters on ranks in proportion."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lr_grid.budget import CellShare, Member, spend


def cell(share: float, *costs: int, fixed: int = 0, name: str = "") -> CellShare:
    return CellShare(share, [Member(f"{name or id(costs)}-{i}", fixed, cost) for i, cost in enumerate(costs)])


def total(cells: list[CellShare], ranks: dict[str, int]) -> int:
    return sum(m.fixed + m.per_rank * ranks[m.name] for c in cells for m in c.members)


def test_a_flat_budget_that_divides_is_the_flat_rank():
    cells = [cell(1, 100, 300, name="a"), cell(1, 50, name="b")]
    assert set(spend(cells, 450 * 8).values()) == {8}


def test_ranks_are_in_proportion_to_the_shares():
    cells = [cell(4, 10, name="a"), cell(2, 10, name="b"), cell(1, 10, name="c")]
    assert spend(cells, 10 * 28) == {"a-0": 16, "b-0": 8, "c-0": 4}


def test_what_rounding_leaves_goes_to_the_cells_that_it_cost_most():
    cells = [cell(1, 10, name=name) for name in "abc"]
    assert spend(cells, 10 * 14) == {"a-0": 5, "b-0": 5, "c-0": 4}


def test_what_a_module_costs_at_any_rank_comes_off_first():
    assert spend([cell(1, 10, fixed=50, name="a")], 100) == {"a-0": 5}


def test_ranks_are_multiples_and_at_least_the_least():
    ranks = spend([cell(100, 10, name="a"), cell(1, 10, name="b")], 10 * 50, multiple=4, least=8)
    assert ranks == {"a-0": 40, "b-0": 8}


def test_too_small_a_budget_is_none():
    assert spend([cell(1, 10, name="a"), cell(1, 10, name="b")], 19) is None


def test_where_no_cell_fits_any_more_single_modules_take_what_is_left():
    cells = [cell(1, *[100] * 10, name="a")]
    ranks = spend(cells, 2600)
    assert sorted(ranks.values()) == [2] * 4 + [3] * 6


@given(
    cells=st.lists(
        st.tuples(st.floats(0.1, 64), st.lists(st.integers(1, 5000), min_size=1, max_size=6)), min_size=1, max_size=12
    ),
    flat=st.integers(1, 64),
    multiple=st.sampled_from([1, 2, 8]),
)
def test_it_is_never_over_and_never_a_whole_step_of_anything_under(cells, flat, multiple):
    shares = [cell(share, *costs, name=str(i)) for i, (share, costs) in enumerate(cells)]
    budget = flat * multiple * sum(m.per_rank for c in shares for m in c.members)
    ranks = spend(shares, budget, multiple, multiple)
    assert ranks is not None
    left = budget - total(shares, ranks)
    assert left >= 0
    assert all(rank >= multiple and rank % multiple == 0 for rank in ranks.values())
    cheapest = min(m.per_rank for c in shares for m in c.members) * multiple
    assert left <= budget / 100 or left < cheapest or len(set(ranks.values())) > 1
    for smaller, larger in ((a, b) for a in shares for b in shares if a.share < b.share):
        low = max(ranks[m.name] for m in smaller.members)
        high = min(ranks[m.name] for m in larger.members)
        assert low <= high + multiple


def test_a_budget_of_many_cells_is_met_to_one_percent():
    cells = [cell(1 + math.sin(i), *[3000 + 17 * i] * 3, name=str(i)) for i in range(200)]
    for budget in (5_000_000, 20_000_000, 33_333_333):
        assert 0.99 * budget <= total(cells, spend(cells, budget)) <= budget


def test_a_budget_cannot_be_spent_on_nothing():
    with pytest.raises(ValueError, match="nothing"):
        spend([], 100)
