"""Depth curves against their formulas."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lr_grid.depth import CURVES, depth_factor


def test_linear_gives_the_published_table():
    factors = [depth_factor("linear", i, 20, 0.3) for i in (0, 5, 10, 15, 19)]
    assert [round(f, 2) for f in factors] == [1.00, 0.82, 0.63, 0.45, 0.30]


def test_cosine_follows_its_formula_not_the_published_table():
    assert depth_factor("cosine", 5, 20, 0.3) == pytest.approx(0.3 + 0.7 * (1 + math.cos(math.pi * 5 / 19)) / 2)
    assert depth_factor("cosine", 5, 20, 0.3) == pytest.approx(0.887, abs=1e-3)


@pytest.mark.parametrize("peak", [0.0, 0.25, 0.4, 1.0])
def test_inverted_u_peaks_where_it_is_told(peak):
    factors = [depth_factor("inverted_u", i, 101, 0.2, peak) for i in range(101)]
    assert factors.index(max(factors)) == round(peak * 100)
    assert max(factors) == 1.0
    if peak > 0:
        assert factors[0] == pytest.approx(0.2)
    if peak < 1:
        assert factors[-1] == pytest.approx(0.2)


def test_sine_and_geometric():
    assert depth_factor("sine", 0, 5, 0.4) == pytest.approx(0.4)
    assert depth_factor("sine", 2, 5, 0.4) == pytest.approx(1.0)
    assert depth_factor("sine", 4, 5, 0.0) == depth_factor("sine", 0, 5, 0.0) == 0
    ratios = [depth_factor("geometric", i + 1, 6, 0.1) / depth_factor("geometric", i, 6, 0.1) for i in range(5)]
    assert ratios == pytest.approx([0.1 ** (1 / 5)] * 5)


@pytest.mark.parametrize("name", ["linear", "cosine", "geometric"])
def test_reversed_forms_mirror_their_curve(name):
    forward = [depth_factor(name, i, 9, 0.3) for i in range(9)]
    assert [depth_factor(f"reverse_{name}", i, 9, 0.3) for i in range(9)] == pytest.approx(forward[::-1])


@pytest.mark.parametrize("strategy", CURVES)
def test_a_stack_of_one_block_has_factor_1(strategy):
    assert depth_factor(strategy, 0, 1, 0.3) == 1.0


@given(st.sampled_from(sorted(CURVES)), st.integers(2, 60), st.floats(0.01, 1), st.floats(0, 1), st.data())
def test_every_factor_lies_between_the_minimum_and_1(strategy, n, minimum, peak, data):
    i = data.draw(st.integers(0, n - 1))
    assert minimum - 1e-9 <= depth_factor(strategy, i, n, minimum, peak) <= 1 + 1e-9
