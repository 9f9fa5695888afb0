"""Optimizer groups: merged, named, complete."""

import re

import torch
from small_models import Flux, TextEncoder, make_network, start

from lr_grid.facts import named_parameters
from lr_grid.groups import build_groups
from lr_grid.sides import side_of
from lr_grid.upstream import module_name, network_modules


def groups_of(text_encoder=None, args=None, **grid):
    model = Flux(19, 38)
    network = make_network(model, text_encoder, **grid)
    groups, descriptions = start(network, model, text_encoder, **(args or {}))
    return network, groups, descriptions


GRID = {
    "depth_strategy": "linear",
    "self_attn_lr": "2x",
    "ffn_lr": "0.5x",
    "loraplus_lr_ratio": "16",
    "block_lr_weight": "single_3:0",
}


def test_parameters_with_the_same_lr_share_a_group():
    _, groups, _ = groups_of(**GRID)
    lrs = [group["lr"] for group in groups]
    assert len(lrs) == len({f"{lr:.12g}" for lr in lrs})
    _, flat, _ = groups_of(depth_strategy="flat")
    assert len(flat) == 1


def test_every_trained_parameter_is_in_exactly_one_group_under_its_name():
    network, groups, _ = groups_of(**GRID)
    names = [name for group in groups for name in group["param_names"]]
    assert len(names) == len(set(names))
    by_name = dict(network.named_parameters())
    assert set(names) == set(by_name)
    for group in groups:
        assert all(by_name[name] is p for name, p in zip(group["param_names"], group["params"], strict=True))


def test_descriptions_are_unique_readable_and_never_the_trainers_own():
    network, groups, _ = groups_of([TextEncoder()], {"text_encoder_lr": 1e-6}, **GRID)
    modules = {module_name(module): module for module in network_modules(network, "lycoris.kohya")}
    named = {name: named_parameters(module, name) for name, module in modules.items()}
    _, descriptions = build_groups(network.grid_plan, named)  # the log's may be folded
    assert len(descriptions) == len(groups)
    tags = [re.sub(r"[^-/\w.]", "_", text) for text in descriptions]  # what TensorBoard makes of them
    assert len(set(tags)) == len(tags)
    assert not any("textencoder" in text or re.fullmatch(r"group\d+", text) for text in descriptions)
    assert max(len(text) for text in descriptions) < 90
    assert "unet self_attn double_18" in descriptions
    assert "unet self_attn double_18 plus" in descriptions
    assert "te1" in descriptions


def test_names_survive_the_optimizer_and_its_state_dict():
    _, groups, _ = groups_of(**GRID)
    optimizer = torch.optim.AdamW(groups, lr=1e-4)
    saved = optimizer.state_dict()["param_groups"]
    assert [g["param_names"] for g in saved] == [g["param_names"] for g in groups]
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.param_groups[0]["param_names"] == groups[0]["param_names"]


def test_sides():
    assert side_of("lora_up.weight") == side_of("lora_up.2.weight") == side_of("x.lora_B.default.weight") == "up"
    assert (
        side_of("lora_down.weight")
        == side_of("lora_A.weight")
        == side_of("lora_upper")
        == side_of("dora_scale")
        == "down"
    )
