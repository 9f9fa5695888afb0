"""Optimizers that cannot obey a grid are refused before training; the others are let through."""

import pytest
import torch
from small_models import Flux, make_network, start, trainer_args

from lr_grid.errors import GridError
from lr_grid.guards import bending, check_groups, check_negative, check_optimizer, idle_options

TWO = [1e-4, 2e-4]
FIXED = ["relative_step=False", "scale_parameter=False", "warmup_init=False"]


@pytest.mark.parametrize(
    "optimizer",
    [
        "Prodigy",
        "prodigyopt.Prodigy",
        "DAdaptAdam",
        "DAdaptAdaGrad",
        "DAdaptation",
        "pytorch_optimizer.Prodigy",
        "pytorch_optimizer.DAdaptLion",
    ],
)
def test_one_lr_for_all_groups_is_refused_only_where_lrs_differ(optimizer):
    with pytest.raises(GridError, match="knows one LR for all groups, this grid has 2"):
        check_optimizer(trainer_args(optimizer_type=optimizer), TWO)
    check_optimizer(trainer_args(optimizer_type=optimizer), [1.0, 1.0])


@pytest.mark.parametrize(
    "extra", [None, ["scale_parameter=False"], ["relative_step=True"], ["relative_step=False", "warmup_init=True"]]
)
def test_adafactor_that_sets_its_own_lr_is_refused(extra):
    with pytest.raises(GridError, match="--optimizer_args relative_step=False"):
        check_optimizer(trainer_args(optimizer_type="AdaFactor", optimizer_args=extra), TWO)


@pytest.mark.parametrize(
    ("optimizer", "extra"),
    [
        (None, None),
        ("AdamW8bit", None),
        ("Lion", None),
        ("adafactor", FIXED),
        ("AdamWScheduleFree", None),
        ("prodigyplus.ProdigyPlusScheduleFree", None),
        ("bitsandbytes.optim.PagedAdEMAMix8bit", None),
    ],
)
def test_optimizers_that_honour_group_lrs_pass(optimizer, extra):
    check_optimizer(trainer_args(optimizer_type=optimizer, optimizer_args=extra), TWO)


@pytest.mark.parametrize("optimizer", ["AdamW", "AdamW8bit", "Lion", "SGDNesterov", "AdamWScheduleFree"])
def test_a_negative_lr_passes_where_the_optimizer_takes_one(optimizer):
    check_optimizer(trainer_args(optimizer_type=optimizer), [1e-4, -1e-4])


@pytest.mark.parametrize("optimizer", ["RAdamScheduleFree", "prodigyplus.ProdigyPlusScheduleFree", "DAdaptAdaGrad"])
def test_a_negative_lr_is_refused_with_the_reason_where_it_does_not(optimizer):
    with pytest.raises(GridError, match=r"an LR of -0\.0001 is negative \(unlearning\), and --optimizer_type"):
        check_negative(trainer_args(optimizer_type=optimizer), [-1e-4])


def test_a_negative_learning_rate_itself_is_refused():
    with pytest.raises(GridError, match="refuse a negative default LR"):
        check_negative(trainer_args(learning_rate=-1e-4), [-1e-4])


def test_adamw_really_climbs_under_a_negative_group_lr():
    down, up = (torch.nn.Parameter(torch.zeros(3)) for _ in range(2))
    optimizer = torch.optim.AdamW([{"params": [down], "lr": 1e-3}, {"params": [up], "lr": -1e-3}], lr=1e-3)
    for _ in range(5):
        down.grad, up.grad = torch.ones(3), torch.ones(3)
        optimizer.step()
    assert torch.allclose(up, -down, atol=1e-6)
    assert float(up.detach()[0]) > 0


def test_the_grid_asks_before_anything_is_attached():
    model = Flux()
    network = make_network(model, ffn_lr="2x")
    with pytest.raises(GridError, match="--optimizer_type Prodigy"):
        start(network, model, optimizer_type="Prodigy", learning_rate=1.0)
    assert "forward" not in vars(model.double_blocks[0].img_mlp[0])


def test_without_grid_arguments_the_optimizer_is_the_users_own_affair():
    model = Flux()
    start(make_network(model, loraplus_lr_ratio="4"), model, optimizer_type="Prodigy", learning_rate=1.0)


def test_musubis_rex_flattens_in_its_warmup_only():
    check_optimizer(trainer_args(lr_scheduler="rex", lr_warmup_steps=0), TWO)
    check_optimizer(trainer_args(lr_scheduler="cosine", lr_warmup_steps=10), TWO)
    with pytest.raises(GridError, match="--lr_scheduler rex with --lr_warmup_steps gives all groups one LR"):
        check_optimizer(trainer_args(lr_scheduler="rex", lr_warmup_steps=10), TWO)


def test_options_that_only_full_fine_tuning_reads_are_told():
    assert idle_options(trainer_args()) == []
    said = idle_options(trainer_args(mlp_lr=1e-5, mod_lr=None, llm_adapter_lr=0))
    assert len(said) == 2
    assert "--mlp_lr is for full fine-tuning" in said[0]
    assert "put ffn_lr into --network_args" in said[0]


def test_a_dropout_that_reaches_nobody_is_told():
    args = trainer_args(network_dropout=0.5)
    assert idle_options(args, "networks.lora") == []
    assert idle_options(args, "networks.oft", False) == ["--network_dropout 0.5 does nothing to networks.oft here"]
    assert "give dropout=..." in idle_options(args, "lycoris.kohya", False)[0]


def test_cyclic_lr_needs_both_its_ends_per_group():
    args = trainer_args(lr_scheduler_type="CyclicLR", lr_scheduler_args=["max_lr=[1e-4,2e-4]", "base_lr=1e-5"])
    with pytest.raises(GridError, match="CyclicLR gives all groups one LR") as told:
        check_optimizer(args, TWO)
    assert "base_lr=[0.0001,0.0002]" in str(told.value)
    args.lr_scheduler_args[1] = "base_lr=[1e-5,2e-5]"
    check_optimizer(args, TWO)


def one_cycle(max_lr: str):
    return trainer_args(lr_scheduler_type="OneCycleLR", lr_scheduler_args=[f"max_lr={max_lr}", "total_steps=10"])


@pytest.mark.parametrize("wrong", ["[1e-3,1e-3]", "[1e-4]", "[1e-4,2e-4,4e-4]", "[1e-4,-2e-4]", "[]", "['a','b']"])
def test_a_list_of_peaks_must_be_in_proportion_to_the_grid(wrong):
    with pytest.raises(GridError, match=r"not in proportion to the grid's 2 LRs. Give one for each group, max_lr=\["):
        check_optimizer(one_cycle(wrong), TWO)


def test_a_list_of_peaks_is_held_against_the_groups_one_by_one():
    check_optimizer(one_cycle("[2e-4,1e-4]"), TWO)
    check_groups(one_cycle("[1e-4,2e-4]"), TWO)
    with pytest.raises(GridError, match=r"max_lr=\[0.0002,0.0001\] is not in proportion .* max_lr=\[0.0001,0.0002\]"):
        check_groups(one_cycle("[2e-4,1e-4]"), TWO)


def test_peaks_at_a_multiple_of_the_grid_are_told():
    assert bending(one_cycle("[1e-4,2e-4]"), TWO) == []
    assert bending(one_cycle("[1e-3,2e-3]"), TWO) == [
        "--lr_scheduler_type OneCycleLR takes its LRs from max_lr: 10 times the grid's"
    ]


def test_a_long_list_of_peaks_is_not_asked_for():
    with pytest.raises(GridError) as told:
        check_optimizer(one_cycle("1e-3"), [1e-4 * (i + 1) for i in range(20)])
    assert "max_lr=[" not in str(told.value)
    assert "Use --lr_scheduler cosine" in str(told.value)


@pytest.mark.parametrize(
    "path",
    [
        "OneCycleLR",
        "torch.optim.lr_scheduler.OneCycleLR",
        "pytorch_optimizer.OneCycleLR",
        "pytorch_optimizer.CosineAnnealingWarmupRestarts",
    ],
)
def test_one_peak_for_all_groups_is_refused_only_where_lrs_differ(path):
    args = trainer_args(lr_scheduler_type=path, lr_scheduler_args=["max_lr=1e-3"])
    with pytest.raises(GridError, match="gives all groups one LR and flattens the grid's 2"):
        check_optimizer(args, TWO)
    check_optimizer(args, [1e-4, 1e-4])


def annealing(eta_min: float):
    return trainer_args(lr_scheduler_type="CosineAnnealingLR", lr_scheduler_args=["T_max=9", f"eta_min={eta_min}"])


def test_an_absolute_floor_is_told_and_refused_where_it_bends_the_grid_far():
    assert bending(annealing(0), TWO) == []
    (told,) = bending(annealing(1e-6), TWO)
    assert "one absolute LR for all groups" in told
    assert "gains on the highest by 0.5%" in told
    assert "cosine_with_min_lr" in told
    check_optimizer(annealing(1e-5), TWO)
    with pytest.raises(GridError, match=r"gains on the highest by 13\.0% .* Use eta_min=0"):
        check_optimizer(annealing(3e-5), TWO)
    check_optimizer(annealing(3e-5), [1e-4, 1e-4])
    with pytest.raises(GridError, match="a negative LR becomes a positive one"):
        check_optimizer(annealing(1e-4), [1e-4, -1e-4])


def test_the_floor_of_the_bend_is_what_the_scheduler_does_on_average():
    """The bound is on the average LR of a whole anneal: here against torch's own scheduler."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in TWO]
    optimizer = torch.optim.SGD(groups)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=1000, eta_min=3e-5)
    totals = [0.0, 0.0]
    for _ in range(1000):
        totals = [total + group["lr"] for total, group in zip(totals, optimizer.param_groups, strict=True)]
        optimizer.step()
        scheduler.step()
    assert 2 / (totals[1] / totals[0]) - 1 == pytest.approx(0.13, abs=0.001)


def test_a_scheduler_that_is_not_used_is_not_judged():
    """The trainers give schedule-free optimizers none at all."""
    check_optimizer(
        trainer_args(optimizer_type="AdamWScheduleFree", lr_scheduler_type="OneCycleLR", lr_scheduler_args=None), TWO
    )


@pytest.mark.parametrize(
    ("changes", "cure"),
    [
        ({"lr_scheduler": "polynomial", "learning_rate": 0.0}, "Give --learning_rate as the base"),
        ({"lr_scheduler": "polynomial", "lr_scheduler_args": ["lr_end=1e-3"]}, "or a smaller lr_end"),
        (
            {"lr_scheduler": "cosine_with_min_lr", "lr_scheduler_min_lr_ratio": None},
            "Add --lr_scheduler_min_lr_ratio 0.1",
        ),
        ({"lr_scheduler_type": "ReduceLROnPlateau"}, "Use constant, cosine"),
        ({"lr_scheduler_type": "SequentialLR"}, "Use constant, cosine"),
        ({"lr_scheduler": "reduce_lr_on_plateau"}, "Use constant, cosine"),
        ({"lr_scheduler": "cosine_warmup_with_min_lr"}, "Use cosine_with_min_lr"),
        ({"optimizer_type": "LBFGS"}, "takes no parameter groups: the run stops. Use AdamW"),
        ({"optimizer_type": "pytorch_optimizer.Muon"}, "Use Muon"),
    ],
)
def test_what_stops_any_run_is_told_before_the_model_is_loaded(changes, cure):
    with pytest.raises(GridError) as told:
        check_optimizer(trainer_args(**changes), TWO)
    assert "the run stops" in str(told.value)
    assert cure in str(told.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"lr_scheduler": "polynomial"},
        {"lr_scheduler": "polynomial", "lr_scheduler_args": ["lr_end=1e-5"]},
        {"lr_scheduler": "cosine_with_min_lr", "lr_scheduler_min_lr_ratio": 0.1},
        {"lr_scheduler": "cosine_with_min_lr", "lr_scheduler_args": ["min_lr=1e-6"], "lr_scheduler_min_lr_ratio": None},
        {"lr_scheduler_type": "LinearLR"},
        {"lr_scheduler_type": "transformers.get_cosine_schedule_with_warmup"},
        {"optimizer_type": "Muon"},
        {"optimizer_type": "torch.optim.AdamW"},
        {"lr_scheduler_type": "CosineAnnealingLR", "lr_scheduler_args": ["T_max=9"]},
    ],
)
def test_their_valid_twins_pass_without_a_word(changes):
    check_optimizer(trainer_args(**changes), TWO)
    assert bending(trainer_args(**changes), TWO) == []


def test_the_adafactor_scheduler_flattens_whatever_its_optimizer():
    args = trainer_args(optimizer_type="Adafactor", optimizer_args=FIXED, lr_scheduler="adafactor:1e-4")
    with pytest.raises(GridError, match="--lr_scheduler adafactor:1e-4 gives all groups one LR"):
        check_optimizer(args, TWO)


@pytest.mark.parametrize("optimizer", ["AdaFactor", "transformers.Adafactor", "pytorch_optimizer.AdaFactor"])
def test_adafactor_without_a_fixed_scale_drifts_and_says_how_not_to(optimizer):
    args = trainer_args(optimizer_type=optimizer, optimizer_args=["relative_step=False"])
    check_optimizer(args, TWO)
    (told,) = bending(args, TWO)
    assert "scale_parameter=False" in told
    assert bending(trainer_args(optimizer_type=optimizer, optimizer_args=FIXED), TWO) == []


PLUS = "prodigyplus.ProdigyPlusScheduleFree"


def test_factors_of_a_found_step_size_are_told_with_the_way_to_give_them():
    (told,) = bending(trainer_args(optimizer_type=PLUS), TWO)
    assert "none here is above 0.0002: give --learning_rate 1 and multiples" in told
    (told,) = bending(trainer_args(optimizer_type=PLUS, learning_rate=1.0), [1.0, 0.5])
    assert told.endswith("the grid's LRs are factors of it")


def test_a_step_size_for_each_group_by_itself_is_refused():
    args = trainer_args(optimizer_type=PLUS, optimizer_args=["split_groups_mean=False"])
    with pytest.raises(GridError, match=r"undoes the ratios between them, and this grid has 2 LRs\. Leave"):
        check_optimizer(args, [1.0, 0.5])
    check_optimizer(args, [1.0, 1.0])
    args.optimizer_args.append("split_groups=False")
    check_optimizer(args, [1.0, 0.5])


@pytest.mark.parametrize("optimizer", ["pytorch_optimizer.MADGRAD", "pytorch_optimizer.Lamb"])
def test_what_moves_by_other_ratios_is_refused_only_where_lrs_differ(optimizer):
    with pytest.raises(GridError, match="moves groups by other ratios than those of their LRs"):
        check_optimizer(trainer_args(optimizer_type=optimizer), TWO)
    check_optimizer(trainer_args(optimizer_type=optimizer), [1e-4])


def test_what_was_not_measured_passes_and_is_told_once():
    args = trainer_args(optimizer_type="my.own.Optimizer", lr_scheduler_type="my.own.Scheduler")
    check_optimizer(args, TWO)
    optimizer, scheduler = bending(args, TWO)
    assert "--optimizer_type my.own.Optimizer was not measured" in optimizer
    assert "lr-grid rehearse" in optimizer
    assert "--lr_scheduler_type my.own.Scheduler was not measured" in scheduler


def test_a_torch_class_of_the_same_name_is_another_optimizer():
    """transformers' Adafactor has relative_step, torch's has not."""
    check_optimizer(trainer_args(optimizer_type="torch.optim.Adafactor"), TWO)


def test_what_bends_is_printed_with_the_grid(capsys):
    model = Flux()
    start(make_network(model, ffn_lr="2x"), model, optimizer_type="my.own.Optimizer")
    assert "note: --optimizer_type my.own.Optimizer was not measured" in capsys.readouterr().out


def test_peaks_in_another_order_than_the_groups_stop_before_the_first_step():
    model = Flux()
    peaks = {"lr_scheduler_type": "OneCycleLR", "lr_scheduler_args": ["max_lr=[1e-4,2e-4]"]}
    right = {"lr_scheduler_type": "OneCycleLR", "lr_scheduler_args": ["max_lr=[2e-4,1e-4]"]}
    given = {"ffn_lr": "2x", "mod_lr": "2x", "fused_lr": "2x"}
    groups, _ = start(make_network(model, **given), model, **right)
    assert [group["lr"] for group in groups] == [2e-4, 1e-4]
    model = Flux()
    with pytest.raises(GridError, match=r"Give one for each group, max_lr=\[0.0002,0.0001\]"):
        start(make_network(model, **given), model, **peaks)
