"""A grid under lr_grid.optim: one group a part, every parameter's LR its own, in the run, its plan and its resume."""

from __future__ import annotations

import json
import re

import pytest
import torch
from small_models import Flux, TextEncoder, lr_by_name, make_network, start, trainer_args
from small_trainer import STEPS, cosine_like, train

from lr_grid.errors import GridError
from lr_grid.folding import scheduled_lrs
from lr_grid.guards import bending, check_optimizer
from lr_grid.optim import SGD, AdamW, Lion
from lr_grid.own_optimizers import takes_scales, unknown_name
from lr_grid.resume.same_optimizer import same_optimizer
from lr_grid.scales import lrs_of

OURS = "lr_grid.optim.AdamW"
GRID = {"self_attn_lr": "2x", "fused_lr": "1x", "depth_strategy": "linear", "loraplus_lr_ratio": "4"}
HALF = STEPS // 2


def ours(groups, args):
    return AdamW(groups, lr=args.learning_rate)


def folded(grid, steps, **options):
    return train(grid, steps, make_optimizer=ours, optimizer_type=OURS, **options)


def lrs_in(optimizer):
    return {
        name: lr
        for group in optimizer.param_groups
        for name, lr in zip(group["param_names"], lrs_of(group), strict=True)
    }


def started(text_encoder=None, grid=None, **changes):
    model = Flux()
    network = make_network(model, text_encoder, **(GRID if grid is None else grid))
    return network, *start(network, model, text_encoder, **changes)


@pytest.mark.parametrize("name", ["lr_grid.optim.AdamW", "lr_grid.optim.adamw.AdamW", "lr_grid.optim.Lion"])
def test_one_group_a_part_holds_the_grids_lrs(name):
    changes = {"unet_lr": 2e-4, "text_encoder_lr": 1e-5}
    _, many, _ = started([TextEncoder()], **changes)
    network, groups, descriptions = started([TextEncoder()], optimizer_type=name, **changes)
    assert len(many) > 10
    assert descriptions == ["te1", "unet"]
    assert [group["lr"] for group in groups] == [1e-5, 2e-4]
    told = {n: lr for g in groups for n, lr in zip(g["param_names"], lrs_of(g), strict=True)}
    assert told == pytest.approx(lr_by_name(many), rel=3e-16)
    by_name = dict(network.named_parameters())
    assert all(by_name[n] is p for g in groups for n, p in zip(g["param_names"], g["params"], strict=True))


def test_other_optimizers_get_a_group_for_each_lr():
    for name in (None, "AdamW", "torch.optim.AdamW", "lion_pytorch.Lion"):
        _, groups, _ = started(optimizer_type=name)
        assert len(groups) > 5
        assert not any("lr_scales" in group for group in groups)


def test_without_a_grid_argument_the_groups_stay_the_wrapped_modules():
    _, groups, _ = started(grid={}, optimizer_type=OURS)
    assert not any("lr_scales" in group for group in groups)


def test_the_group_has_the_largest_lr_where_the_trainer_has_none():
    _, (group,), _ = started(
        grid={"default_lr": "1e-4", "ffn_lr": "-3e-4", "fused_lr": "1e-4"}, learning_rate=0.0, optimizer_type=OURS
    )
    assert group["lr"] == 3e-4
    assert {f"{lr:g}" for lr in lrs_of(group)} == {"0.0001", "-0.0003"}


def test_the_layout_is_the_same_under_every_grid():
    layouts = []
    for grid in (GRID, {"ffn_lr": "3x"}, {"depth_strategy": "cosine", "depth_levels": "2"}):
        _, groups, _ = started(grid=grid, optimizer_type=OURS)
        layouts.append([group["param_names"] for group in groups])
    assert layouts[0] == layouts[1] == layouts[2]


def test_fewer_levels_are_told_to_save_nothing():
    network, _, _ = started(grid={**GRID, "depth_levels": "2"}, optimizer_type=OURS)
    said = "depth_levels: nothing to save here, a part is one group: LRs are exact without"
    assert said in network.grid_plan.notices
    network, _, _ = started(optimizer_type=OURS)
    assert not any("nothing to save" in notice for notice in network.grid_plan.notices)


def test_the_run_is_that_of_many_groups_bit_by_bit():
    many, one = train(GRID, STEPS), folded(GRID, STEPS)
    assert len(many.optimizer.param_groups) > 5
    assert len(one.optimizer.param_groups) == 1
    for name, weight in many.weights().items():
        assert torch.equal(weight, one.weights()[name]), name


def test_the_printed_grid_counts_it_and_the_plan_names_every_lr(tmp_path, capsys):
    network, _, _ = started(optimizer_type=OURS, output_dir=str(tmp_path), output_name="one")
    assert "groups=1 " in capsys.readouterr().out
    plan = json.loads((tmp_path / "one.lr_grid.json").read_text())
    (group,) = plan["groups"]
    assert group["lr"] == 1e-4
    rates = dict(zip(group["params"], group["lrs"], strict=True))
    rows = {row.site.name: row for row in network.grid_plan.rows}
    for name, lr in rates.items():
        assert lr == pytest.approx(rows[name.partition(".")[0]].lr_of("up" if "lora_up" in name else "down"), rel=1e-12)
    assert len(set(rates.values())) > 5


def step_with(make, groups, network):
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    make(groups).step()


def test_the_first_step_proves_every_parameters_lr(capsys):
    network, groups, _ = started(optimizer_type=OURS)
    capsys.readouterr()
    step_with(AdamW, groups, network)
    count = len(groups[0]["params"])
    assert (
        f"first step: AdamW holds exactly the plan's {count} parameters in 1 groups, at the plan's LRs"
        in capsys.readouterr().out
    )


def test_a_wrong_factor_stops_the_first_step():
    network, groups, _ = started(optimizer_type=OURS)
    scales = list(groups[0]["lr_scales"])
    scales[3] *= 2
    with pytest.raises(
        GridError, match=r"first step: the optimizer is not what the plan says: .* LR .*, the plan says"
    ):
        step_with(AdamW, [{**groups[0], "lr_scales": scales}], network)


def test_an_optimizer_that_does_not_know_factors_stops_the_first_step():
    network, groups, _ = started(optimizer_type=OURS)
    with pytest.raises(GridError, match="RMSprop does not know lr_scales"):
        step_with(torch.optim.RMSprop, groups, network)


def test_the_same_grid_resumes_bit_by_bit(tmp_path, capsys):
    folded(GRID, HALF, save=tmp_path)
    whole = folded(GRID, STEPS)
    capsys.readouterr()
    resumed = folded(GRID, HALF, at=HALF, resume=tmp_path, seed=1)
    for name, weight in whole.weights().items():
        assert torch.equal(weight, resumed.weights()[name]), name
    assert "carried over" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "grid", [{**GRID, "self_attn_lr": "3x"}, {"ffn_lr": "0.5x", "depth_strategy": "cosine"}, {"default_lr": "2x"}]
)
def test_another_grid_is_obeyed_and_takes_the_moments_along(tmp_path, grid, capsys):
    first = folded(GRID, HALF, save=tmp_path)
    resumed = folded(grid, 0, resume=tmp_path, seed=1)
    assert all(torch.equal(moment, first.state()[name]) for name, moment in resumed.state().items())
    assert "at new LRs" in capsys.readouterr().out
    fresh = folded(grid, STEPS)
    resumed = folded(grid, HALF, at=HALF, resume=tmp_path, seed=1)
    assert lrs_in(resumed.optimizer) == pytest.approx(lrs_in(fresh.optimizer), rel=1e-12)


def test_a_new_trainer_lr_and_kept_lrs(tmp_path):
    first = folded(GRID, HALF, save=tmp_path)
    planned = lrs_in(folded(GRID, HALF, learning_rate=3e-4).optimizer)
    resumed = folded(GRID, 0, resume=tmp_path, learning_rate=3e-4)
    assert lrs_in(resumed.optimizer) == pytest.approx(planned, rel=1e-12)
    kept = folded({**GRID, "self_attn_lr": "5x", "resume_grid": "keep"}, 0, resume=tmp_path, learning_rate=3e-4)
    assert lrs_in(kept.optimizer) == pytest.approx(lrs_in(first.optimizer), rel=1e-12)
    with pytest.raises(GridError, match="resume_grid=error"):
        folded({**GRID, "self_attn_lr": "5x", "resume_grid": "error"}, 0, resume=tmp_path)


@pytest.mark.parametrize("grid", [GRID, {"default_lr": "2x"}, {"ffn_lr": "0", "fused_lr": "1x"}])
def test_states_go_from_torchs_adamw_and_back(tmp_path, grid):
    many, one = train(GRID, HALF, save=tmp_path / "many"), folded(GRID, HALF, save=tmp_path / "one")
    planned = lrs_in(train(grid, HALF).optimizer)
    for first, state, resume in ((many, "many", folded), (one, "one", train)):
        options = {"optimizer_type": "torch.optim.AdamW"} if resume is train else {}
        resumed = resume(grid, 0, resume=tmp_path / state, seed=1, **options)
        assert lrs_in(resumed.optimizer) == pytest.approx(planned, rel=1e-12)
        moments = resumed.state()
        assert moments.keys() == planned.keys()
        assert all(torch.equal(moment, first.state()[name]) for name, moment in moments.items())
        on = resume(grid, HALF, at=HALF, resume=tmp_path / state, seed=1, **options)
        assert {float(held["step"]) for held in on.optimizer.state.values()} == {float(STEPS)}


def test_a_flat_grid_goes_to_an_optimizer_without_factors(tmp_path):
    """One group of the same parameters before and after: only the factors differ."""
    for first, then in ((folded, train), (train, folded)):
        first({"default_lr": "2x"}, HALF, save=tmp_path / first.__name__)
        resumed = then({"default_lr": "2x"}, 1, at=HALF, resume=tmp_path / first.__name__)
        (lr,) = set(lrs_in(resumed.optimizer).values())
        assert lr == pytest.approx(2e-4 * (1 - (HALF + 1) / (2 * STEPS)))


def test_a_state_of_another_optimizer_is_refused(tmp_path):
    folded(GRID, 1, save=tmp_path)
    with pytest.raises(GridError, match=r"was saved by --optimizer_type lr_grid\.optim\.adamw, and this run has lion"):
        train(GRID, 0, resume=tmp_path, optimizer_type="Lion")
    assert same_optimizer("lr_grid.optim.lion", "lion")
    assert same_optimizer("sgdnesterov", "lr_grid.optim.sgd")
    assert not same_optimizer("lr_grid.optim.adamw", "adamw8bit")


@pytest.mark.parametrize("make", [Lion, SGD])
def test_the_others_train_the_grid_too(make):
    network, groups, _ = started(optimizer_type=f"lr_grid.optim.{make.__name__}")
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    step_with(make, groups, network)
    after = dict(network.named_parameters())
    for name, lr in lrs_in(type("O", (), {"param_groups": groups})).items():
        assert torch.allclose(before[name] - after[name], torch.full_like(before[name], lr), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "near"),
    [("lr_grid.optim.adamw", "AdamW"), ("lr_grid.optim.Adamw", "AdamW"), ("lr_grid.optim.lion", "Lion")],
)
def test_a_name_that_is_almost_right_is_told(name, near):
    with pytest.raises(GridError, match=rf"Did you mean lr_grid\.optim\.{near}\?"):
        started(optimizer_type=name)
    assert takes_scales(f"lr_grid.optim.{near}")
    assert not unknown_name(f"lr_grid.optim.{near}")
    assert "there are lr_grid.optim.AdamW" in unknown_name("lr_grid.optim.Prodigy")
    assert not unknown_name("Prodigy")


def test_schedulers_are_held_against_the_groups():
    network, groups, _ = started()
    lrs, of_groups = [group["lr"] for group in groups], scheduled_lrs(network.grid_plan, OURS)
    assert of_groups == [1e-4]
    cycle = {"lr_scheduler_type": "OneCycleLR", "lr_scheduler_args": ["max_lr=1e-4", "total_steps=10"]}
    with pytest.raises(GridError, match="flattens"):
        check_optimizer(trainer_args(**cycle), lrs, scheduled_lrs(network.grid_plan, "AdamW"))
    check_optimizer(trainer_args(optimizer_type=OURS, **cycle), lrs, of_groups)
    assert bending(trainer_args(optimizer_type=OURS), lrs, of_groups) == []


def one_cycle(optimizer):
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-4, total_steps=STEPS)


@pytest.mark.parametrize("make_scheduler", [cosine_like, one_cycle])
def test_every_scheduler_keeps_the_grids_ratios(make_scheduler):
    trained = folded(GRID, HALF, make_scheduler=make_scheduler)
    planned = lrs_in(folded(GRID, 0, make_scheduler=None).optimizer)
    shares = {f"{lr / planned[name]:.9g}" for name, lr in lrs_in(trained.optimizer).items()}
    assert len(shares) == 1
    assert not re.fullmatch("1|0", shares.pop())
