"""Full fine-tuning under a grid in the trainers' real scripts: every tensor named, placed and trained at its own LR."""

from __future__ import annotations

import pytest
from full_cases import (
    EXACT,
    GRIDS,
    OURS,
    assert_moved_at,
    assert_planned,
    assert_same_weights,
    by_hand,
    rates,
)
from trainers.every import chosen
from trainers.full_scripts import SCRIPTS, run_full

pytestmark = pytest.mark.trainer

ALWAYS = {"flux_train_19_38", "zimage_train"}
TENSORS = {
    "fine_tune": 684,
    "train_db": 720,
    "sdxl_train": 1680,
    "flux_train": 84,
    "flux_train_19_38": 780,
    "sd3_train": 64,
    "lumina_train": 101,
    "anima_train": 109,
    "hv_train": 120,
    "qwen_image_train": 77,
    "zimage_train": 73,
    "hidream_o1_train": 44,
}


def trainer_of(request, name):
    return request.getfixturevalue(SCRIPTS[name].trainer)


@pytest.mark.parametrize("name", chosen(SCRIPTS, ALWAYS.__contains__))
def test_every_tensor_trains_at_its_lr_bit_by_bit_as_in_groups_split_by_hand(request, tmp_path, name):
    trainer, grid = trainer_of(request, name), GRIDS[name]
    ours = run_full(
        trainer, name, workdir=tmp_path, optimizer=OURS, optimizer_args=[*EXACT, *grid.arguments()]
    ).expect_success()

    assert len(ours.tensors) == TENSORS[name]
    assert [tensor for tensor in ours.tensors if tensor.startswith("?")] == []
    table = rates(grid, ours)
    assert len(set(table.values())) > 5
    assert_planned(ours, table)
    assert_moved_at(name, ours, table)
    frozen = [tensor for tensor, lr in table.items() if lr == 0]
    assert [t for t in frozen if ours.tensors[t]["state"] or ours.tensors[t]["trainable"]] == []
    assert_told(ours)
    other = by_hand(trainer, name, table, tmp_path, optimizer_args=EXACT)
    assert_same_weights(ours, other, frozen)


def assert_told(result):
    """What a user sees: the grid, and that the optimizer was found to hold it (what is frozen stays in its group)."""
    assert "[lr_grid] model=" in result.text
    assert f"[lr_grid] first step: AdamW holds exactly the plan's {len(result.tensors)} parameters" in result.text


@pytest.mark.parametrize("name", chosen(SCRIPTS, {"hidream_o1_train"}.__contains__))
def test_without_a_grid_it_is_the_trainers_own_adamw(request, tmp_path, name):
    trainer = trainer_of(request, name)
    ours = run_full(trainer, name, workdir=tmp_path, run="ours", optimizer=OURS).expect_success()
    torchs = run_full(trainer, name, workdir=tmp_path, run="torchs").expect_success()
    assert torchs.optimizers == ["torch.optim.adamw.AdamW"]
    assert_same_weights(ours, torchs)
