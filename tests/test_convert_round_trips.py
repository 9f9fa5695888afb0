"""A thousand random grids per format: equal LRs at every module after writing them and reading them back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import Any
from zlib import crc32

from convert_plans import BASE, module_lrs, same, upstream_regex_lrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lr_grid.convert import read, write

FLUX = {"double": 19, "single": 38}
ABSOLUTE = ("1e-5", "3e-5", "0.0002", "4.5e-4", "7e-06", "1.25e-4")
RELATIVE = ("0.1x", "0.5x", "1x", "1.5x", "3x", "0.75x")
RATES = (*ABSOLUTE, *RELATIVE)
POSITIVE = (0.1, 0.25, 0.3, 0.5, 0.77, 1.5, 2.0, 0.01)
WEIGHTS = (*POSITIVE, 0.0, 1.0)
CURVES = ("linear", "cosine", "inverted_u", "sine", "geometric", "reverse_linear")
PATTERNS = (r"double_blocks\.7\.img_attn\.qkv", r"single_blocks_(?:3|4)_linear1$", "lora_unet_double_blocks_1_txt_attn")
FLUX_COMPONENTS = ("self_attn", "cross_attn", "ffn", "mod", "fused")


def thousand(make: Callable[[Random], Any]) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Runs a test on a thousand grids that ``make`` draws, the same ones in every run. A grid is drawn from one number
    (drawing it choice by choice through hypothesis takes longer than the test itself)."""

    def decorate(test: Callable[..., None]) -> Callable[[], None]:
        grids = st.integers(0, 2**40).map(lambda seed: make(Random(seed)))
        limits = settings(
            max_examples=1000, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        return limits(given(grids)(test))

    return decorate


def blocks_of(draw: Random, stacks: dict[str, int], values: Sequence[Any], most: int = 6) -> dict[str, Any]:
    """A few runs of blocks that do not overlap, each with a value; never all blocks of a stack."""
    table = {}
    for stack, size in stacks.items():
        cuts = sorted(draw.sample(range(1, size), draw.randint(0, most)))
        for first, end in pairwise(cuts):
            if draw.random() < 0.5:
                table[f"{stack}_{first}" if end == first + 1 else f"{stack}_{first}-{end - 1}"] = draw.choice(values)
    return table


def curve(draw: Random, names: Sequence[str], levels: bool = True) -> dict[str, Any]:
    strategy = draw.choice(("flat", *names))
    if strategy == "flat":
        return {}
    found: dict[str, Any] = {"depth_strategy": strategy, "min_depth_factor": draw.choice((0.1, 0.3, 0.35))}
    if strategy == "inverted_u":
        found["peak_position"] = draw.choice((0.3, 0.5, 0.45))
    if levels:
        found |= draw.choice(({}, {"depth_levels": 5}, {"depth_scope": "model"}))
    return found


def components(draw: Random, names: Sequence[str], values: Sequence[str] = RATES) -> dict[str, str]:
    return {f"{name}_lr": draw.choice(values) for name in names if draw.random() < 0.5}


def block_grid(draw: Random) -> dict[str, Any]:
    """A grid of one value a block of FLUX: weights, block_lr, a curve, a list of what does not train."""
    grid = curve(draw, CURVES)
    if draw.random() < 0.25:
        return {**grid, "exclude_single_block_indices": draw.choice(("0-3,7", "37", "1,5,9-12"))}
    grid["block_lr_weight"] = blocks_of(draw, FLUX, WEIGHTS) or {"double": draw.choice(POSITIVE)}
    block_lr = blocks_of(draw, FLUX, RELATIVE, 3)
    return {**grid, "block_lr": block_lr} if block_lr else grid


def cell_grid(draw: Random) -> dict[str, Any]:
    """The same with components, and regexes in a tenth of them."""
    grid = block_grid(draw) | components(draw, FLUX_COMPONENTS)
    if draw.random() < 0.1:
        grid["module_lr"] = {pattern: draw.choice(RATES) for pattern in draw.sample(PATTERNS, 3)}
    return grid


def full_grid(draw: Random) -> dict[str, Any]:
    """Whatever the grammar has, on FLUX."""
    grid = cell_grid(draw)
    if draw.random() < 0.5:
        grid["default_lr"] = draw.choice(RATES)
    if draw.random() < 0.5:
        grid["loraplus_unet_lr_ratio"] = draw.choice((4, 16.0, 2.5))
    if draw.random() < 0.2:
        grid |= {"te_self_attn_lr": draw.choice(RATES), "te_depth_strategy": "cosine"}
    if draw.random() < 0.5:
        grid["mod_dim"] = 4
    return grid


def round_trip(grid: dict[str, Any], format: str, model: str, lossless: bool = True) -> tuple[dict[str, Any], str]:
    text, lost = write(grid, format, model, BASE)
    back, lost_back = read(text, format.partition(":")[0], model)
    assert not lossless or not (lost or lost_back), (*lost, *lost_back)
    return back, text


def lrs(model: str, grid: dict[str, Any], of: dict[str, Any], one_a: str = "cell") -> dict[str, tuple[float, float]]:
    """The LRs of a grid that was made of another one: of every module for one in 32 (by its text), else of one
    module of each cell (or block), since the modules of a cell have one LR (PATTERNS match the first of a cell)."""
    return module_lrs(model, grid, "module" if crc32(repr(of).encode()) % 32 == 0 else one_a)


@thousand(full_grid)
def test_our_own_formats_hold_every_grid(grid):
    expected = lrs("flux-dev", grid, grid)
    for format in ("toml", "args", "args-powershell", "config"):
        back, text = round_trip(grid, format, "flux-dev")
        assert same(lrs("flux-dev", back, grid), expected), format
        assert write(back, format, "flux-dev")[0] == text


@thousand(
    lambda draw: {
        **components(draw, ("self_attn", "cross_attn", "ffn")),
        **curve(draw, ("linear", "cosine", "inverted_u"), levels=False),
        "default_lr": draw.choice(RATES),
    }
)
def test_serenity_holds_components_and_curves(grid):
    back, _ = round_trip(grid, "serenity", "flux2-klein-4b")
    assert same(lrs("flux2-klein-4b", back, grid), lrs("flux2-klein-4b", grid, grid))


@thousand(block_grid)
def test_formats_of_fluxs_blocks_hold_one_factor_a_block(grid):
    expected = lrs("flux-dev", grid, grid, "block")
    for format in ("onetrainer", "lbw:61", "lbw:58", "lbw:57"):
        back, text = round_trip(grid, format, "flux-dev")
        assert same(lrs("flux-dev", back, grid, "block"), expected), format
        assert format == "onetrainer" or len(text.split(",")) == int(format[4:])


def weight_list(size: int) -> Callable[[Random], list[float]]:
    """One weight a block, not all 0 where a plain LoRA has modules."""

    def make(draw: Random) -> list[float]:
        values = [draw.choice(WEIGHTS) for _ in range(size)]
        values[8] = values[16] = draw.choice(POSITIVE)
        return values

    return make


PLAIN_SD = {1, 2, 4, 5, 7, 8, 12, *range(16, 25)}
PLAIN_SDXL = {5, 6, *range(8, 19)}


@thousand(weight_list(25))
def test_formats_of_sds_blocks_hold_one_factor_a_block(values):
    grid = {"block_lr_weight": values}
    for format in ("lbw:26", "lbw:25", "down_mid_up"):
        assert round_trip(grid, format, "sd15")[0] == grid, format
    plain = {"block_lr_weight": [value if i in PLAIN_SD else 1.0 for i, value in enumerate(values)]}
    back, _ = round_trip(plain, "lbw:17", "sd15")
    assert same(lrs("sd15", back, grid, "block"), lrs("sd15", plain, grid, "block"))


@thousand(weight_list(23))
def test_formats_of_sdxls_blocks_hold_one_factor_a_block(values):
    values[0] = values[22] = 1.0
    grid = {"block_lr_weight": values}
    for format in ("lbw:23", "down_mid_up"):
        assert round_trip(grid, format, "sdxl")[0] == grid, format
    values[10] = values[12] = values[11]  # one value there: M00
    assert round_trip(grid, "lbw:20", "sdxl")[0] == grid
    plain = {"block_lr_weight": [value if i in PLAIN_SDXL else 1.0 for i, value in enumerate(values)]}
    back, _ = round_trip(plain, "lbw:12", "sdxl")
    assert same(lrs("sdxl", back, grid, "block"), lrs("sdxl", plain, grid, "block"))


def sdxl_lrs(draw: Random) -> dict[str, Any]:
    if draw.random() < 0.5:
        values = [draw.choice((*RATES, "0")) for _ in range(23)]
        return {"block_lr": [*values[:16], draw.choice(RATES), *values[17:]]}
    return {"block_lr_weight": weight_list(23)(draw), "default_lr": draw.choice(RATES)}


@thousand(sdxl_lrs)
def test_block_lr_holds_one_lr_a_block(grid):
    back, _ = round_trip(grid, "block_lr", "sdxl")
    assert same(lrs("sdxl", back, grid, "block"), lrs("sdxl", grid, grid, "block"))


@thousand(cell_grid)
def test_network_reg_lrs_holds_every_cell_as_upstream_reads_it(grid):
    text, lost = write(grid, "network_reg_lrs", "flux-dev", BASE)
    assert not lost
    ours = {name: down for name, (down, _) in lrs("flux-dev", grid, grid).items()}
    assert same(upstream_regex_lrs("flux-dev", text, ours), ours) if text else set(ours.values()) == {BASE}


def regexes(draw: Random) -> dict[str, str]:
    patterns = (*(pattern.replace(r"\.", "_") for pattern in PATTERNS), "img_mlp", r"single_blocks_(\d1|20)_")
    return {pattern: draw.choice(ABSOLUTE) for pattern in draw.sample(patterns, draw.randint(1, len(patterns)))}


@thousand(regexes)
def test_network_reg_lrs_come_back_as_they_were(rules):
    text = ",".join(f"{pattern}={lr}" for pattern, lr in rules.items())
    arguments, lost = read(text, "network_reg_lrs", "flux-dev")
    assert not lost
    assert read(write(arguments, "network_reg_lrs", "flux-dev")[0], "network_reg_lrs", "flux-dev")[0] == arguments
    ours = {name: down for name, (down, _) in lrs("flux-dev", arguments, rules).items()}
    assert same(upstream_regex_lrs("flux-dev", text, ours), ours)


def anima_grid(draw: Random) -> dict[str, Any]:
    grid: dict[str, Any] = components(draw, ("self_attn", "cross_attn", "ffn"), (*RATES, "0"))
    if draw.random() < 0.5:
        grid |= {"module_lr": {"llm_adapter": draw.choice(RATES)}, "train_llm_adapter": "true"}
    if len(grid) < 3:
        grid["default_lr"] = draw.choice(RATES)
    if all(grid.get(f"{name}_lr", "0") == "0" for name in ("self_attn", "cross_attn", "ffn")):
        grid["self_attn_lr"] = "2x"
    return grid


@thousand(anima_grid)
def test_anima_holds_components_and_the_adapter(grid):
    for variant in ("anima", "anima:toml"):
        back, _ = round_trip(grid, variant, "anima")
        assert same(module_lrs("anima", back), module_lrs("anima", grid)), variant
