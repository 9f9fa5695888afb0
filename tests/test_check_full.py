"""lr-grid check on full fine-tuning: a grid among --optimizer_args."""

from __future__ import annotations

import inspect

import pytest
import torch

import lr_grid.optim
from lr_grid.check import check_training
from lr_grid.check.full import OWN_OPTIONS
from lr_grid.full.arguments import keywords_of
from lr_grid.training import read_training

OURS = "lr_grid.optim.AdamW"
START = "accelerate launch {script} --learning_rate 1e-5 --pretrained_model_name_or_path a --output_dir b"


def findings(*arguments, optimizer=OURS, script="flux_train.py", more=""):
    """The findings about the optimizer and its arguments."""
    given = " ".join(f'"{argument}"' for argument in arguments)
    command = f"{START.format(script=script)} --optimizer_type {optimizer} {more}"
    config = read_training(f"{command} --optimizer_args {given}" if arguments else command, is_text=True)
    return [finding for finding in check_training(config) if "optimizer" in str(finding.place)]


def errors(*arguments, **options):
    return [finding.text for finding in findings(*arguments, **options) if finding.severity != "note"]


def test_a_right_grid_is_left_alone_but_for_what_only_a_run_knows():
    found = findings("self_attn_lr='1.5x'", "weight_decay=0.1", "depth_strategy='linear'", "plan_file='x.json'")
    assert [finding.severity for finding in found] == ["note"]
    assert "a run tells it before it trains" in found[0].text
    assert findings("weight_decay=0.1") == []
    assert findings(optimizer="AdamW") == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["self_atn_lr='2x'"], "Did you mean self_attn_lr?"),
        (["weight_deca=0.1"], "Did you mean weight_decay?"),
        (["depth_strategy='liner'"], "Did you mean linear?"),
        (["block_lr_weight='double_3-1:2'"], "runs backwards"),
        (["ffn_dim=8"], "a rank is an adapter's"),
        (["loraplus_lr_ratio=4"], "LoRA+ is about the two sides of an adapter"),
        (["self_attn_lr=2x"], "the trainer cannot read '2x'"),
    ],
)
def test_a_mistake_in_the_settings_is_told(arguments, word):
    assert any(word in text for text in errors(*arguments, "ffn_lr='0.5x'")), errors(*arguments)


def test_all_mistakes_are_told_at_once():
    assert len(errors("ffn_dim=8", "self_atn_lr='2x'", "depth_strategy='liner'")) == 3


def test_a_grid_on_an_optimizer_that_takes_none_is_told_with_the_cure():
    (text,) = errors("self_attn_lr='2x'", "weight_decay=0.1", optimizer="AdamW")
    assert "AdamW has no self_attn_lr" in text
    assert "lr_grid.optim.AdamW" in text


def test_other_optimizers_have_options_that_are_not_known_here():
    assert errors("optimizer='torch.optim.NAdam'", "momentum_decay=0.1", optimizer="lr_grid.optim.Grid") == []
    assert "wants an optimizer" in errors("ffn_lr='2x'", optimizer="lr_grid.optim.Grid")[0]
    assert "Did you mean AdamW?" in errors(optimizer="lr_grid.optim.Adamw")[0]


def test_a_fused_backward_pass_is_for_lr_grid_launch():
    (text,) = errors("ffn_lr='2x'", more="--fused_backward_pass")
    assert "lr-grid launch" in text
    assert errors(optimizer="adafactor", more="--fused_backward_pass") == []


def test_in_a_loras_run_a_grid_belongs_into_network_args():
    lora = {"script": "flux_train_network.py", "more": "--network_module networks.lora_flux_grid"}
    (text,) = errors("depth_strategy='linear'", **lora)
    assert "network_args" in text
    assert errors("weight_decay=0.1", **lora) == []


def test_a_grid_file_is_read(tmp_path):
    file = tmp_path / "grid.toml"
    file.write_text('self_atn_lr = "2x"\n', encoding="utf-8")
    assert "self_attn_lr" in errors(f"grid='{file}'")[0]
    assert errors("grid='nowhere.toml'") == []
    assert any("its settings are not checked" in finding.text for finding in findings("grid='nowhere.toml'"))


def test_the_table_of_own_options_is_that_of_the_optimizers():
    lion = inspect.signature(lr_grid.optim.Lion).parameters.values()
    assert {
        "AdamW": keywords_of(torch.optim.AdamW.__init__),
        "SGD": keywords_of(torch.optim.SGD.__init__),
        "Lion": {p.name for p in lion if p.kind is not p.VAR_KEYWORD} - {"params"},
    } == OWN_OPTIONS
