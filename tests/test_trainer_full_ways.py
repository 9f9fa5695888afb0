"""A grid on the weights themselves beside what full fine-tuning scripts do with their optimizers otherwise: groups
with LRs of their own, trackers, schedules, resuming, many optimizers in one run, and mistakes in the settings."""

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
    first_moves,
    rates,
)
from full_oracle import Grid, place_of
from trainers.every import chosen
from trainers.full_scripts import SCRIPTS, run_full

pytestmark = pytest.mark.trainer

CPU = "ACCELERATE_USE_CPU"
BLOCK_LRS = [1e-3 * (0.5 + 0.05 * block) for block in range(23)]
TE_LRS = {"CLIPTextModel": 2e-4, "CLIPTextModelWithProjection": 3e-4}


def under_grid(trainer, name, grid, workdir, *extra, run="ours", steps=3, optimizer=OURS, **options):
    arguments = [*EXACT, *grid.arguments()]
    return run_full(
        trainer,
        name,
        workdir=workdir,
        run=run,
        optimizer=optimizer,
        optimizer_args=arguments,
        extra=extra,
        steps=steps,
        **options,
    )


def every(*names):
    return chosen(names, lambda _: False)


def logged(folder, prefix):
    """The last value of every logged number whose tag begins with a prefix."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = {}
    for file in folder.rglob("events.out.tfevents.*"):
        events = accumulator.EventAccumulator(str(file))
        events.Reload()
        found |= {tag: events.Scalars(tag)[-1].value for tag in events.Tags()["scalars"] if tag.startswith(prefix)}
    return found


def test_sdxl_train_keeps_its_block_lrs_and_text_encoder_lrs_and_logs_them(sd_scripts, tmp_path):
    options = [
        "--train_text_encoder",
        *(f"--learning_rate_te{n}={lr}" for n, lr in enumerate(TE_LRS.values(), 1)),
        f"--block_lr={','.join(map(str, BLOCK_LRS))}",
        f"--logging_dir={tmp_path / 'logs'}",
        "--log_with=tensorboard",
    ]
    grid = Grid({"self_attn": "1.5x", "ffn": 3e-4, "norm": 0}, 0.5)
    result = under_grid(sd_scripts, "sdxl_train", grid, tmp_path, *options, steps=1).expect_success()

    for name, tensor in result.tensors.items():
        model = name.partition(".")[0]
        expected = TE_LRS[model] if model in TE_LRS else BLOCK_LRS[place_of(name)[2]]
        assert tensor["lr"] == expected, name
    table = rates(grid, result)
    assert_moved_at("sdxl_train", result, table)
    assert_planned(result, table)
    tags = logged(tmp_path / "logs", "lr/")
    assert len(tags) == 25
    assert sorted(tags.values()) == pytest.approx(sorted([*BLOCK_LRS, *TE_LRS.values()]), rel=1e-6)


@pytest.mark.parametrize("name", every("flux_train"))
def test_a_resumed_run_keeps_its_moments_and_takes_the_new_grid(sd_scripts, tmp_path, name):
    old = GRIDS[name]
    new = Grid({**old.components, "self_attn": "0.3x", "mod": "2x", "norm": 0}, 0.9)
    first = under_grid(sd_scripts, name, old, tmp_path, "--save_state", run="first", steps=2).expect_success()
    resume = f"--resume={first.run.state_folder}"
    again = under_grid(sd_scripts, name, old, tmp_path, resume, run="again", steps=3).expect_success()
    edited = under_grid(sd_scripts, name, new, tmp_path, resume, run="edited", steps=3).expect_success()

    was, now = rates(old, again), rates(new, edited)
    moved, expected = first_moves(edited), first_moves(again)
    for tensor in edited.tensors:
        moment = edited.tensors[tensor]["moment"]
        assert moment == again.tensors[tensor]["moment"], tensor
        assert bool(moment) == (was[tensor] > 0), tensor  # what was frozen begins now
        if now[tensor] == 0:
            assert moved[tensor] == 0, tensor
        elif was[tensor]:
            assert moved[tensor] == pytest.approx(expected[tensor] * now[tensor] / was[tensor], rel=1e-2, abs=2e-7)
        else:
            assert moved[tensor] > 0, tensor


@pytest.mark.parametrize("name", every("zimage_train"))
def test_a_resumed_run_without_a_grid_has_none(musubi, tmp_path, name):
    first = under_grid(musubi, name, GRIDS[name], tmp_path, "--save_state", run="first", steps=2).expect_success()
    given = {"optimizer_args": EXACT, "extra": [f"--resume={first.run.state_folder}"], "workdir": tmp_path, "steps": 1}
    ours = run_full(musubi, name, run="ours", optimizer=OURS, **given).expect_success()
    torchs = run_full(musubi, name, run="torchs", **given).expect_success()
    assert_same_weights(ours, torchs)
    assert "[lr_grid] resumed: the saved state is of a run with a grid and this run has none" in ours.text


@pytest.mark.parametrize("name", every("flux_train"))
def test_a_one_cycle_schedule_keeps_the_ratios(sd_scripts, tmp_path, name):
    schedule = ["--lr_scheduler_type=torch.optim.lr_scheduler.OneCycleLR", "--lr_scheduler_args"]
    options = [*schedule, "max_lr=2e-3", "total_steps=6", "pct_start=0.5"]
    result = under_grid(sd_scripts, name, GRIDS[name], tmp_path, *options, steps=3).expect_success()
    table = rates(GRIDS[name], result)
    lrs = [step["groups"][0]["lr"] for step in result.report["steps"]]
    assert len(set(lrs)) == 3
    assert_moved_at(name, result, {tensor: lr * lrs[0] / 1e-3 for tensor, lr in table.items()})


MANY = {
    "flux_train": ("--blockwise_fused_optimizers", 5),
    "sd3_train": ("--blockwise_fused_optimizers", 3),
    "lumina_train": ("--blockwise_fused_optimizers", 5),
    "sdxl_train": ("--fused_optimizer_groups=4", 4),
}


@pytest.mark.parametrize("name", every(*MANY))
def test_many_optimizers_in_one_run_share_one_plan(sd_scripts, tmp_path, name):
    option, count = MANY[name]
    grid = GRIDS[name]
    result = under_grid(sd_scripts, name, grid, tmp_path, option).expect_success()
    table = rates(grid, result)
    assert len(result.optimizers) == count
    assert result.text.count("[lr_grid] model=") == 1
    assert_planned(result, table)
    assert_moved_at(name, result, table)
    frozen = [tensor for tensor, lr in table.items() if lr == 0]
    assert_same_weights(
        result, by_hand(sd_scripts, name, table, tmp_path, optimizer_args=EXACT, extra=[option]), frozen
    )


@pytest.mark.parametrize("name", every("anima_train"))
def test_anima_trains_own_component_lrs_are_what_a_grid_multiplies(sd_scripts, tmp_path, name):
    own = {"self_attn": 5e-4, "cross_attn": 0.0, "mlp": 2e-3, "llm_adapter": 3e-4}
    flags = [f"--{component}_lr={lr}" for component, lr in own.items()]
    logs = [f"--logging_dir={tmp_path / 'logs'}", "--log_with=tensorboard"]
    grid = Grid({"self_attn": "2x", "norm": 1e-4}, 0.4)
    result = under_grid(sd_scripts, name, grid, tmp_path, *flags, *logs).expect_success()
    base = {tensor: held["lr"] for tensor, held in result.tensors.items()}
    assert {lr for tensor, lr in base.items() if ".blocks.0.self_attn.q_proj" in tensor} == {5e-4, 3e-4}
    assert not any(".blocks.0.cross_attn.q_proj" in tensor and "llm_adapter" not in tensor for tensor in base)
    table = rates(grid, result)
    assert_planned(result, table)
    assert_moved_at(name, result, table)
    lrs = {round(lr, 9) for lr in logged(tmp_path / "logs", "lr/").values()}
    assert lrs == {1e-3, 5e-4, 2e-3, 3e-4}  # with the mod group's, base's


WAYS = {
    "full_bf16": ("flux_train", ["--full_bf16", "--mixed_precision=bf16"]),
    "gradient accumulation": ("sd3_train", ["--gradient_accumulation_steps=2"]),
    "gradient checkpointing": ("zimage_train", ["--gradient_checkpointing"]),
    "a cosine with a warmup": ("hv_train", ["--lr_scheduler=cosine", "--lr_warmup_steps=1"]),
    "two groups of LRs": ("fine_tune", ["--train_text_encoder", "--learning_rate_te=2e-4"]),
    "one group for both models": ("train_db", ["--cache_latents"]),
}


@pytest.mark.parametrize("way", every(*WAYS))
def test_it_is_bit_by_bit_as_by_hand_in_other_ways_of_training(request, tmp_path, way):
    name, options = WAYS[way]
    trainer, grid = request.getfixturevalue(SCRIPTS[name].trainer), GRIDS[name]
    result = under_grid(trainer, name, grid, tmp_path, *options).expect_success()
    table = rates(grid, result)
    frozen = [tensor for tensor, lr in table.items() if lr == 0]
    other = by_hand(trainer, name, table, tmp_path, optimizer_args=EXACT, extra=options)
    assert_same_weights(result, other, frozen)


@pytest.mark.parametrize("name", every("flux_train"))
def test_two_processes_train_under_one_grid_that_is_told_once(sd_scripts, tmp_path, name):
    two = {"launcher": ["torch.distributed.run", "--nproc_per_node=2", "--no_python"], "env": {CPU: "true"}}
    result = under_grid(sd_scripts, name, GRIDS[name], tmp_path, steps=2, **two).expect_success()
    assert "num batches per epoch / 1epochのバッチ数: 1" in result.text  # of two: each process has the other half
    assert_moved_at(name, result, rates(GRIDS[name], result))
    assert result.text.count("[lr_grid] model=") == result.text.count("[lr_grid] first step:") == 1


@pytest.mark.parametrize("name", every("flux_train", "qwen_image_train"))
def test_any_other_optimizer_moves_by_the_grid(request, tmp_path, name):
    trainer, grid = request.getfixturevalue(SCRIPTS[name].trainer), GRIDS[name]
    given = {"optimizer": "lr_grid.optim.Grid", "workdir": tmp_path, "steps": 1}
    nadam = ["optimizer='torch.optim.NAdam'", "eps=1e-16"]
    flat = run_full(
        trainer, name, run="flat", optimizer_args=["eps=1e-16"], **{**given, "optimizer": "torch.optim.NAdam"}
    )
    result = run_full(trainer, name, run="ours", optimizer_args=[*nadam, *grid.arguments()], **given).expect_success()
    moved, plain = first_moves(result), first_moves(flat.expect_success())
    for tensor, lr in rates(grid, result).items():
        ratio = lr / result.tensors[tensor]["lr"]
        assert moved[tensor] == pytest.approx(plain[tensor] * ratio, rel=1e-3, abs=2e-7), tensor
    assert len(moved) == len(plain)


MISTAKES = {
    "a misspelt setting": (["self_atn_lr='2x'"], "self_attn_lr"),
    "a misspelt argument of the optimizer": (["weight_deca=0.1"], "weight_decay"),
    "a component that the model has not": (["cross_attn_lr='2x'"], "cross_attn"),
    "a block that is not there": (["block_lr_weight='layers_9:2'"], "layers"),
    "ranks": (["ffn_dim=8"], "ffn_dim"),
}


@pytest.mark.parametrize("mistake", chosen(MISTAKES, {"a misspelt setting"}.__contains__))
def test_a_mistake_is_told_before_anything_trains(musubi, tmp_path, mistake):
    arguments, word = MISTAKES[mistake]
    result = run_full(
        musubi, "zimage_train", workdir=tmp_path, optimizer=OURS, optimizer_args=[*arguments, "ffn_lr='0.5x'"]
    )
    assert result.returncode != 0
    last = result.text[result.text.rindex("lr_grid.errors.GridError") :]
    assert word in last
    assert_nothing_trained(result)


def assert_nothing_trained(result):
    assert result.report["steps"] == []
    assert not list(result.run.folder.glob("*.safetensors"))


@pytest.mark.parametrize("name", every("flux_train"))
def test_a_model_that_has_no_names_is_refused(sd_scripts, tmp_path, name):
    mends = (
        ("[p for _, p in name_and_params]", "[torch.nn.Parameter(p.detach().clone()) for _, p in name_and_params]"),
    )
    result = under_grid(sd_scripts, name, GRIDS[name], tmp_path, mends=mends)
    assert result.returncode != 0
    assert "lr_grid.errors.GridError" in result.text
    assert_nothing_trained(result)
