"""A grid in full fine-tuning moves every tensor as the optimizer does that was split by hand, and leaves the trainer's
groups as they are."""

from __future__ import annotations

import argparse
import json

import pytest
import torch
from full_models import (
    GRID,
    LR,
    TE_LR,
    CLIPTextModel,
    assert_equal,
    give_gradients,
    lr_of,
    make_flux,
    split_by_hand,
    train,
    train_script,
    values,
)

from lr_grid.errors import GridError
from lr_grid.full.attach import attach
from lr_grid.guards.chosen import optimizer_of
from lr_grid.optim import SGD, AdamW, Grid, GridScheduleFree, Lion


def other(name):
    module, _, cls = name.rpartition(".")
    return getattr(pytest.importorskip(module), cls)


def with_lr_scales(optimizer):
    (group,) = optimizer.param_groups
    return {name: group["lr"] * scale for name, scale in zip(group["param_names"], group["lr_scales"], strict=True)}


def test_every_tensor_has_the_lr_of_the_formula():
    optimizer = train_script(AdamW, make_flux(), **GRID)
    lrs = with_lr_scales(optimizer)
    assert lrs == pytest.approx({name: lr_of(name) for name in lrs}, rel=1e-12)
    assert len(optimizer.param_groups) == 1
    assert optimizer.param_groups[0]["lr"] == LR


OWN = [
    (AdamW, {"weight_decay": 0.1}, torch.optim.AdamW, {"foreach": False}),
    (SGD, {"momentum": 0.9, "weight_decay": 0.1}, torch.optim.SGD, {"foreach": False}),
]
WRAPPED = [
    ("NAdam", {}, Grid),
    ("torch.optim.AdamW", {"foreach": True}, Grid),
    ("torch.optim.AdamW", {"fused": True}, Grid),
    ("torch.optim.RMSprop", {"momentum": 0.9}, Grid),
    ("lion_pytorch.Lion", {"weight_decay": 0.1}, Grid),
    ("bitsandbytes.optim.AdamW8bit", {"min_8bit_size": 16}, Grid),
    ("transformers.optimization.Adafactor", {"relative_step": False, "scale_parameter": False}, Grid),
    ("schedulefree.AdamWScheduleFree", {"warmup_steps": 2}, GridScheduleFree),
    ("schedulefree.SGDScheduleFree", {"weight_decay": 0.1}, GridScheduleFree),
    ("schedulefree.RAdamScheduleFree", {}, GridScheduleFree),
    ("prodigyplus.ProdigyPlusScheduleFree", {"split_groups": False}, GridScheduleFree),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("ours", "options", "theirs", "loop"), OWN)
def test_our_own_moves_as_torchs_split_by_hand(ours, options, theirs, loop, dtype):
    model, by_hand = make_flux(dtype=dtype), make_flux(dtype=dtype)
    train(train_script(ours, model, **options, **GRID), model)
    train(theirs(split_by_hand(by_hand), lr=LR, **options, **loop), by_hand)
    assert_equal(model, by_hand)


def test_lion_moves_as_lion_pytorch_split_by_hand():
    model, by_hand = make_flux(), make_flux()
    train(train_script(Lion, model, weight_decay=0.1, **GRID), model)
    train(other("lion_pytorch.Lion")(split_by_hand(by_hand), lr=LR, weight_decay=0.1), by_hand)
    assert_equal(model, by_hand)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("name", "options", "wrapper"), WRAPPED)
def test_any_other_moves_as_the_same_split_by_hand(name, options, wrapper, dtype):
    cls = other(name if "." in name else f"torch.optim.{name}")
    model, by_hand = make_flux(dtype=dtype), make_flux(dtype=dtype)
    optimizer = train_script(wrapper, model, optimizer=name, **options, **GRID)
    assert isinstance(optimizer, cls)
    split = cls(split_by_hand(by_hand), lr=LR, **options)
    for each, of in ((optimizer, model), (split, by_hand)):
        if hasattr(each, "train"):
            each.train()
        train(each, of, 2)
        if hasattr(each, "train"):  # as the trainers do round a sample or a save
            each.eval()
            each.train()
        train(each, of, 2, start=2)
        if hasattr(each, "eval"):
            each.eval()
    assert_equal(model, by_hand)


def test_what_an_optimizer_keeps_in_its_groups_lives_on():
    model = make_flux()
    optimizer = train_script(GridScheduleFree, model, optimizer="schedulefree.AdamWScheduleFree", **GRID)
    optimizer.train()
    train(optimizer, model, 3)
    (group,) = optimizer.param_groups
    assert group["k"] == 3
    assert group["train_mode"] is True
    optimizer.eval()
    assert optimizer.param_groups[0]["train_mode"] is False


def test_prodigys_step_size_lives_on_where_a_grid_only_freezes():
    pytest.importorskip("prodigyopt")
    model, by_hand = make_flux(), make_flux()
    optimizer = train_script(
        Grid, model, optimizer="prodigyopt.Prodigy", d_coef=1e4, train_components="self_attn,cross_attn"
    )
    attention = [p for n, p in by_hand.named_parameters() if "_attn" in n or "txt_mlp" in n]
    split = other("prodigyopt.Prodigy")(attention, lr=LR, d_coef=1e4)
    for _ in range(6):  # the same gradient again and again: its step size grows
        train(optimizer, model, 1)
        train(split, by_hand, 1)
    assert optimizer.param_groups[0]["d"] == split.param_groups[0]["d"] > 1e-6
    theirs = values(by_hand)
    assert all(torch.equal(t, theirs[n]) for n, t in values(model).items() if "_attn" in n or "txt_mlp" in n)


@pytest.mark.parametrize(("ours", "options", "theirs", "loop"), OWN)
def test_without_a_grid_it_is_the_plain_optimizer(ours, options, theirs, loop, capsys):
    model, plain = make_flux(), make_flux()
    optimizer = train_script(ours, model, **options)
    assert set(optimizer.param_groups[0]) == set(theirs([torch.ones(1)], lr=LR, **options).param_groups[0])
    train(optimizer, model)
    train(theirs(list(plain.parameters()), lr=LR, **options, **loop), plain)
    assert_equal(model, plain)
    assert capsys.readouterr().out == ""


def test_without_a_grid_the_wrapper_is_the_optimizer_itself():
    assert type(train_script(Grid, make_flux(), optimizer="NAdam", momentum_decay=0.01)) is torch.optim.NAdam


FREEZING = {**GRID, "mod_lr": 0, "exclude_single_block_indices": "3"}
FROZEN = ("_mod", "modulation", "single_blocks.3.")


@pytest.mark.parametrize(("make", "options"), [(AdamW, {}), (Grid, {"optimizer": "torch.optim.AdamW"})])
@pytest.mark.parametrize("asked_again", [False, True], ids=["", "gradients asked for again"])
def test_an_lr_of_0_freezes(make, options, asked_again):
    model, by_hand = make_flux(), make_flux()
    before = values(model)
    optimizer = train_script(make, model, weight_decay=0.1, **options, **FREEZING)
    frozen = {n for n, _ in model.named_parameters() if any(word in n for word in FROZEN)}
    assert {n for n, p in model.named_parameters() if not p.requires_grad} == frozen
    assert len(optimizer.param_groups[0]["params"]) == len(before)  # the trainer's group stays as it was
    if asked_again:
        model.requires_grad_(True)
    train(optimizer, model)
    split = torch.optim.AdamW(split_by_hand(by_hand, FROZEN), lr=LR, weight_decay=0.1, foreach=False)
    train(split, by_hand)
    assert_equal(model, by_hand)
    assert {n for n, tensor in values(model).items() if torch.equal(tensor, before[n])} == frozen
    assert len(optimizer.state) == len(before) - len(frozen)


SCHEDULERS = {
    "cosine": lambda o, _: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=6),
    "one cycle": lambda o, lrs: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=lrs, total_steps=6),
    "warm-up": lambda o, _: torch.optim.lr_scheduler.LambdaLR(o, lambda step: min(1, step / 2)),
}


@pytest.mark.parametrize(("make", "options"), [(AdamW, {}), (Grid, {"optimizer": "torch.optim.AdamW"})])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_keeps_the_ratios(make, options, name):
    schedule = SCHEDULERS[name]
    model, by_hand = make_flux(), make_flux()
    optimizer = train_script(make, model, **options, **GRID)
    split = torch.optim.AdamW(split_by_hand(by_hand), lr=LR, foreach=False)
    train(optimizer, model, 5, scheduler=schedule(optimizer, LR))
    train(split, by_hand, 5, scheduler=schedule(split, [group["lr"] for group in split.param_groups]))
    theirs = values(by_hand)
    for parameter, tensor in values(model).items():  # an LR may differ in the last bit of a double
        torch.testing.assert_close(tensor, theirs[parameter], rtol=1e-6, atol=1e-7)


def test_groups_with_lrs_of_their_own_keep_their_meaning(capsys):
    model = make_flux()
    half = [p for n, p in model.named_parameters() if n.startswith("single_blocks")]
    rest = [p for n, p in model.named_parameters() if not n.startswith("single_blocks")]
    optimizer = AdamW([{"params": rest, "lr": LR}, {"params": half, "lr": 0.1 * LR}], lr=LR, **GRID)
    assert [group["lr"] for group in optimizer.param_groups] == [LR, 0.1 * LR]
    for group in optimizer.param_groups:
        for name, scale in zip(group["param_names"], group["lr_scales"], strict=True):
            assert group["lr"] * scale == pytest.approx(lr_of(name, group["lr"]), rel=1e-12), name
    assert "the trainer has 2 LRs of its own for unet (0.0001 to 0.001)" in capsys.readouterr().out


def test_text_encoders_keep_their_lr_until_a_te_key_says_otherwise():
    plain = train_script(AdamW, make_flux(), CLIPTextModel(), **GRID)
    assert set(plain.param_groups[1]["lr_scales"]) == {1.0}
    model, encoder = make_flux(), CLIPTextModel()
    optimizer = train_script(AdamW, model, encoder, te_self_attn_lr="0.5x", te1_ffn_lr=5e-5, **GRID)
    group = optimizer.param_groups[1]
    assert group["lr"] == TE_LR
    lrs = sorted({group["lr"] * scale for scale in group["lr_scales"]})
    assert lrs == pytest.approx([5e-5, 0.5 * TE_LR])


def blockwise(make, model, **options):
    """What flux_train.py does with --blockwise_fused_optimizers."""
    args = argparse.Namespace(output_dir=None, output_name=None, resume=None, learning_rate=LR)
    by_block = {}
    for name, parameter in model.named_parameters():
        by_block.setdefault(".".join(name.split(".")[:2]) if "_blocks" in name else "other", []).append(parameter)
    grouped_params = [{"params": parameters, "lr": args.learning_rate} for parameters in by_block.values()]
    return [make([group], lr=args.learning_rate, **options) for group in grouped_params]


@pytest.mark.parametrize(("make", "options"), [(AdamW, {}), (Grid, {"optimizer": "torch.optim.AdamW"})])
def test_an_optimizer_for_every_block_is_one_plan(make, options, capsys):
    model, by_hand = make_flux(), make_flux()
    optimizers = blockwise(make, model, mod_lr=0, **options, **GRID)
    assert len(optimizers) == 8
    assert capsys.readouterr().out.count("model=flux") == 1
    for step in range(3):
        give_gradients(model, step)
        for optimizer in reversed(optimizers):
            optimizer.step()
    train(torch.optim.AdamW(split_by_hand(by_hand, ("_mod", "modulation")), lr=LR, foreach=False), by_hand)
    assert_equal(model, by_hand)
    assert capsys.readouterr().out.count("first step") == 1


def test_the_plan_lands_beside_the_model(tmp_path):
    args = argparse.Namespace(output_dir=str(tmp_path), output_name="mine", resume=None, learning_rate=LR)
    model = make_flux()
    train_script(AdamW, model, args=args, mod_lr=0, **GRID)
    plan = json.loads((tmp_path / "mine.lr_grid.json").read_text())
    assert plan["network_module"] == "lr_grid.optim.AdamW"
    (group,) = plan["groups"]
    told = dict(zip(group["params"], group["lrs"], strict=True))
    expected = {n: 0 if "mod" in n else lr_of(n) for n, _ in model.named_parameters()}
    assert told == pytest.approx(expected, rel=1e-12)


def test_the_plan_goes_where_it_is_told(tmp_path):
    train_script(AdamW, make_flux(), plan_file=str(tmp_path / "there.json"), **GRID)
    assert (tmp_path / "there.json").exists()


def test_the_first_step_is_proven(capsys):
    model = make_flux()
    optimizer = train_script(AdamW, model, **GRID)
    optimizer.param_groups[0]["lr_scales"][3] = 7.0
    with pytest.raises(GridError, match="the optimizer is not what the plan says"):
        train(optimizer, model)
    model = make_flux()
    train(train_script(Grid, model, optimizer="NAdam", **GRID), model)
    assert "first step: GridNAdam holds exactly the plan's 86 parameters in 1 groups, at" in capsys.readouterr().out


WRONG = [
    (
        {"self_atn_lr": "1.5x"},
        "self_atn_lr: neither lr_grid.optim.AdamW nor the grid has it. Did you mean self_attn_lr?",
    ),
    ({"weight_decai": 0.1}, "weight_decai: neither .* Did you mean weight_decay"),
    ({"ffn_dim": 4, "ffn_lr": "2x"}, "ffn_dim: a rank is an adapter's"),
    ({"loraplus_lr_ratio": 4}, "loraplus_lr_ratio: LoRA. is about the two sides"),
    ({"te_ffn_lr": "2x"}, "te_ffn_lr: this run trains no module of a text encoder"),
    ({"norm_lr": "2x"}, "norm_lr: this run trains no norm module in flux"),
    ({"block_lr_weight": "double_9:0.5"}, "block 9 is out of range, flux has double 0-2"),
    ({"grid": "nowhere.toml"}, "grid: nowhere.toml: no such file"),
    ({"plan_file": "x.json"}, "no setting of a grid is given"),
    ({"plan_file": "x.txt", "ffn_lr": "2x"}, "x.txt is no .json file"),
    ({"default_lr": 0}, "every LR is 0"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[next(iter(options)) for options, _ in WRONG])
def test_what_is_wrong_is_refused_before_anything_changes(options, message):
    model = make_flux()
    with pytest.raises(GridError, match=message):
        train_script(AdamW, model, **options)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_all_problems_are_told_at_once():
    with pytest.raises(GridError, match=r"(?s)2 problems.*self_atn_lr: neither.*ffn_lr: 'fast' is not a learning rate"):
        train_script(AdamW, make_flux(), self_atn_lr="2x", ffn_lr="fast")
    with pytest.raises(GridError, match=r"(?s)3 problems.*ffn_dim.*loraplus.*norm_lr"):
        train_script(AdamW, make_flux(), ffn_dim=4, loraplus_lr_ratio=4, norm_lr="2x")


OPTIMIZERS = [
    (Grid, {}, "lr_grid.optim.Grid wants the optimizer's name"),
    (Grid, {"optimizer": "torch.optim.Nadam"}, "torch.optim has no Nadam"),
    (Grid, {"optimizer": "no.such.Thing"}, "No module named 'no'"),
    (Grid, {"optimizer": "torch.nn.Linear"}, "is no torch optimizer"),
    (Grid, {"optimizer": "NAdam", "momentum": 0.9}, "momentum: neither torch.optim.NAdam nor the grid has it"),
    (Grid, {"optimizer": "schedulefree.AdamWScheduleFree"}, "give --optimizer_type lr_grid.optim.GridScheduleFree"),
    (GridScheduleFree, {"optimizer": "NAdam"}, "give --optimizer_type lr_grid.optim.Grid instead"),
    (Grid, {"optimizer": "prodigyopt.Prodigy"}, "prodigyopt.Prodigy knows one LR for all groups"),
    (Grid, {"optimizer": "torch.optim.Rprop"}, "takes the LR for the size of its first step only"),
]


@pytest.mark.parametrize(("make", "options", "message"), OPTIMIZERS)
def test_optimizers_that_cannot_are_refused(make, options, message):
    if "." in options.get("optimizer", ""):
        module = options["optimizer"].partition(".")[0]
        if module not in ("no", "torch"):
            pytest.importorskip(module)
    with pytest.raises(GridError, match=message):
        train_script(make, make_flux(), **options, **GRID)


def test_an_optimizer_without_an_lr_is_refused():
    adafactor, model = other("transformers.optimization.Adafactor"), make_flux()
    optimizer = adafactor(list(model.parameters()), lr=None)
    with pytest.raises(GridError, match=r"parameter group 0 has no LR.*relative_step=False scale_parameter=False"):
        attach(optimizer, GRID)


def test_an_optimizer_takes_one_grid_only():
    optimizer = train_script(AdamW, make_flux(), **GRID)
    with pytest.raises(GridError, match="has a grid already"):
        attach(optimizer, GRID)


def test_a_fused_backward_pass_is_for_adafactor():
    model = make_flux()
    args = argparse.Namespace(output_dir=None, output_name=None, learning_rate=LR, fused_backward_pass=True)
    with pytest.raises(GridError, match=r"takes Adafactor alone, not lr_grid.optim.AdamW: .* lr-grid launch"):
        train_script(AdamW, model, args=args, mod_lr=0, **GRID)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_norms_need_one_step_of_one_optimizer():
    args = argparse.Namespace(output_dir=None, output_name=None, learning_rate=LR, fused_backward_pass=True)
    with pytest.raises(GridError, match="log_grad_norms: with --fused_backward_pass there is no step"):
        train_script(AdamW, make_flux(), args=args, log_grad_norms=True, **GRID)
    with pytest.raises(GridError, match="log_grad_norms: this run has an optimizer for every group"):
        blockwise(AdamW, make_flux(), log_grad_norms=True, **GRID)


def test_norms_are_recorded(tmp_path):
    model = make_flux()
    optimizer = train_script(AdamW, model, plan_file=str(tmp_path / "n.lr_grid.json"), log_grad_norms=True, **GRID)
    train(optimizer, model)
    del optimizer
    assert (tmp_path / "n.lr_grid.norms").stat().st_size > 0


@pytest.mark.parametrize(
    ("inner", "expected"),
    [("prodigyopt.Prodigy", ("prodigyopt", "prodigy")), ("NAdam", ("torch", "nadam"))],
)
def test_a_loras_guards_judge_the_optimizer_that_is_wrapped(inner, expected):
    args = argparse.Namespace(optimizer_type="lr_grid.optim.Grid", optimizer_args=[f"optimizer='{inner}'"])
    chosen = optimizer_of(args)
    assert (chosen.package, chosen.name) == expected
