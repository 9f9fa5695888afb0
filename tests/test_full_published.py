"""The published configurations in full fine-tuning: through --optimizer_args as through lr_grid.param_groups."""

from __future__ import annotations

import json
import math

import pytest
from full_models import LR, make_flux, train_script
from inventories.diffusers_models import build
from test_published_examples import EXAMPLES, PUBLISHED

import lr_grid
from lr_grid.optim import AdamW

pytest.importorskip("diffusers")


def lrs_of(optimizer):
    return {
        name: group["lr"] * scale
        for group in optimizer.param_groups
        for name, scale in zip(group["param_names"], group["lr_scales"], strict=True)
    }


@pytest.mark.parametrize(("example", "size"), EXAMPLES.items())
def test_the_optimizer_gives_every_tensor_the_lr_that_param_groups_gives(example, size):
    path = PUBLISHED / f"{example}.json"
    lr = json.loads(path.read_text(encoding="utf-8"))["learning_rate"]
    model = build(size)
    optimizer = AdamW(list(model.parameters()), lr=lr, grid=str(path))
    groups = lr_grid.param_groups(model, path, lr=lr, quiet=True)
    expected = {name: group["lr"] for group in groups for name in group["param_names"]}
    assert lrs_of(optimizer) == pytest.approx(expected, rel=1e-12, abs=0)


def test_the_full_finetune_preset(capsys):
    """Cosine down to 0.15; self-attention 1.5x, cross-attention 0.5x, the rest 1x."""
    lrs = lrs_of(train_script(AdamW, make_flux(), preset="full_finetune"))
    middle = 0.15 + 0.85 * (1 + math.cos(math.pi / 3)) / 2  # block 1 of 4
    assert lrs["double_blocks.0.img_attn.qkv.weight"] == pytest.approx(1.5 * LR)
    assert lrs["double_blocks.2.img_attn.qkv.bias"] == pytest.approx(1.5 * LR * 0.15)
    assert lrs["double_blocks.1.txt_mlp.0.weight"] == pytest.approx(0.5 * LR * (0.15 + 0.85 / 2))
    assert lrs["single_blocks.1.linear1.weight"] == pytest.approx(math.sqrt(1.5) * LR * middle)
    assert lrs["single_blocks.3.modulation.lin.weight"] == pytest.approx(LR * 0.15)
    assert lrs["img_in.weight"] == pytest.approx(LR)
    assert "preset=full_finetune" in capsys.readouterr().out
