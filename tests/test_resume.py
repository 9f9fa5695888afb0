"""--resume: the same grid goes on bit by bit, another one takes every parameter's own moments over, or is refused."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import Flux
from small_trainer import STEPS, train

from lr_grid.errors import GridError
from lr_grid.resume.saved import read_state

GRID = {"self_attn_lr": "2x", "fused_lr": "1x", "depth_strategy": "linear", "loraplus_lr_ratio": "4"}
HALF = STEPS // 2


@pytest.fixture
def saved(tmp_path):
    """A state after half of the steps, under GRID, and what trained it."""
    return tmp_path / "state", train(GRID, HALF, save=tmp_path / "state")


def listing(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(file.relative_to(folder)): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def own_moments_at_the_start(state: Path) -> dict[str, torch.Tensor]:
    saved = read_state(state)
    assert saved is not None
    return {name: saved.state_of(name)["exp_avg"].clone() for names in saved.names for name in names}


def test_the_same_grid_goes_on_bit_by_bit(saved, capsys):
    state, _ = saved
    whole = train(GRID, STEPS)
    capsys.readouterr()
    resumed = train(GRID, HALF, at=HALF, resume=state, seed=1)
    for name, weight in whole.weights().items():
        assert torch.equal(weight, resumed.weights()[name]), name
    assert resumed.lrs == whole.lrs[HALF:]
    text = capsys.readouterr().out
    assert "carried over" not in text
    assert "the resumed state's names agree, at the plan's LRs" in text


@pytest.mark.parametrize(
    "grid",
    [
        {**GRID, "self_attn_lr": "3x"},
        {**GRID, "depth_strategy": "cosine"},
        {"self_attn_lr": "2x"},
        {"ffn_lr": "0.5x", "depth_strategy": "linear", "depth_levels": "2"},
        {"default_lr": "1x"},
    ],
    ids=["an LR", "the shape", "fewer groups", "levels", "flat"],
)
def test_another_grid_takes_every_moment_along_at_the_new_lrs(saved, grid, capsys):
    state, _ = saved
    before, held = listing(state), own_moments_at_the_start(state)
    fresh = train(grid, STEPS)
    resumed = train(grid, 0, resume=state, seed=1)
    assert resumed.state().keys() == held.keys()
    assert all(torch.equal(moment, held[name]) for name, moment in resumed.state().items())
    text = capsys.readouterr().out
    assert re.search(rf"carried over by name: {len(held)} parameters go on with their own moments", text)

    resumed = train(grid, HALF, at=HALF, resume=state, seed=1)
    for then, now in zip(fresh.lrs[HALF:], resumed.lrs, strict=True):
        assert now == pytest.approx(then, rel=1e-12)
    assert listing(state) == before


def test_a_new_trainer_lr_is_obeyed_too(saved):
    state, _ = saved
    resumed = train(GRID, 1, at=HALF, resume=state, learning_rate=3e-4)
    expected = train(GRID, STEPS, learning_rate=3e-4).lrs[HALF]
    assert resumed.lrs[0] == pytest.approx(expected, rel=1e-12)


def test_the_schedule_goes_on_where_it_stood(saved):
    state, _ = saved
    resumed = train({**GRID, "ffn_lr": "3x"}, HALF, at=HALF, resume=state)
    assert resumed.scheduler.last_epoch == STEPS
    assert resumed.scheduler.get_last_lr() == [group["lr"] for group in resumed.optimizer.param_groups]
    steps = {float(held["step"]) for held in resumed.optimizer.state.values()}
    assert steps == {float(STEPS)}


def test_the_saved_lrs_are_kept_on_request(saved, capsys):
    state, _ = saved
    resumed = train({**GRID, "self_attn_lr": "5x", "resume_grid": "keep"}, HALF, at=HALF, resume=state)
    expected = train(GRID, STEPS).lrs[HALF:]
    for then, now in zip(expected, resumed.lrs, strict=True):
        assert now == pytest.approx(then, rel=1e-12)
    assert "kept from the resumed state" in {row.why for row in resumed.network.grid_plan.rows}


def test_another_grid_is_an_error_on_request(saved):
    state, _ = saved
    with pytest.raises(GridError, match=r"other LRs for .* parameters .* and resume_grid=error"):
        train({**GRID, "ffn_lr": "3x", "resume_grid": "error"}, 0, resume=state)
    train({**GRID, "resume_grid": "error"}, 1, resume=state)


def test_a_component_that_is_frozen_now_keeps_its_trained_weights(saved, capsys):
    state, first = saved
    trained = first.weights()
    resumed = train({**GRID, "ffn_lr": "0"}, HALF, at=HALF, resume=state, seed=1)
    ffn = {r.site.name for r in resumed.network.grid_plan.rows if r.site.component == "ffn"}
    assert ffn
    now = resumed.weights()
    assert now.keys() == trained.keys()
    for name, weight in now.items():
        frozen = name.partition(".")[0] in ffn
        assert torch.equal(weight, trained[name]) == (frozen or name.endswith("alpha")), name
    held = resumed.state()
    assert not any(name.partition(".")[0] in ffn for name in held)
    assert not any(p.requires_grad for n, p in resumed.network.named_parameters() if n.partition(".")[0] in ffn)
    assert re.search(r"are frozen now; their trained weights stay: ffn \(\d+\)", capsys.readouterr().out)


def test_a_component_that_trains_again_starts_with_fresh_moments(tmp_path, capsys):
    train({**GRID, "ffn_lr": "0"}, HALF, save=tmp_path / "without")  # no LoRA was made for it
    held = own_moments_at_the_start(tmp_path / "without")
    resumed = train({**GRID, "ffn_lr": "1x"}, 0, resume=tmp_path / "without", seed=1)
    assert resumed.state().keys() == held.keys()
    resumed = train({**GRID, "ffn_lr": "1x"}, 2, at=HALF, resume=tmp_path / "without", seed=1)
    fresh = resumed.state().keys() - held.keys()
    sites = {r.site.name: r.site.component for r in resumed.network.grid_plan.rows}
    assert {sites[name.partition(".")[0]] for name in fresh} == {"ffn"}
    steps = {name: float(step) for name, step in resumed.state("step").items()}
    assert {steps[name] for name in fresh} == {2.0}
    assert {steps[name] for name in held} == {HALF + 2.0}
    expected = train({**GRID, "ffn_lr": "1x"}, STEPS).lrs[HALF]
    assert resumed.lrs[0] == pytest.approx(expected, rel=1e-12)
    assert re.search(r"did not train before and start with fresh moments: ffn \(\d+\)", capsys.readouterr().out)


def test_frozen_and_thawed_again_its_weights_are_those_it_had(saved, tmp_path):
    state, first = saved
    train({**GRID, "ffn_lr": "0"}, 1, at=HALF, resume=state, save=tmp_path / "frozen")
    thawed = train(GRID, 0, resume=tmp_path / "frozen", seed=2)
    sites = {r.site.name: r.site.component for r in thawed.network.grid_plan.rows}
    for name, weight in first.weights().items():
        if sites[name.partition(".")[0]] == "ffn":
            assert torch.equal(weight, thawed.weights()[name])


def test_what_was_carried_over_is_saved_and_resumed_again(saved, tmp_path):
    state, _ = saved
    other = {**GRID, "self_attn_lr": "3x"}
    train(other, 2, at=HALF, resume=state, save=tmp_path / "second")
    again = train(other, 2, at=HALF + 2, resume=tmp_path / "second", seed=3)
    straight = train(other, 4, at=HALF, resume=state)
    for name, weight in straight.weights().items():
        assert torch.equal(weight, again.weights()[name]), name


def test_the_state_remembers_names_and_plan(saved):
    state, first = saved
    groups = torch.load(state / "optimizer.bin")["param_groups"]
    names = [name for group in groups for name in group["param_names"]]
    assert sorted(names) == sorted(name for name, p in first.network.named_parameters() if p.requires_grad)
    assert all('"self_attn_lr": "2x"' in group["lr_grid"]["run"] for group in groups)
    assert [g["lr_grid"]["lr"] for g in groups] == [g["initial_lr"] for g in groups]


@pytest.mark.parametrize(
    ("grid", "changes", "message"),
    [
        ({"self_attn_dim": "4"}, {}, "was saved at other ranks|holds another rank"),
        ({}, {"dim": 4}, "was saved at other ranks"),
        ({"mod_dim": "0"}, {}, "would be lost"),
    ],
)
def test_other_ranks_are_refused(saved, grid, changes, message):
    state, _ = saved
    with pytest.raises(GridError, match=message):
        train({**GRID, **grid}, 0, resume=state, **changes)


def test_another_model_is_refused(saved):
    state, _ = saved
    with pytest.raises(GridError, match="has no place for"):
        train(GRID, 0, resume=state, model=Flux(double=2))


# --- optimizers and schedulers with more in their groups ---


def schedule_free(groups, args):
    schedulefree = pytest.importorskip("schedulefree")
    optimizer = schedulefree.AdamWScheduleFree(groups, lr=args.learning_rate, warmup_steps=2)
    optimizer.train()
    return optimizer


def test_what_an_optimizer_keeps_by_group_goes_along(tmp_path):
    kinds = {"make_optimizer": schedule_free, "make_scheduler": None}
    grid = {"self_attn_lr": "2x", "ffn_lr": "0"}
    train(grid, HALF, save=tmp_path / "state", **kinds)
    resumed = train({**grid, "self_attn_lr": "1x"}, 0, resume=tmp_path / "state", **kinds)
    assert {group["k"] for group in resumed.optimizer.param_groups} == {HALF}
    sums = {
        (group["initial_lr"] if "initial_lr" in group else group["lr"]): group["weight_sum"]
        for group in train(grid, HALF, **kinds).optimizer.param_groups
    }
    # Two groups became one at the LR of the second, whose sum it takes over; schedule-free weighs by the LR squared.
    assert [group["weight_sum"] for group in resumed.optimizer.param_groups] == pytest.approx([sums[1e-4]])

    thawed = train({**grid, "ffn_lr": "1x", "fused_lr": "1x"}, 1, at=HALF, resume=tmp_path / "state", **kinds)
    counts = {id(p): group["k"] for group in thawed.optimizer.param_groups for p in group["params"]}
    sites = {row.site.name: row.site.component for row in thawed.network.grid_plan.rows}
    by_component = {}
    for name, parameter in thawed.network.named_parameters():
        by_component.setdefault(sites[name.partition(".")[0]], set()).add(counts[id(parameter)])
    assert by_component["ffn"] == {1}, "fresh moments in a group that counts from the start"
    assert by_component["self_attn"] == {HALF + 1}


def floor(optimizer):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS, eta_min=2e-5)


def warmed(optimizer):
    first = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3)
    second = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS - 3)
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [first, second], milestones=[3])


def plateau(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)


@pytest.mark.parametrize("make_scheduler", [floor, warmed, plateau])
def test_torchs_schedulers_go_on_at_the_new_lrs(tmp_path, make_scheduler):
    train(GRID, HALF, save=tmp_path / "state", make_scheduler=make_scheduler)
    other = {**GRID, "self_attn_lr": "3x", "depth_levels": "2"}
    resumed = train(other, HALF, at=HALF, resume=tmp_path / "state", make_scheduler=make_scheduler)
    expected = train(other, STEPS, make_scheduler=make_scheduler).lrs[HALF:]
    for then, now in zip(expected, resumed.lrs, strict=True):
        assert now == pytest.approx(then, rel=1e-9)


def test_the_state_of_another_optimizer_is_refused(saved):
    state, _ = saved
    with pytest.raises(GridError, match=r"was saved by --optimizer_type adamw, and this run has lion"):
        train(GRID, 0, resume=state, optimizer_type="Lion")


def test_an_optimizer_state_of_a_kind_that_is_not_known_is_refused(saved):
    state, _ = saved
    whole = torch.load(state / "optimizer.bin")
    torch.save({**whole, "inner": {}}, state / "optimizer.bin")
    with pytest.raises(GridError, match="holds inner beside its groups"):
        train({**GRID, "ffn_lr": "3x"}, 0, resume=state)


# --- states without names ---


def without_names(state: Path, target: Path, order=None) -> Path:
    """The state as the trainer's own module would have saved it; ``order`` shuffles the parameters of each group."""
    target.mkdir()
    for file in state.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    whole = torch.load(target / "optimizer.bin")
    for group in whole["param_groups"]:
        del group["param_names"], group["lr_grid"]
    if order:
        moved = order(sorted(whole["state"]))
        whole["state"] = {new: whole["state"][old] for new, old in zip(sorted(whole["state"]), moved, strict=True)}
    torch.save(whole, target / "optimizer.bin")
    return target


@pytest.fixture
def upstreams(tmp_path):
    """A state of the wrapped module's own, and one with its order reversed."""
    train({}, HALF, save=tmp_path / "plain", dim=8)
    whole = without_names(tmp_path / "plain", tmp_path / "upstream")
    reversed_ = without_names(tmp_path / "plain", tmp_path / "reversed", lambda positions: positions[::-1])
    return tmp_path / "plain", whole, reversed_


def test_a_state_without_names_resumes_where_its_layout_is_proven(upstreams, capsys):
    plain, state, _ = upstreams
    held = own_moments_at_the_start(plain)
    resumed = train(GRID, 0, resume=state, dim=8, seed=1)
    assert resumed.state().keys() == held.keys()
    assert all(torch.equal(moment, held[name]) for name, moment in resumed.state().items())
    assert (
        "the state holds no names; its groups and shapes are those that lycoris.kohya makes" in capsys.readouterr().out
    )


def test_a_state_without_names_in_another_order_is_refused(upstreams):
    _, _, state = upstreams
    with pytest.raises(GridError, match="the order of this state's optimizer is not that of its weights"):
        train(GRID, 0, resume=state, dim=8)


def test_a_state_with_names_whose_moments_were_shuffled_is_refused(upstreams, tmp_path):
    plain, _, shuffled = upstreams
    whole, named = torch.load(shuffled / "optimizer.bin"), torch.load(plain / "optimizer.bin")
    torch.save({**whole, "param_groups": named["param_groups"]}, shuffled / "optimizer.bin")
    with pytest.raises(GridError, match="the order of this state's optimizer is not that of its weights"):
        train(GRID, 0, resume=shuffled, dim=8)


def test_a_state_without_names_of_another_layout_is_refused(saved, tmp_path):
    state, _ = saved
    with pytest.raises(GridError, match=r"holds no names, and its layout is not .*it has \d+ groups of"):
        train(GRID, 0, resume=without_names(state, tmp_path / "unnamed"))


def test_a_group_order_that_differs_is_carried_by_name(saved, tmp_path, capsys):
    state, _ = saved
    held = own_moments_at_the_start(state)
    whole = torch.load(state / "optimizer.bin")
    groups, at, states = [], 0, {}
    for group in whole["param_groups"][::-1]:
        places = list(range(at, at + len(group["params"])))
        states |= {new: whole["state"][old] for new, old in zip(places, group["params"], strict=True)}
        groups.append({**group, "params": places})
        at += len(places)
    torch.save({"state": states, "param_groups": groups}, state / "optimizer.bin")
    resumed = train(GRID, 0, resume=state)
    assert all(torch.equal(moment, held[name]) for name, moment in resumed.state().items())


# --- without a grid ---


def test_without_a_grid_the_same_run_goes_on_bit_by_bit(tmp_path):
    train({}, HALF, save=tmp_path / "state")
    whole, resumed = train({}, STEPS), train({}, HALF, at=HALF, resume=tmp_path / "state", seed=1)
    assert all(torch.equal(weight, resumed.weights()[name]) for name, weight in whole.weights().items())


def test_without_a_grid_saved_lrs_come_back_and_that_is_told(tmp_path, capsys):
    train({}, HALF, save=tmp_path / "state")
    resumed = train({}, 1, at=HALF, resume=tmp_path / "state", learning_rate=5e-4)
    assert resumed.lrs[0] == train({}, STEPS).lrs[HALF]
    assert "the state's come back, as without lr-grid. resume_grid=remap" in capsys.readouterr().out


def test_without_a_grid_new_lrs_are_taken_on_request(tmp_path):
    train({}, HALF, save=tmp_path / "state")
    resumed = train({"resume_grid": "remap"}, 1, at=HALF, resume=tmp_path / "state", learning_rate=5e-4)
    assert resumed.lrs[0] == pytest.approx(train({}, STEPS, learning_rate=5e-4).lrs[HALF], rel=1e-12)


def test_without_its_grid_a_state_is_refused(saved):
    state, _ = saved
    with pytest.raises(GridError, match="saved under a grid, and would bring its LRs back"):
        train({}, 0, resume=state)


# --- damaged states ---


@pytest.mark.parametrize("name", ["optimizer.bin", "model.safetensors", "scheduler.bin"])
def test_a_truncated_state_is_told_by_its_file(saved, name):
    state, _ = saved
    whole = (state / name).read_bytes()
    (state / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(GridError, match=rf"{name}.*cannot be read"):
        train({**GRID, "ffn_lr": "3x"}, 0, resume=state)


def test_nothing_is_left_of_the_carried_folder(saved, tmp_path, monkeypatch):
    state, _ = saved
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    resumed = train({**GRID, "ffn_lr": "3x"}, 1, at=HALF, resume=state)
    assert resumed.lrs
    assert list((tmp_path / "temporary").iterdir()) == []


def test_weights_saved_by_several_processes_are_read(saved, tmp_path):
    state, _ = saved
    weights = load_file(state / "model.safetensors")
    save_file({f"module.{name}": tensor for name, tensor in weights.items()}, state / "model.safetensors")
    read = read_state(state)
    assert read is not None
    assert read.weights.keys() == weights.keys()
    assert read.prefix == "module."
