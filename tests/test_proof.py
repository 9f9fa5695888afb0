"""At the first step the optimizer holds the plan's parameters at the plan's LRs, or the run stops."""

from __future__ import annotations

import pytest
import torch
from small_models import Flux, make_network, start

from lr_grid.errors import GridError

GRID = {"self_attn_lr": "2x", "ffn_lr": "0.5x"}


@pytest.fixture
def started(capsys):
    def begin(**grid):
        model = Flux()
        network = make_network(model, **(grid or GRID))
        groups, _ = start(network, model)
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        capsys.readouterr()
        return network, groups

    return begin


def test_it_says_so_once(started, capsys):
    network, groups = started()
    optimizer = torch.optim.AdamW(groups)
    for _ in range(3):
        optimizer.step()
    tensors = sum(p.requires_grad for p in network.parameters())
    assert capsys.readouterr().out == (
        f"[lr_grid] first step: AdamW holds exactly the plan's {tensors} parameters in 3 groups, at the plan's LRs\n"
    )


def test_warm_up_is_no_difference(started, capsys):
    _, groups = started()
    optimizer = torch.optim.AdamW(groups)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 10)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    assert capsys.readouterr().out.count("first step") == 1


def lose_a_group(groups):
    return groups[1:]


def lose_a_parameter(groups):
    return [{**groups[0], "params": groups[0]["params"][1:], "param_names": groups[0]["param_names"][1:]}, *groups[1:]]


def bring_another(groups):
    strange = torch.nn.Parameter(torch.ones(1))
    strange.grad = torch.ones(1)
    return [*groups, {"params": [strange], "param_names": ["strange"], "lr": 1e-4}]


def flatten(groups):
    return [{**group, "lr": 1e-4} for group in groups]


def swap_names(groups):
    first = groups[0]["param_names"]
    return [{**groups[0], "param_names": [first[1], first[0], *first[2:]]}, *groups[1:]]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lose_a_group, r"\d+ parameters are missing \(e.g. double 0 "),
        (lose_a_parameter, r"1 parameters are missing"),
        (bring_another, r"1 tensors that no group of the plan holds"),
        (flatten, r"double 0 self_attn \(.*\): LR 0.0001, the plan says 0.0002"),
        (swap_names, r"the state calls it lora_unet_double_blocks_0_"),
    ],
)
def test_a_difference_stops_the_run_before_the_step(started, spoil, message):
    network, groups = started()
    optimizer = torch.optim.AdamW(spoil(groups))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(GridError, match=message):
        optimizer.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_scheduler_that_flattens_is_seen_where_it_starts(started):
    _, groups = started()
    optimizer = torch.optim.AdamW(groups)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=10)
    with pytest.raises(GridError, match="the plan says"):
        optimizer.step()


def test_a_scheduler_with_a_list_in_the_plans_ratios_passes(started, capsys):
    _, groups = started()
    optimizer = torch.optim.AdamW(groups)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, [10 * group["lr"] for group in groups], total_steps=10)
    optimizer.step()
    assert "at 10 times the plan's LRs (the scheduler takes LRs of its own)" in capsys.readouterr().out


def test_a_cycle_between_lists_in_the_plans_ratios_passes(started, capsys):
    _, groups = started()
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    plan = [group["lr"] for group in groups]
    torch.optim.lr_scheduler.CyclicLR(optimizer, [0.1 * lr for lr in plan], plan)
    optimizer.step()
    assert "at 0.1 times the plan's LRs" in capsys.readouterr().out


def test_a_scheduler_that_bends_the_grid_stops_the_run(started):
    _, groups = started()
    optimizer = torch.optim.AdamW(groups)
    torch.optim.lr_scheduler.LambdaLR(optimizer, [lambda step: 1.0, lambda step: 0.5, lambda step: 1.0])
    with pytest.raises(GridError, match="at another share of their base LR"):
        optimizer.step()


def test_bent_in_warm_up_it_is_seen_at_the_first_step_that_moves(started):
    _, groups = started()
    optimizer = torch.optim.AdamW(groups)
    factors = [lambda step: step / 10, lambda step: step / 20, lambda step: step / 10]
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
    optimizer.step()
    scheduler.step()
    with pytest.raises(GridError, match="at another share of their base LR"):
        optimizer.step()


def test_without_a_grid_it_is_proven_too(started, capsys):
    _, groups = started(loraplus_lr_ratio="4")
    torch.optim.AdamW(groups).step()
    assert "holds exactly the plan's" in capsys.readouterr().out


def test_an_optimizer_of_somebody_else_is_let_alone(started, capsys):
    started()
    other = torch.nn.Parameter(torch.ones(1))
    other.grad = torch.ones(1)
    torch.optim.AdamW([other]).step()
    assert capsys.readouterr().out == ""
