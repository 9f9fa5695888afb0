"""``lr-grid launch``: a grid where no optimizer can bring it, in the real full fine-tuning scripts."""

from __future__ import annotations

import pytest
from full_cases import GRIDS, assert_planned, rates, reached
from full_oracle import Grid
from trainers.every import chosen
from trainers.full_scripts import SCRIPTS, run_full

pytestmark = pytest.mark.trainer

FUSED = {
    "optimizer": "adafactor",
    "optimizer_args": ["relative_step=False", "scale_parameter=False", "warmup_init=False"],
    "extra": ["--fused_backward_pass", "--max_grad_norm=0", "--lr_scheduler=constant"],
}
CASES = ["flux_train_19_38", "sdxl_train", "sd3_train", "lumina_train", "anima_train", "qwen_image_train"]
CASES += ["zimage_train", "hidream_o1_train"]


def launched(trainer, name, grid, workdir, **options):
    launcher = ["lr_grid", "launch", "--args", *grid.words(), "--"]
    return run_full(trainer, name, workdir=workdir, run="launched", launcher=launcher, **options)


def moves(result):
    """How far each tensor went: the hooks of a fused backward pass move them, outside of any step."""
    assert result.report["steps"] == []
    return {name: tensor["moved_outside"] for name, tensor in result.tensors.items()}


@pytest.mark.parametrize("name", chosen(CASES, {"flux_train_19_38"}.__contains__))
def test_adafactor_in_the_backward_pass_moves_every_tensor_by_the_grid(request, tmp_path, name):
    trainer, grid = request.getfixturevalue(SCRIPTS[name].trainer), GRIDS[name]
    plain = run_full(trainer, name, workdir=tmp_path, run="plain", steps=1, **FUSED).expect_success()
    result = launched(trainer, name, grid, tmp_path, steps=1, **FUSED).expect_success()
    table = rates(grid, result)
    assert_planned(result, table)
    expected, moved = moves(plain), moves(result)
    assert moved.keys() == expected.keys()
    assert [tensor for tensor in expected if bool(expected[tensor]) != reached(name, tensor)] == []
    for tensor, lr in table.items():
        ratio = lr / result.tensors[tensor]["lr"]
        assert moved[tensor] == pytest.approx(expected[tensor] * ratio, rel=2e-3, abs=2e-7), tensor


@pytest.mark.parametrize("name", chosen(["hv_train"], lambda _: False))
def test_a_trainers_own_optimizer_by_its_short_name_moves_by_the_grid(musubi, tmp_path, name):
    grid = GRIDS[name]
    own = {"optimizer": "AdamW", "optimizer_args": ["eps=1e-16", "weight_decay=0"], "steps": 1}
    plain = run_full(musubi, name, workdir=tmp_path, run="plain", **own).expect_success()
    result = launched(musubi, name, grid, tmp_path, **own).expect_success()
    table = rates(grid, result)
    assert_planned(result, table)
    for tensor, lr in table.items():
        expected = plain.tensors[tensor]["moved"][0] * lr / result.tensors[tensor]["lr"]
        assert result.tensors[tensor]["moved"][0] == pytest.approx(expected, rel=2e-3, abs=2e-7), tensor


@pytest.mark.parametrize("name", chosen(["zimage_train"], lambda _: False))
def test_a_mistake_is_told_before_anything_trains(musubi, tmp_path, name):
    result = launched(musubi, name, Grid({"cross_attn": "2x"}), tmp_path, **FUSED)
    assert result.returncode == 2
    assert "cross_attn" in result.text
    assert not list(result.run.folder.glob("*.safetensors"))


@pytest.mark.parametrize("name", chosen(["zimage_train"], lambda _: False))
def test_another_optimizer_than_adafactor_in_the_backward_pass_is_refused(musubi, tmp_path, name):
    ours = {"optimizer": "lr_grid.optim.AdamW", "optimizer_args": ["ffn_lr='2x'"], "extra": FUSED["extra"]}
    result = run_full(musubi, name, workdir=tmp_path, **ours)
    assert result.returncode != 0
    assert "lr-grid launch" in result.text[result.text.rindex("lr_grid.errors.GridError") :]
    assert all(tensor["before"] == tensor["after"] for tensor in result.tensors.values())
