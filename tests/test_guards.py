"""Optimizers that cannot obey a grid are refused before training; the others are let through."""

import pytest
import torch
from small_models import Flux, make_network, start, trainer_args

from lr_grid.errors import GridError
from lr_grid.guards import check_negative, check_optimizer, idle_options

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
    args = trainer_args(lr_scheduler_type="CyclicLR", lr_scheduler_args=["max_lr=[1e-3,1e-3]", "base_lr=1e-5"])
    with pytest.raises(GridError, match="CyclicLR gives all groups one LR"):
        check_optimizer(args, TWO)
    args.lr_scheduler_args[1] = "base_lr=[1e-5,1e-5]"
    check_optimizer(args, TWO)
