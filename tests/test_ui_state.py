"""State and text of ``lr-grid ui``: the same grid both ways, with the LRs that the run's planner gives."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from convert_plans import BASE, module_lrs, sites_of
from ui_states import random_state

from lr_grid.convert.texts import number_text
from lr_grid.errors import GridError
from lr_grid.models import find_model, model_names
from lr_grid.preview import Run, preview
from lr_grid.ui.live import Live, canonical
from lr_grid.ui.models import page_model
from lr_grid.ui.parse import parse
from lr_grid.ui.parsed import Asked
from lr_grid.ui.planned import cells_of, planned
from lr_grid.ui.read import read_arguments
from lr_grid.ui.state import State, state_json
from lr_grid.ui.state_read import read_state
from lr_grid.ui.write import texts_of, words_of
from lr_grid.values import rate

MODELS = ("flux-dev", "sdxl", "wan-14b")
UPSTREAM = ("network_reg_lrs", "rank_dropout")
"""Of the states' kept arguments, those that are no grid's: a grid file does not hold them."""


def asked(state: State) -> Asked:
    return Asked(state.model.name, state.base_lr, state.dim, state.alpha)


def read_back(text: str, state: State) -> dict[str, Any]:
    return state_json(parse(text, asked(state))[1].state)


def in_numbers(data: Any, key: str = "") -> Any:
    """A state with its LRs as TOML has them: ``4e-4`` is 0.0004 there."""
    if isinstance(data, dict):
        return {k: in_numbers(value, k if isinstance(value, str) else key) for k, value in data.items()}
    if isinstance(data, str) and key not in ("model", "module", "base_lr", "dim", "alpha", "strategy", "scope"):
        try:
            number = rate(data)
        except ValueError:
            return data
        return f"{number_text(number.value)}{'x' if number.relative else ''}"
    return data


def of(model: str = "flux-dev", **changes: Any) -> State:
    """A state that differs from the default one by some keys."""
    return canonical(read_state({"model": model, **changes}))


@pytest.mark.parametrize("model", MODELS)
def test_500_states_are_the_same_after_writing_and_reading_them(model):
    for seed in range(500):
        state = random_state(random.Random(seed), model)
        texts, whole = texts_of(state), state_json(state)
        assert state_json(read_state(json.loads(json.dumps(whole)))) == whole
        assert state_json(canonical(state)) == whole
        grid = {**whole, "command": []}
        assert json.dumps(read_back(texts.network_args, state)) == json.dumps(grid), texts.network_args
        if seed % 4 == 0:
            command = parse(texts.command, Asked(model))[1].state
            command.dim, command.alpha = state.dim, state.alpha  # without them, the page's own stay
            assert json.dumps(state_json(command)) == json.dumps(whole), texts.command
        elif seed % 4 == 2:
            held = {key: text for key, text in state.kept.items() if key not in UPSTREAM}
            back = read_back(texts.toml, state)
            assert in_numbers(back) == in_numbers({**grid, "kept": held}), texts.toml


@pytest.mark.parametrize("model", MODELS)
def test_a_text_that_was_read_and_written_says_the_same_again(model):
    for seed in range(1000, 1050):
        state = random_state(random.Random(seed), model)
        once = texts_of(state)
        again = texts_of(parse(once.network_args, asked(state))[1].state)
        assert again.network_args == once.network_args


@pytest.mark.parametrize("model", MODELS)
def test_every_cell_shows_the_lr_that_the_planner_gives_its_modules(model):
    shown = refused = 0
    sites = {site.name: site for site in sites_of(model).all}
    for seed in range(2000, 2014):
        state = random_state(random.Random(seed), model)
        state.kept, state.component_dim, state.block_dims, state.base_lr = {}, {}, {}, number_text(BASE)
        state.component_alpha, state.block_alphas, state.dim, state.alpha = {}, {}, "16", "16"
        try:
            lrs = module_lrs(model, dict(words_of(state)), "module")
        except GridError:
            with pytest.raises(GridError):
                planned(state)
            refused += 1
            continue
        expected: dict[tuple[str, str, int], set[tuple[float, float]]] = {}
        for name, pair in lrs.items():
            site = sites[name]
            if site.part == "unet" and site.stack is not None:
                expected.setdefault((site.stack, site.component, site.block or 0), set()).add(pair)
        cells = planned(state)["cells"]
        for (stack, component, block), pairs in expected.items():
            row = cells[stack][component]
            assert len(pairs) == 1
            down, up = pairs.pop()
            assert row["lr"][block] == pytest.approx(down, rel=1e-12)
            assert row.get("up", row["lr"])[block] == pytest.approx(up, rel=1e-12)
            shown += 1
        there = sum(
            value is not None for stack in state.model.stacks for row in cells[stack].values() for value in row["lr"]
        )
        assert there == len(expected)
    assert refused < 9
    assert shown > 150


def test_a_cell_is_component_times_curve_times_bar():
    state = of(
        components={"ffn": "2x", "mod": "0"},
        depth={"strategy": "linear", "min": 0.1},
        weights={"double": [0.5] * 19, "single": [1] * 38},
        cells={"double": {"ffn": {"3": "7e-5"}}},
        off={"single": [4]},
        loraplus={"ffn": "16"},
        base_lr="1e-4",
    )
    cells = planned(state)["cells"]
    ffn = cells["double"]["ffn"]
    assert ffn["lr"][0] == pytest.approx(1e-4)
    assert ffn["lr"][18] == pytest.approx(1e-5)
    assert (ffn["lr"][3], ffn["up"][3]) == (7e-5, pytest.approx(7e-5 * 16))
    assert set(cells["double"]["mod"]["lr"]) == {0.0}
    assert cells["single"]["fused"]["lr"][4] == 0
    assert "up" not in cells["double"]["self_attn"]


@pytest.mark.parametrize(
    ("model", "changes", "words"),
    [
        ("flux-dev", {}, {}),
        ("flux-dev", {"components": {"ffn": "2x", "self_attn": "1e-4"}}, {"self_attn_lr": "1e-4", "ffn_lr": "2x"}),
        ("flux-dev", {"components": {"mod": "2x"}, "components_off": ["mod"]}, {"exclude_components": "mod"}),
        ("flux-dev", {"depth": {"strategy": "linear", "peak": 0.2}}, {"depth_strategy": "linear"}),
        ("flux-dev", {"depth": {"strategy": "flat", "min": 0.1, "levels": 4}}, {}),
        (
            "flux-dev",
            {"depth": {"strategy": "inverted_u", "peak": 0.2, "min": 0.1, "scope": "model", "levels": 4}},
            {"depth_strategy": "inverted_u", "min_depth_factor": "0.1", "peak_position": "0.2", "depth_scope": "model",
             "depth_levels": "4"},
        ),
        ("flux-dev", {"weights": {"double": [0.5] * 7 + [1] * 12}}, {"block_lr_weight": "double_0-6:0.5"}),
        ("flux-dev", {"weights": {"double": [0.5] * 19}}, {"block_lr_weight": "double:0.5"}),
        ("flux-dev", {"weights": {"double": [1] * 3 + [0.5] + [1] * 15}}, {"block_lr_weight": "double_3:0.5"}),
        (
            "flux-dev",
            {"weights": {"single": [0.5] * 5 + [1, 0.5, 2] + [0.5] * 30}},
            {"block_lr_weight": "single:0.5,single_5:1,single_7:2"},
        ),
        (  # what is off takes its neighbour's value: one entry in place of two
            "flux-dev",
            {"weights": {"double": [0.5] * 3 + [1] + [0.5] * 3 + [1] * 12}, "off": {"double": [3]}},
            {"block_lr_weight": "double_0-6:0.5", "exclude_double_block_indices": "3"},
        ),
        ("flux-dev", {"off": {"double": list(range(12))}}, {"train_double_block_indices": "12-18"}),
        ("flux-dev", {"off": {"double": list(range(19))}}, {"train_double_block_indices": "none"}),
        ("wan-14b", {"off": {"blocks": [0, 1, 7]}}, {"exclude_block_indices": "0-1,7"}),
        ("wan-14b", {"weights": {"blocks": [0.5] * 7 + [1] * 33}}, {"block_lr_weight": "blocks_0-6:0.5"}),
        # SDXL's LoRA has no module in blocks 7, 10 and others: they break no stretch, and speak of nothing.
        (
            "sdxl",
            {"weights": {"unet": [0.1] * 5 + [0.5] * 4 + [1] * 14}},
            {"block_lr_weight": "unet_0-8:0.5"},
        ),
        ("sdxl", {"weights": {"unet": [0.1] * 5 + [1] * 18}}, {}),
        ("sdxl", {"block_lr": {"unet": {"5": "1e-5", "6": "1e-5", "8": "1e-5"}}}, {"block_lr": "unet_5-8:1e-5"}),
        ("flux-dev", {"block_lr": {"double": {"5": "1e-5", "7": "1e-5"}}}, {"block_lr": "double_5:1e-5,double_7:1e-5"}),
        (
            "flux-dev",
            {"cells": {"single": {"fused": {"7": "0"}}, "double": {"ffn": {"1": "2x"}}},
             "kept": {"module_lr": "foo:1e-4"}},
            {"module_lr": r"double_blocks\.1\.img_mlp\.:2x,single_blocks\.7\.(linear1$|linear2$):0,foo:1e-4"},
        ),
        (
            "flux-dev",
            {"loraplus": {"ffn": "4", "": "16", "unet": "8"}},
            {"loraplus_lr_ratio": "16", "loraplus_unet_lr_ratio": "8", "loraplus_ffn_lr_ratio": "4"},
        ),
        (
            "flux-dev",
            {"ranks": {"component_dim": {"ffn": "8"}, "component_alpha": {"ffn": "1x"},
                       "block_dims": {"single": {"0": 4, "1": 4}},
                       "block_alphas": {"single": {"0": "1x"}}}},
            {"ffn_dim": "8", "ffn_alpha": "1x", "block_dims": "single_0-1:4", "block_alphas": "single_0:1x"},
        ),
        ("flux-dev", {"kept": {"b": "2", "rank_budget": "20M", "a": "1"}}, {"b": "2", "rank_budget": "20M", "a": "1"}),
    ],
)  # fmt: skip
def test_a_state_is_written_with_the_fewest_keys(model, changes, words):
    found = words_of(of(model, **changes))
    assert found == words
    assert list(found) == list(words)


def test_a_long_row_of_different_bars_is_a_list():
    weights = {"blocks": [round(1 - i / 50, 2) for i in range(40)]}
    assert words_of(of("wan-14b", weights=weights))["block_lr_weight"] == ",".join(map(number_text, weights["blocks"]))


def test_what_reaches_nothing_is_taken_out():
    state = of(
        "flux-dev",
        components={"mod": "2x"},
        components_off=["mod"],
        off={"double": [2]},
        weights={"double": [1, 1, 0.5] + [1] * 16},
        block_lr={"double": {"2": "1e-4"}},
        cells={"double": {"ffn": {"2": "1e-4"}, "mod": {"3": "1e-4"}}},
        loraplus={"mod": "4"},
        ranks={"block_dims": {"double": {"2": 4}}, "component_dim": {"mod": "4"}},
    )
    assert state_json(state) == state_json(of("flux-dev", components_off=["mod"], off={"double": [2]}))


def test_a_block_is_reached_where_something_in_it_trains():
    default = of()
    assert ("double", 0) in Live(default)
    assert ("double", 0) not in Live(of(default_lr="0"))
    assert ("double", 0) in Live(of(default_lr="0", components={"ffn": "1x"}))
    assert ("double", 0) in Live(of(default_lr="0", cells={"double": {"ffn": {"0": "1e-4"}}}))
    assert ("double", 1) not in Live(of(default_lr="0", cells={"double": {"ffn": {"0": "1e-4"}}}))
    assert ("double", 0) not in Live(of(block_lr={"double": {"0": "0x"}}))
    assert ("single", 0) not in Live(of(components={"ffn": "0", "mod": "0"}))  # fused is their mean
    assert ("double", 18) not in Live(of(depth={"strategy": "linear", "min": 0.0}))
    assert ("double", 18) in Live(of(depth={"strategy": "linear", "min": 0.0, "scope": "model"}))
    assert ("unet", 0) not in Live(of("sdxl"))


def test_a_run_of_other_modules_has_other_rows():
    plain, convs = page_model("sdxl"), page_model("sdxl", arguments={"conv_dim": "4"})
    assert "mod" not in plain.components
    assert "mod" in convs.components
    assert convs.rows["unet"]["other"] > plain.rows["unet"]["other"]
    assert page_model("sdxl", "networks.lora_grid") is plain
    assert read_arguments({"conv_dim": "4", "mod_lr": "2x"}, "sdxl").state.components == {"mod": "2x"}
    with pytest.raises(GridError, match="no mod module in sdxl"):
        read_arguments({"mod_lr": "2x"}, "sdxl")


def test_kept_arguments_come_back_untouched():
    kept = {
        "module_lr": "attn.{1,3}proj:1e-4,a|b:2X",
        "network_reg_lrs": "a=1e-4,b=2e-4",
        "te_ffn_lr": "1e-5",
        "rank_budget": "20M",
        "split_qkv": "False",
    }
    line = "--network_args " + " ".join(f"'{key}={text}'" for key, text in kept.items())
    state = parse(line, Asked("flux-dev"))[1].state
    assert state.kept == {**kept, "module_lr": "attn.{1,3}proj:1e-4,a|b:2x"}
    assert parse(texts_of(state).network_args, Asked("flux-dev"))[1].state.kept == state.kept


@pytest.mark.parametrize(
    "model", [name for name in model_names() if "/" not in name] + ["diffusers/sdxl", "diffusers/ltx-2"]
)
def test_every_model_is_planned_and_every_cell_of_it_has_a_regex_of_its_own(model):
    page = page_model(model)
    assert page.names.keys() == page.cells.keys()
    assert planned(State(page))["parameters"] > 0 or "/" in model
    network = find_model(model).networks[0]
    import re

    draw = random.Random(1)
    for cell in draw.sample(sorted(page.cells), min(12, len(page.cells))):
        found = re.compile(page.names[cell])
        matched = {s.name for s in (la.site for la in network.layers) if found.search(s.path) or found.search(s.name)}
        meant = {
            la.site.name for la in network.layers if (la.site.stack, la.site.block, la.site.component) == cell
            and la.site.part == "unet"
        }  # fmt: skip
        assert matched == meant
        assert not set(page.names[cell]) & set("=, '\"")
    rows = page.to_json()["stacks"]
    assert [row["name"] for row in rows] == list(page.stacks)
    for stack in rows:
        for row in stack["rows"]:
            names = row["names"]
            blocks = row["blocks"] if row["blocks"] is not None else range(stack["size"])
            made = [names.replace("{}", str(b)) if isinstance(names, str) else names[b] for b in blocks]
            assert made == [page.names[stack["name"], b, row["component"]] for b in blocks]


def test_an_untouched_page_writes_nothing_and_trains_all_at_the_base_lr():
    for model in ("flux-dev", "sdxl", "wan-14b", "z-image", "diffusers/sdxl"):
        state = of(model, base_lr="3e-5")
        assert (texts_of(state).network_args, texts_of(state).toml) == ("", "")
        cells = planned(state)["cells"]
        assert {v for stack in cells.values() for row in stack.values() for v in row["lr"]} - {None} == {3e-5}


@pytest.mark.parametrize("preset", ["style", "small_file", "flux2_dev", "keep_base", "subject"])
@pytest.mark.parametrize("model", ["flux-dev", "sdxl", "wan-14b"])
def test_a_preset_spelt_out_gives_the_lrs_that_its_name_gives(preset, model):
    state = read_arguments({"preset": preset}, model).state
    named = preview(find_model(model), {"preset": preset})
    spelt = preview(find_model(model), words_of(state), Run())
    assert cells_of(named.plan) == cells_of(spelt.plan)


@pytest.mark.parametrize("name", ["lr", "x"])
def test_texts_are_written_also_where_the_run_refuses_them(name):
    state = of(default_lr=name)
    assert texts_of(state).network_args == f"--network_args default_lr={name}"
    with pytest.raises(GridError, match="is not a learning rate"):
        planned(state)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"base_lr": "fast"}, "base LR"),
        ({"base_lr": ""}, "base LR"),
        ({"base_lr": "-1"}, "base LR"),
        ({"ranks": {"dim": "0"}}, "--network_dim"),
        ({"ranks": {"dim": "1.5"}}, "--network_dim"),
        ({"ranks": {"alpha": "-1"}}, "--network_alpha"),
        ({"off": {"double": list(range(19)), "single": list(range(38))}}, "nothing would train"),
        ({"components_off": ["norm"]}, "norm"),
        ({"module": "networks.lora_sd3_grid"}, "no module that adapts"),
    ],
)
def test_what_the_run_refuses_is_told(changes, told):
    with pytest.raises(GridError, match=told):
        planned(of(**changes))


def test_states_with_any_text_in_any_place_are_planned_or_refused_in_words():
    draw, refused = random.Random(3), 0
    odd = ("", "x", "-1", "nan", "1e308", "1e400", "(", "a=b", "1,2", "a:1", "None", "0.5x", "9" * 400, "1e-320", "\0")
    keys = ("conv_dim", "rank_dropout", "network_reg_lrs", "train_blocks", "module_lr", "rank_budget", "te_ffn_lr",
            "base", "conv_block_dims", "te_block_lr_weight", "max_groups", "rank_strategy", "module_dims",
            "down_lr_weight")  # fmt: skip
    for _ in range(80):
        data = state_json(random_state(draw, draw.choice((*MODELS, "sd15", "anima", "diffusers/sdxl"))))
        data["kept"][draw.choice(keys)] = draw.choice(odd)
        places = ((data, "base_lr"), (data["components"], "ffn"), (data["ranks"], "dim"), (data["loraplus"], "ffn"))
        place, key = draw.choice(places)
        place[key] = draw.choice(odd)
        state = read_state(data)
        texts_of(state)
        try:
            planned(state)
        except GridError:
            refused += 1
    assert refused > 40


def test_spoilt_texts_are_read_or_refused_in_words():
    draw = random.Random(5)
    seeds = [
        "--network_args self_attn_lr=1.5x block_lr_weight=double_0-6:0.3,single:0.8 'module_lr=a|b:1e-4'",
        'ffn_lr = "0.5x"\n[block_lr_weight]\ndouble_0-6 = 0.3\n',
        "launch flux_train_network.py --network_module networks.lora_flux \\\n --unet_lr 1e-4 --network_args ffn_lr=2x",
        '{"block_learning_rate_multiplier": {"double_block_0": 0.3}}',
        "MIDD:" + ",".join(["1"] * 57),
        'network_module = "networks.lora_flux"\nnetwork_args = ["ffn_lr=2x", "train_double_block_indices=0-3"]\n',
        "down_lr_weight=sine+.5 up_lr_weight=cosine+.5",
    ]
    read = 0
    for turn in range(600):
        text = list(draw.choice(seeds))
        for _ in range(draw.choice((1, 1, 2, 6))):
            at = draw.randrange(len(text) + 1)
            way = draw.randrange(3)
            if way == 0:
                del text[at : at + draw.choice((1, 3, 15))]
            elif way == 1:
                text[at:at] = draw.choice(
                    ("\n", "'", '"', "=", ",", ":", "x", "-", "{", "\\", "$(", "é", "\0", "--", "99", "[", "#")
                )
            else:
                text[at:at] = text[at : at + 9]
        try:
            state = parse("".join(text), Asked("flux-dev"))[1].state
        except GridError:
            continue
        read += 1
        if turn % 20 == 0:
            assert state_json(parse(texts_of(state).network_args, asked(state))[1].state)["weights"] == state.weights
    assert read > 30
