"""Blocks given for another model: the message says whose they are."""

from __future__ import annotations

import re

import pytest

from lr_grid.errors import GridError
from lr_grid.models import find_model
from lr_grid.models.counts import whose_blocks
from lr_grid.preview import Run, preview

CASES = [
    (
        "sdxl",
        "block_lr_weight",
        ",".join(["0.5"] * 25),
        "sdxl has 23 blocks .*: 25 is the number of .*SD 1.5",
    ),
    ("sd15", "block_dims", ",".join(["4"] * 23), "sd has 25 blocks .*: 23 is the number of blocks of SDXL$"),
    ("sdxl", "block_lr", "0-24:1e-4", "block 24 is out of range, sdxl has unet 0-22: unet 0-24 is SD 1.5, SD 2.1$"),
    ("flux2-klein-4b", "block_lr_weight", "single_37:2", "flux2 has single 0-19: single 0-37 is .*FLUX.1 dev"),
    ("wan-1.3b", "train_block_indices", "0-39", "wan has blocks 0-29: blocks 0-39 is Wan 2.1"),
]


@pytest.mark.parametrize(("model", "key", "value", "message"), CASES)
def test_the_message_says_whose_blocks_they_are(model, key, value, message):
    with pytest.raises(GridError) as told:
        preview(find_model(model), {key: value}, Run())
    assert any(re.search(message, text) for text in told.value.problems), told.value.problems


@pytest.mark.parametrize(
    ("model", "key", "value"),
    [("sdxl", "block_lr_weight", ",".join(["0.5"] * 23)), ("flux", "block_lr", "single_37:1e-4")],
)
def test_their_valid_twins_pass(model, key, value):
    preview(find_model(model), {key: value}, Run())


def test_nothing_is_said_where_no_model_has_so_many_blocks():
    hint = whose_blocks({"unet": 23})
    assert hint(None, 999) == hint("unet", 999) == hint("nowhere", 3) == ""
    assert hint(None, 23) == ""  # its own number


def test_nothing_is_said_of_a_text_encoders_layers():
    with pytest.raises(GridError) as told:
        preview(find_model("sdxl"), {"te1_block_lr_weight": "30:2"}, Run(trains_text_encoders=True))
    assert "clip has layers 0-11" in str(told.value)
    assert not re.search("is the number|layers 0-3[0-9]", str(told.value))
