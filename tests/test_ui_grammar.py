"""Whatever the grammar of settings says, read as a state of the page and written again: the same LR at every module."""

from __future__ import annotations

import random

import pytest
from convert_plans import module_lrs, same
from test_convert_round_trips import FLUX_COMPONENTS, RATES, full_grid

from lr_grid.errors import GridError
from lr_grid.ui.parse import parse
from lr_grid.ui.parsed import Asked
from lr_grid.ui.read import read_arguments
from lr_grid.ui.write import texts_of, words_of


def with_lists(draw: random.Random) -> dict:
    """A grid with everything that the page turns into something else."""
    grid = full_grid(draw)
    if draw.random() < 0.3:
        grid = {key: value for key, value in grid.items() if not key.startswith("exclude_")}
        chosen = draw.sample(FLUX_COMPONENTS, 3)
        grid["train_components"] = ",".join(chosen)
        left = {f"{component}_lr" for component in FLUX_COMPONENTS} - {f"{component}_lr" for component in chosen}
        grid = {key: value for key, value in grid.items() if key not in left}
    if draw.random() < 0.3:
        grid["train_double_block_indices"] = draw.choice(("0-9", "all", "2,4,18"))
    if draw.random() < 0.2:
        grid["block_lr"] = ",".join(draw.choice(RATES) for _ in range(57))
    return grid


def test_a_grid_of_any_keys_gives_the_same_lrs_through_the_page():
    draw, compared = random.Random(3), 0
    for _ in range(150):
        grid = with_lists(draw)
        grid.pop("mod_dim", None)  # ranks are no part of this question
        try:
            expected = module_lrs("flux-dev", grid, "module")
        except GridError:
            continue
        state = read_arguments(grid, "flux-dev").state
        assert same(expected, module_lrs("flux-dev", dict(words_of(state)), "module")), (grid, words_of(state))
        texts = texts_of(state)
        for text in (texts.network_args, texts.toml):
            again = parse(text, Asked("flux-dev"))[1].state
            assert list(words_of(again)) == list(words_of(state))
            assert same(expected, module_lrs("flux-dev", dict(words_of(again)), "module"))
        compared += 1
    assert compared > 80


@pytest.mark.parametrize(
    "arguments",
    [
        {"per_layer_lr": "true", "ffn_lr": "1x"},
        {"preset": "style", "depth_strategy": "flat"},
        {"preset": "subject", "component_lr": "ffn:2x"},
        {"block_lr": "double:1e-4,double_3:0", "block_lr_weight": "double:0.5"},
        {"default_lr": "0", "ffn_lr": "1x"},
        {"depth_strategy": "linear", "min_depth_factor": "0", "depth_scope": "model"},
        {"module_lr": "img_mlp:0,double_blocks:2x"},
        {"exclude_single_block_indices": "all"},
        {"block_lr_weight": ",".join(["0.5"] * 18 + ["0"] + ["1"] * 38)},
        {"self_attn_lr": "4e-4", "ffn_lr": "1e-4"},
        {"fused_lr": "0", "mod_lr": "0", "block_lr_weight": "double_0:2"},
    ],
)
def test_settings_with_corners_give_the_same_lrs_through_the_page(arguments):
    words = words_of(read_arguments(arguments, "flux-dev").state)
    assert same(module_lrs("flux-dev", arguments, "module"), module_lrs("flux-dev", dict(words), "module"))
