"""Depth factors merged to levels: as close to the curve as K levels can be; and the levels that max_groups picks."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import Flux, TextEncoder, lr_by_name, make_network, start

from lr_grid.depth_levels import distinct, exact_factors, merge
from lr_grid.errors import GridError, Problems
from lr_grid.grid_settings import GridSettings
from lr_grid.settings import read_settings

GRID = {"self_attn_lr": "2x", "ffn_lr": "0.5x", "depth_strategy": "linear", "loraplus_lr_ratio": "16"}


def factors_of(*values: float) -> dict[tuple[str, int], float]:
    return {("blocks", i): value for i, value in enumerate(values)}


def worst(exact, merged) -> float:
    return max(abs(merged.factors[block] / factor - 1) for block, factor in exact.items() if factor)


def smallest_error(values: list[float], levels: int) -> float:
    """By trying every way to cut the sorted values into runs."""
    ordered = sorted(set(values))
    best = float("inf")
    for cuts in itertools.combinations(range(1, len(ordered)), min(levels, len(ordered)) - 1):
        edges = (0, *cuts, len(ordered))
        runs = [ordered[a:b] for a, b in itertools.pairwise(edges)]
        best = min(best, max((run[-1] - run[0]) / (run[-1] + run[0]) for run in runs))
    return best


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=9, unique=True), st.integers(2, 5))
def test_no_other_levels_would_be_closer(values, levels):
    exact = factors_of(*values)
    merged = merge(exact, levels)
    assert len(set(merged.factors.values())) <= levels or distinct(exact) <= levels
    assert worst(exact, merged) <= merged.error + 1e-11
    assert merged.error == pytest.approx(smallest_error(values, levels), abs=1e-9)


def test_eight_levels_of_flux_are_closer_than_evenly_spaced_ones():
    exact = exact_factors(GridSettings(depth_strategy="linear"), {"double": 19, "single": 38})
    merged = merge(exact, 8)
    assert len(set(merged.factors.values())) == 8
    assert worst(exact, merged) == pytest.approx(merged.error)
    even = [0.3 + 0.1 * i for i in range(8)]
    assert merged.error < 0.071
    assert max(min(abs(level / factor - 1) for level in even) for factor in exact.values()) > 0.12


def test_0_levels_and_as_many_as_there_are_factors_change_nothing():
    exact = factors_of(1.0, 0.8, 0.5, 0.8)
    for levels in (0, 3, 7):
        merged = merge(exact, levels)
        assert merged.factors == exact
        assert merged.error == 0


def test_a_factor_of_0_stays_frozen_and_takes_no_level():
    exact = factors_of(0.0, 0.1, 0.4, 0.9)
    merged = merge(exact, 3)
    assert merged.factors == exact
    assert merge(exact, 2).factors["blocks", 0] == 0


def planned(text_encoder=None, **grid):
    model = Flux(19, 38)
    network = make_network(model, text_encoder, **grid)
    groups, descriptions = start(network, model, text_encoder, **({"text_encoder_lr": 7e-6} if text_encoder else {}))
    return network.grid_plan, groups, descriptions


def test_the_bound_that_is_told_holds_for_every_lr():
    exact, merged = (lr_by_name(planned(**GRID, depth_levels=levels)[1]) for levels in ("0", "8"))
    plan, groups, _ = planned(**GRID, depth_levels="8")
    (notice,) = [line for line in plan.notices if line.startswith("depth_levels=8")]
    assert notice == f"depth_levels=8: LRs within 7 % of the exact curve, {_groups(exact)} -> {len(groups)} groups"
    assert max(abs(merged[name] / lr - 1) for name, lr in exact.items()) <= 0.07 + 1e-12


def _groups(lrs: dict[str, float]) -> int:
    return len({f"{lr:.12g}" for lr in lrs.values()})


@pytest.mark.parametrize("limit", [18, 20, 40, 97])
def test_max_groups_takes_the_most_levels_that_fit(limit):
    plan, groups, _ = planned(**GRID, max_groups=str(limit))
    assert len(groups) <= limit
    levels = int(dict(plan.header)["depth_levels"])
    for more in range(levels + 1, levels + 5):
        assert len(planned(**GRID, depth_levels=str(more))[1]) > limit
    (notice,) = [line for line in plan.notices if line.startswith("max_groups")]
    assert notice.startswith(f"max_groups={limit} leaves room for depth_levels={levels}: LRs within ")
    assert notice.endswith(f" -> {len(groups)} groups")


def test_max_groups_that_the_exact_curve_keeps_merges_nothing():
    free, limited = planned(**GRID), planned(**GRID, max_groups="1000")
    assert lr_by_name(free[1]) == lr_by_name(limited[1])
    assert dict(limited[0].header)["depth_levels"] == "exact"
    assert not any("leaves room" in line for line in limited[0].notices)


def test_max_groups_counts_everything():
    weights = {"block_lr_weight": "double_0-6:0.3,single_7:0", "module_lr": "double_blocks_3_img_mlp:1.234x"}
    plan, groups, _ = planned([TextEncoder()], **GRID, **weights, max_groups="60")
    assert 30 < len(groups) <= 60
    assert {row.site.part for row in plan.rows} == {"unet", "te1"}


def test_max_groups_that_cannot_be_says_how_few_there_can_be_and_what_makes_them():
    with pytest.raises(GridError) as error:
        planned([TextEncoder()], **GRID, max_groups="5")
    message = str(error.value)
    fewest = int(message.split("there are ")[1].split(" ", maxsplit=1)[0])
    assert "self_attn 4" in message
    assert "te1 " in message
    assert "LoRA+ multiplies them" in message
    assert len(planned([TextEncoder()], **GRID, max_groups=str(fewest))[1]) <= fewest


def read(tmp_path, file="", **arguments):
    problems = Problems()
    if file:
        (tmp_path / "grid.toml").write_text(file)
        arguments["grid"] = str(tmp_path / "grid.toml")
    return read_settings(arguments, problems), problems.found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"depth_strategy": "linear", "max_groups": "40", "depth_levels": "4"}, "keep one of the two"),
        ({"max_groups": "40"}, "no effect with depth_strategy=flat"),
        ({"depth_strategy": "linear", "max_groups": "4.5"}, "not a whole number"),
        ({"depth_strategy": "linear", "max_groups": "many"}, "max_groups"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, arguments, said):
    _, problems = read(tmp_path, **arguments)
    assert any(said in problem for problem in problems), problems


def test_the_later_source_of_max_groups_and_depth_levels_wins(tmp_path):
    levels = 'depth_strategy = "linear"\ndepth_levels = 4\n'
    settings, problems = read(tmp_path, levels, max_groups="40")
    assert (problems, settings.depth_levels, settings.max_groups) == ([], 0, 40)
    settings, problems = read(tmp_path, 'depth_strategy = "linear"\nmax_groups = 40\n', depth_levels="4")
    assert (problems, settings.depth_levels, settings.max_groups) == ([], 4, 0)


def test_max_groups_is_no_key_of_a_text_encoder():
    model = Flux()
    with pytest.raises(GridError, match="te_max_groups"):
        make_network(model, [TextEncoder()], te_max_groups="4")
