"""Frozen embedders do not keep the blocks behind them from learning, not under reentrant checkpointing either."""

from __future__ import annotations

import argparse

import pytest
import torch
from full_models import LR, assert_equal, train_script, values
from small_models import Flux
from torch.utils.checkpoint import checkpoint

from lr_grid.optim import AdamW

USE_REENTRANT = True
"""As sd-scripts' sdxl_original_unet.py has it."""
FROZEN = {"embed_lr": 0, "exclude_double_block_indices": "0"}


class Checkpointed(Flux):
    """FLUX's small model whose double blocks are computed again in the backward pass."""

    reentrant: bool | None = USE_REENTRANT

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.img_in(x)
        for block in self.double_blocks:
            x = block(x) if self.reentrant is None else checkpoint(block, x, use_reentrant=self.reentrant)
        for block in self.single_blocks:
            x = block(x)
        return x


def run(reentrant, checkpointing, **grid):
    torch.manual_seed(0)
    model = Checkpointed().train()
    model.reentrant = reentrant
    args = argparse.Namespace(output_dir=None, output_name=None, learning_rate=LR, gradient_checkpointing=checkpointing)
    optimizer = train_script(AdamW, model, args=args, **grid)
    inputs = torch.randn(4, 8, generator=torch.Generator().manual_seed(1))
    for _ in range(3):
        model(inputs).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert not inputs.requires_grad  # the caller's own tensor stays as it is
    return model


def test_what_stands_behind_frozen_parts_learns(capsys):
    plain, checkpointed = run(None, False, **FROZEN), run(True, True, **FROZEN)
    assert_equal(checkpointed, plain)
    out = capsys.readouterr().out
    assert out.count("gradient checkpointing of unet gives no gradient behind frozen parts") == 1
    assert "no gradient at the first step" not in out


def test_what_has_no_gradient_is_told(capsys):
    """The trainer's own flag is not set here, so nobody knows of the checkpointing."""
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad"):
        model = run(True, False, embed_lr=0, block_lr_weight="double_0:0")
    assert "tensors of the plan have no gradient at the first step and do not move (" in capsys.readouterr().out
    torch.manual_seed(0)
    before = values(Checkpointed())
    assert any(torch.equal(tensor, before[name]) for name, tensor in values(model).items() if "double_blocks.1" in name)


def test_without_frozen_parts_nothing_is_changed(capsys):
    assert_equal(run(True, True, ffn_lr="2x"), run(None, False, ffn_lr="2x"))
    assert "gradient checkpointing" not in capsys.readouterr().out
