"""What the trainer's log shows of many groups: few scalars, each the LR its name says."""

import json

from small_models import Flux, make_network, start

from lr_grid.log_names import FOLDED_FROM

GRID = {
    "self_attn_lr": "2x",
    "cross_attn_lr": "1.3x",
    "ffn_lr": "0.5x",
    "mod_lr": "0.7x",
    "depth_strategy": "linear",
    "loraplus_lr_ratio": "16",
}


def started(tmp_path, **grid):
    model = Flux(19, 38)
    network = make_network(model, **grid)
    groups, names = start(network, model, output_dir=str(tmp_path), logging_dir=str(tmp_path))
    return network, groups, names, json.loads((tmp_path / "test.lr_grid.json").read_text())["groups"]


def test_many_groups_are_one_scalar_for_each_component_and_side(tmp_path):
    network, groups, names, written = started(tmp_path, **GRID)
    assert len(groups) > 250
    assert len(names) == len(groups)
    assert len(set(names)) == 10  # five components, two sides
    assert [group["logged_as"] for group in written] == names
    assert len({group["description"] for group in written}) == len(groups)
    assert any("10 named LRs stand for" in notice for notice in network.grid_plan.notices)


def test_a_folded_scalar_is_the_lr_of_the_group_that_its_name_names(tmp_path):
    _, groups, names, written = started(tmp_path, **GRID)
    logged = {name: group["lr"] for name, group in zip(names, groups, strict=True)}  # as the trainers do it
    by_description = {group["description"]: group["lr"] for group in written}
    assert logged == {name: by_description[name] for name in logged}


def test_eight_levels_write_at_most_130_scalars_in_sd_scripts(tmp_path):
    _, groups, names, _ = started(tmp_path, **GRID, depth_levels="8")
    assert len(set(names)) + len(groups) <= 130  # it writes lr/group<i> of every group besides


def test_few_groups_keep_names_of_their_own(tmp_path):
    network, groups, names, written = started(tmp_path, **GRID, max_groups=str(FOLDED_FROM - 1))
    assert len(set(names)) == len(groups) < FOLDED_FROM
    assert [group["description"] for group in written] == names
    assert not any("stand for" in notice for notice in network.grid_plan.notices)
