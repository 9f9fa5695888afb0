"""A thousand random grids per format: equal LRs at every module after writing them and reading them back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from convert_plans import BASE, module_lrs, same, upstream_regex_lrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lr_grid.convert import read, write

GRIDS = settings(
    max_examples=1000, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
FLUX = {"double": 19, "single": 38}
absolute = st.sampled_from(("1e-5", "3e-5", "0.0002", "4.5e-4", "7e-06", "1.25e-4"))
relative = st.sampled_from(("0.1x", "0.5x", "1x", "1.5x", "3x", "0.75x"))
rates = absolute | relative
weights = st.sampled_from((0.0, 0.1, 0.25, 0.3, 0.5, 0.77, 1.0, 1.5, 2.0, 0.01))
POSITIVE = (0.1, 0.25, 0.3, 0.5, 0.77, 1.5, 2.0, 0.01)


@st.composite
def blocks_of(draw: Any, stacks: dict[str, int], value: st.SearchStrategy, most: int = 6) -> dict[str, Any]:
    """A few runs of blocks that do not overlap, each with a value; never all blocks of a stack."""
    table = {}
    for stack, size in stacks.items():
        cuts = sorted(draw(st.sets(st.integers(1, size - 1), max_size=most)))
        for first, end in pairwise(cuts):
            if draw(st.booleans()):
                name = f"{stack}_{first}" if end == first + 1 else f"{stack}_{first}-{end - 1}"
                table[name] = draw(value)
    return table


@st.composite
def curves(draw: Any, names: tuple[str, ...], levels: bool = True) -> dict[str, Any]:
    strategy = draw(st.sampled_from(("flat", *names)))
    if strategy == "flat":
        return {}
    curve: dict[str, Any] = {"depth_strategy": strategy, "min_depth_factor": draw(st.sampled_from((0.1, 0.3, 0.35)))}
    if strategy == "inverted_u":
        curve["peak_position"] = draw(st.sampled_from((0.3, 0.5, 0.45)))
    if levels and draw(st.booleans()):
        curve |= {"depth_levels": 5} if draw(st.booleans()) else {"depth_scope": "model"}
    return curve


ALL_CURVES = ("linear", "cosine", "inverted_u", "sine", "geometric", "reverse_linear")
PATTERNS = (r"double_blocks\.7\.img_attn\.qkv", r"single_blocks_(?:3|4)_linear1$", "lora_unet_double_blocks_1_txt_mlp")


@st.composite
def components(draw: Any, names: tuple[str, ...], rate: st.SearchStrategy = rates) -> dict[str, str]:
    return {f"{name}_lr": draw(rate) for name in draw(st.sets(st.sampled_from(names)))}


@st.composite
def block_grids(draw: Any, stacks: dict[str, int], curved: bool = True) -> dict[str, Any]:
    """Grids of one value a block: weights, block_lr, curves, lists of what trains."""
    grid: dict[str, Any] = draw(curves(ALL_CURVES)) if curved else {}
    if draw(st.integers(0, 3)) == 0 and "double" in stacks:
        grid["exclude_single_block_indices"] = draw(st.sampled_from(("0-3,7", "37", "1,5,9-12")))
        return grid
    grid["block_lr_weight"] = draw(blocks_of(stacks, weights)) or {next(iter(stacks)): draw(st.sampled_from(POSITIVE))}
    block_lr = draw(blocks_of(stacks, relative, 3))
    return {**grid, "block_lr": block_lr} if block_lr else grid


@st.composite
def full_grids(draw: Any) -> dict[str, Any]:
    """Whatever the grammar has, on FLUX."""
    grid = draw(block_grids(FLUX)) | draw(components(("self_attn", "cross_attn", "ffn", "mod", "fused")))
    if draw(st.booleans()):
        grid["module_lr"] = {pattern: draw(rates) for pattern in draw(st.permutations(PATTERNS))}
    if draw(st.booleans()):
        grid["default_lr"] = draw(rates)
    if draw(st.booleans()):
        grid["loraplus_unet_lr_ratio"] = draw(st.sampled_from((4, 16.0, 2.5)))
    if draw(st.booleans()):
        grid |= {"te_self_attn_lr": draw(rates), "te_depth_strategy": "cosine"}
    if draw(st.booleans()):
        grid["mod_dim"] = 4
    return grid


def round_trip(grid: dict[str, Any], format: str, model: str, lossless: bool = True) -> tuple[dict[str, Any], str]:
    text, lost = write(grid, format, model, BASE)
    back, lost_back = read(text, format.partition(":")[0], model)
    assert not lossless or not (lost or lost_back), (*lost, *lost_back)
    return back, text


@GRIDS
@given(full_grids())
def test_our_own_formats_hold_every_grid(grid):
    every = "module_lr" not in grid
    expected = module_lrs("flux-dev", grid, every)
    for format in ("toml", "args", "args-powershell", "config"):
        back, text = round_trip(grid, format, "flux-dev")
        assert same(module_lrs("flux-dev", back, every), expected), format
        assert write(back, format, "flux-dev")[0] == text


@GRIDS
@given(components(("self_attn", "cross_attn", "ffn")), curves(("linear", "cosine", "inverted_u"), False), rates)
def test_serenity_holds_components_and_curves(parts, curve, default):
    grid = {**parts, **curve, "default_lr": default}
    back, _ = round_trip(grid, "serenity", "flux-dev")
    assert same(module_lrs("flux-dev", back), module_lrs("flux-dev", grid))


@GRIDS
@given(block_grids(FLUX))
def test_formats_of_fluxs_blocks_hold_one_factor_a_block(grid):
    expected = module_lrs("flux-dev", grid)
    for format in ("onetrainer", "lbw:61", "lbw:58", "lbw:57"):
        back, text = round_trip(grid, format, "flux-dev")
        assert same(module_lrs("flux-dev", back), expected), format
        assert format == "onetrainer" or len(text.split(",")) == int(format[4:])


PLAIN_SD = {1, 2, 4, 5, 7, 8, 12, *range(16, 25)}


@GRIDS
@given(st.lists(weights, min_size=25, max_size=25), st.sampled_from(POSITIVE))
def test_formats_of_sds_blocks_hold_one_factor_a_block(values, one):
    values[8] = one  # not everything frozen
    grid = {"block_lr_weight": values}
    for format in ("lbw:26", "lbw:25", "down_mid_up"):
        assert round_trip(grid, format, "sd15")[0] == grid, format
    plain = {"block_lr_weight": [value if i in PLAIN_SD else 1.0 for i, value in enumerate(values)]}
    back, _ = round_trip(plain, "lbw:17", "sd15")
    assert same(module_lrs("sd15", back), module_lrs("sd15", plain))


@GRIDS
@given(st.lists(weights, min_size=23, max_size=23), st.sampled_from(POSITIVE))
def test_formats_of_sdxls_blocks_hold_one_factor_a_block(values, one):
    values[0] = values[22] = 1.0
    values[16] = one
    grid = {"block_lr_weight": values}
    for format in ("lbw:23", "down_mid_up"):
        assert round_trip(grid, format, "sdxl")[0] == grid, format
    values[10] = values[12] = values[11]  # one value there: M00
    assert round_trip(grid, "lbw:20", "sdxl")[0] == grid
    plain = {"block_lr_weight": [value if i in {5, 6, 8, *range(9, 19)} else 1.0 for i, value in enumerate(values)]}
    back, _ = round_trip(plain, "lbw:12", "sdxl")
    assert same(module_lrs("sdxl", back), module_lrs("sdxl", plain))


@GRIDS
@given(st.lists(rates | st.just("0"), min_size=23, max_size=23), rates, weights, rates)
def test_block_lr_holds_one_lr_a_block(values, one, weight, default):
    values[16] = one
    for grid in ({"block_lr": values}, {"block_lr_weight": [0.5] * 6 + [weight] * 17, "default_lr": default}):
        if weight or "block_lr" in grid:
            back, _ = round_trip(grid, "block_lr", "sdxl")
            assert same(module_lrs("sdxl", back), module_lrs("sdxl", grid))


@st.composite
def regex_grids(draw: Any) -> dict[str, Any]:
    grid = draw(block_grids(FLUX)) | draw(components(("self_attn", "cross_attn", "ffn", "mod", "fused")))
    if draw(st.booleans()):
        grid["module_lr"] = {pattern: draw(rates) for pattern in draw(st.permutations(PATTERNS))}
    return grid


@GRIDS
@given(regex_grids())
def test_network_reg_lrs_holds_every_cell_as_upstream_reads_it(grid):
    text, lost = write(grid, "network_reg_lrs", "flux-dev", BASE)
    assert not lost
    ours = {name: down for name, (down, _) in module_lrs("flux-dev", grid, False).items()}
    assert same(upstream_regex_lrs("flux-dev", text), ours) if text else set(ours.values()) == {BASE}


@GRIDS
@given(st.dictionaries(st.sampled_from((*PATTERNS, "img_mlp", r"single_blocks_(\d1|20)_")), absolute, min_size=1))
def test_network_reg_lrs_come_back_as_they_were(rules):
    text = ",".join(f"{pattern.replace(chr(92) + '.', '_')}={lr}" for pattern, lr in rules.items())
    arguments, lost = read(text, "network_reg_lrs", "flux-dev")
    assert not lost
    again, lost = write(arguments, "network_reg_lrs", "flux-dev", BASE)
    assert not lost
    assert same(upstream_regex_lrs("flux-dev", again), upstream_regex_lrs("flux-dev", text))
    ours = {name: down for name, (down, _) in module_lrs("flux-dev", arguments, False).items()}
    assert same(upstream_regex_lrs("flux-dev", text), ours)


@GRIDS
@given(components(("self_attn", "cross_attn", "ffn"), rates | st.just("0")), st.none() | rates, st.none() | rates)
@pytest.mark.parametrize("variant", ["anima", "anima:toml"])
def test_anima_holds_components_and_the_adapter(variant, parts, default, adapter):
    grid: dict[str, Any] = dict(parts)
    if adapter:
        grid |= {"module_lr": {"llm_adapter": adapter}, "train_llm_adapter": "true"}
    if default or not grid or set(parts.values()) == {"0"}:
        grid["default_lr"] = default or "1x"
    if len(parts) == 3:
        grid["self_attn_lr"] = "2x"
    back, _ = round_trip(grid, variant, "anima")
    assert same(module_lrs("anima", back), module_lrs("anima", grid))
