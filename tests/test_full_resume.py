"""A saved state comes back under another grid: its moments stay, this run's LRs hold."""

from __future__ import annotations

import argparse
import io

import pytest
import torch
from full_models import GRID, LR, assert_equal, make_flux, split_by_hand, train, train_script, values

from lr_grid.errors import GridError
from lr_grid.optim import AdamW, Grid, GridScheduleFree

OTHER = {"self_attn_lr": "0.2x", "ffn_lr": "3x", "depth_strategy": "cosine"}
MAKERS = [(AdamW, {}), (Grid, {"optimizer": "torch.optim.AdamW"})]
BOTH = pytest.mark.parametrize(("make", "options"), MAKERS, ids=["own", "wrapped"])


def saved(optimizer):
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)  # as accelerate does


def resuming(output_dir=None, lr=LR):
    return argparse.Namespace(output_dir=output_dir, output_name=None, resume="state", learning_rate=lr)


def lrs_of(optimizer):
    (group,) = optimizer.param_groups
    return [group["lr"] * scale for scale in group["lr_scales"]]


@BOTH
def test_the_same_grid_goes_on_bit_by_bit(make, options):
    straight, stopped = make_flux(), make_flux()
    train(train_script(make, straight, **options, **GRID), straight, 5)
    first = train_script(make, stopped, **options, **GRID)
    train(first, stopped, 3)
    second = train_script(make, stopped, args=resuming(), **options, **GRID)
    second.load_state_dict(saved(first))
    train(second, stopped, 2, start=3)
    assert_equal(stopped, straight)


@BOTH
def test_another_grid_has_its_lrs_and_the_saved_moments(make, options, capsys):
    model = make_flux()
    first = train_script(make, model, **options, **GRID)
    train(first, model, 3)
    second = train_script(make, model, args=resuming(), **options, **OTHER)
    planned = lrs_of(second)
    assert planned != lrs_of(first)
    second.load_state_dict(saved(first))
    assert lrs_of(second) == planned
    for parameter in model.parameters():
        assert torch.equal(second.state[parameter]["exp_avg"], first.state[parameter]["exp_avg"])
        assert second.state[parameter]["step"] == 3
    train(second, model, 1, start=3)
    out = capsys.readouterr().out
    changed = sum(one != other for one, other in zip(planned, lrs_of(first), strict=True))
    assert f"resumed: {changed} of 86 parameters take another LR than in the saved state, their moments stay" in out
    assert "the resumed state's names agree, at the plan's LRs" in out


@BOTH
def test_another_base_lr_has_its_lrs_too(make, options):
    model = make_flux()
    first = train_script(make, model, **options, **GRID)
    torch.optim.lr_scheduler.LambdaLR(first, lambda step: 1.0)
    train(first, model)
    second = make(list(model.parameters()), lr=5 * LR, **options, **GRID)
    planned = lrs_of(second)
    second.load_state_dict(saved(first))
    assert second.param_groups[0]["lr"] == LR  # the trainer's schedule goes on from what it has saved
    assert lrs_of(second) == pytest.approx(planned, rel=1e-12)


@BOTH
def test_a_state_without_a_grid_is_taken(make, options):
    model, by_hand = make_flux(), make_flux()
    for each in (model, by_hand):
        first = torch.optim.AdamW(list(each.parameters()), lr=LR, foreach=False)
        train(first, each)
        if each is by_hand:
            split = torch.optim.AdamW(split_by_hand(each), lr=LR, foreach=False)
            split.state.update(first.state)
            second = split
        else:
            second = train_script(make, each, **options, **GRID)
            second.load_state_dict(saved(first))
        train(second, each, 2, start=3)
    assert_equal(model, by_hand)


@pytest.mark.parametrize("make", [AdamW, torch.optim.AdamW])
def test_a_run_without_a_grid_has_none_of_the_saved_one(make, capsys):
    model, plain = make_flux(), make_flux()
    first = train_script(AdamW, model, mod_lr=0, **GRID)
    train(first, model)
    state, same = saved(first), saved(first)  # two, because loading shares the moments
    plain.load_state_dict(model.state_dict())
    model.requires_grad_(True)
    capsys.readouterr()
    second = train_script(make, model)
    second.load_state_dict(state)
    hand = torch.optim.AdamW(list(plain.parameters()), lr=LR, foreach=False)
    hand.load_state_dict(same)
    train(second, model, 2, start=3)
    train(hand, plain, 2, start=3)
    assert_equal(model, plain)
    told = "the saved state is of a run with a grid and this run has none: 84 parameters take the LR of their group"
    assert (told in capsys.readouterr().out) is (make is AdamW)


@BOTH
def test_what_was_frozen_can_thaw(make, options):
    model = make_flux()
    first = train_script(make, model, **options, mod_lr=0, **GRID)
    train(first, model)
    frozen = values(model)["double_blocks.0.img_mod.lin.weight"]
    model.requires_grad_(True)
    second = train_script(make, model, args=resuming(), **options, **GRID)
    second.load_state_dict(saved(first))
    train(second, model, 1, start=3)
    assert not torch.equal(values(model)["double_blocks.0.img_mod.lin.weight"], frozen)


@BOTH
def test_resume_grid_says_whose_lrs_hold(make, options, capsys):
    model = make_flux()
    first = train_script(make, model, **options, **GRID)
    train(first, model)
    kept = train_script(make, model, args=resuming(), resume_grid="keep", **options, **OTHER)
    kept.load_state_dict(saved(first))
    assert lrs_of(kept) == lrs_of(first)
    train(kept, model, 1)
    assert "of 86 parameters keep the saved state's LR" in capsys.readouterr().out
    strict = train_script(make, model, args=resuming(), resume_grid="error", **options, **OTHER)
    with pytest.raises(GridError, match=r"resume_grid=error: \d+ of 86 parameters"):
        strict.load_state_dict(saved(first))


@BOTH
def test_a_state_of_other_parameters_is_refused(make, options):
    model = make_flux()
    first = train_script(make, model, **options, **GRID)
    train(first, model, 1)
    state = saved(first)
    names = state["param_groups"][0]["param_names"]
    names[0], names[1] = names[1], names[0]
    second = train_script(make, model, args=resuming(), **options, **GRID)
    with pytest.raises(GridError, match=r"the saved state has img_in.bias where this run has img_in.weight"):
        second.load_state_dict(state)


def test_accelerates_own_round_trip_changes_nothing(capsys):
    """accelerate loads an optimizer's own state into it when it is prepared."""
    model = make_flux()
    optimizer = train_script(AdamW, model, **GRID)
    before = lrs_of(optimizer)
    optimizer.load_state_dict(optimizer.state_dict())
    assert lrs_of(optimizer) == before
    assert "resumed" not in capsys.readouterr().out


def test_what_a_schedule_free_optimizer_keeps_comes_back():
    pytest.importorskip("schedulefree")
    options = {"optimizer": "schedulefree.AdamWScheduleFree", "warmup_steps": 2}
    straight, stopped = make_flux(), make_flux()
    one = train_script(GridScheduleFree, straight, **options, **GRID)
    one.train()
    train(one, straight, 6)
    first = train_script(GridScheduleFree, stopped, **options, **GRID)
    first.train()
    train(first, stopped, 3)
    second = train_script(GridScheduleFree, stopped, args=resuming(), **options, **GRID)
    second.load_state_dict(saved(first))
    train(second, stopped, 3, start=3)
    assert_equal(stopped, straight)
    assert second.param_groups[0]["k"] == 6
