"""Formats of other tools: what their texts mean, what cannot be carried, and what is refused."""

from __future__ import annotations

import io
import json
import math
import shlex
import subprocess
import sys

import pytest
from convert_plans import module_lrs, same, sites_of, upstream_regex_lrs
from inventories.running import run_inventory

from lr_grid.block_curves import CURVES, curve
from lr_grid.cli.main import main
from lr_grid.convert import read, write
from lr_grid.convert.detect import detect
from lr_grid.convert.lbw_layouts import LAYOUTS
from lr_grid.convert.quoting import powershell, split_powershell
from lr_grid.convert.registry import FORMATS
from lr_grid.errors import GridError
from lr_grid.models import find_model
from lr_grid.preview import preview
from lr_grid.toml_text import load_toml

SERENITY = json.dumps(
    {
        "model_type": "flux",
        "per_layer_lr": {
            "enabled": True,
            "component_lr": {"self_attn": 4e-4, "cross_attn": 2e-4, "ffn": 3e-4, "norm": 5e-5},
            "depth_strategy": "linear",
            "min_depth_factor": 0.3,
            "peak_position": 0.5,
            "default_lr": 3e-4,
        },
    }
)
SD_17 = "1,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1.1,1.2,1.3,1.4,1.5,1.6,1.7"


def weights_of(text: str, format: str, model: str | None = None) -> object:
    return read(text, format, model)[0]["block_lr_weight"]


# What texts mean


def test_serenity_reads_as_a_grid_file_does_but_without_what_the_model_has_not():
    arguments, losses = read(SERENITY, "serenity", "flux")
    assert arguments["component_lr"] == {"self_attn": 4e-4, "cross_attn": 2e-4, "ffn": 3e-4}
    assert losses.lost == ["norm 5e-05: flux-dev has no such module in its trainer's LoRA"]
    assert losses.notes == [
        "serenity: only per_layer_lr is read, not model_type",
        "peak_position has no effect with linear, it is left out",
    ]
    lrs = module_lrs("flux-dev", arguments)
    assert lrs["lora_unet_double_blocks_18_img_attn_qkv"][0] == pytest.approx(4e-4 * 0.3)
    assert lrs["lora_unet_double_blocks_0_img_mod_lin"][0] == pytest.approx(3e-4)


def test_onetrainers_presets_have_their_published_blocks():
    assert weights_of("", "onetrainer:Structure") == {
        "double": 0.01,
        "single_0-8": 0.01,
        "single_15-37": 0.01,
    }
    detail = module_lrs("flux-dev", read("", "onetrainer:detail")[0])
    trained = {int(name.split("_")[4]) for name, (lr, _) in detail.items() if lr == 1e-4}
    assert trained == {7, 12, 16, 20}
    assert all(lr in (1e-4, pytest.approx(1e-6)) for lr, _ in detail.values())
    luma = module_lrs("flux-dev", read("", "onetrainer:Luma Normalize")[0])
    frozen = {tuple(name.split("_")[2:5:2]) for name, (lr, _) in luma.items() if lr == 0}
    assert frozen == {("double", str(i)) for i in range(7)} | {
        ("single", str(i)) for i in (15, 16, 22, 29, 32, 34, 35, 36, 37)
    }


def test_onetrainers_own_presets_of_a_file_can_be_chosen():
    data = {"block_learning_rate_custom_presets": {"Mine": {"double_block_3": 0.5}}}
    assert weights_of(json.dumps(data), "onetrainer:mine") == {"double_3": 0.5}


def test_down_mid_up_has_25_blocks_of_sd_and_23_of_sdxl():
    twelve = ",".join(str(i / 10) for i in range(1, 13))
    sd = weights_of(f"down_lr_weight={twelve} mid_lr_weight=2", "down_mid_up", "sd15")
    assert sd == [i / 10 for i in range(1, 13)] + [2.0] + [1.0] * 12
    nine = ",".join(str(i / 10) for i in range(1, 10))
    sdxl = weights_of(f"--network_args 'mid_lr_weight=2,3,4' up_lr_weight={nine}", "down_mid_up", "sdxl")
    assert sdxl == [1.0] * 10 + [2.0, 3.0, 4.0] + [i / 10 for i in range(1, 10)] + [1.0]


def test_the_zero_threshold_takes_weights_at_or_below_it():
    text = "down_lr_weight=sine+.1 block_lr_zero_threshold=0.1"
    values = weights_of(text, "down_mid_up", "sd15")
    assert values[:2] == [0.0, pytest.approx(0.1 + math.sin(math.pi / 22))]
    assert values[12:] == [1.0] * 13  # of lists that are not given nothing is taken


# (curve, count): first, second, middle and last value, measured with sd-scripts 48d368f, get_block_lr_weight
MEASURED = {
    ("sine+.5", 12): (0.5, 0.6423148382732851, 1.2557495743542584, 1.5),
    ("cosine", 12): (1.0, 0.9898214418809327, 0.6548607339452851, 0.0),
    ("linear", 12): (0.0, 0.09090909090909091, 0.5454545454545454, 1.0),
    ("reverse_linear+0.25", 12): (1.25, 1.1590909090909092, 0.7045454545454546, 0.25),
    ("zeros+.3", 12): (0.3, 0.3, 0.3, 0.3),
    ("sine", 9): (0.0, 0.19509032201612825, 0.7071067811865475, 1.0),
}


@pytest.mark.parametrize(("text", "count"), MEASURED)
def test_curves_have_upstreams_numbers(text, count):
    name, _, base = text.partition("+")
    values = curve(name, count, float(base or 0))
    assert [values[i] for i in (0, 1, count // 2, -1)] == pytest.approx(MEASURED[text, count], rel=1e-15)


CASES = [
    {"down": f"{name}{base}", "mid": mid, "up": f"{other}{base}", "threshold": threshold, "is_sdxl": is_sdxl}
    for name, other in zip(CURVES, reversed(CURVES), strict=True)
    for base in ("", "+.5", "+0.25")
    for threshold in (0.0, 0.4)
    for is_sdxl, mid in ((False, [0.5]), (True, [0.5, 0.0, 2.0]))
] + [{"down": None, "mid": [0.0], "up": [0.5, 0.0, *[1.5] * 10], "threshold": 0.1, "is_sdxl": False}]


@pytest.mark.trainer
def test_every_weight_is_what_sd_scripts_itself_makes_of_it(sd_scripts):
    found = run_inventory("block_lr_weights.py", sd_scripts, json.dumps(CASES))
    for case, expected in zip(CASES, found, strict=True):
        listed = {key: ",".join(map(str, v)) if isinstance(v, list) else v for key, v in case.items()}
        words = [f"{key}_lr_weight={listed[key]}" for key in ("down", "mid", "up") if listed[key] is not None]
        words.append(f"block_lr_zero_threshold={case['threshold']}")
        values = weights_of(" ".join(words), "down_mid_up", "sdxl" if case["is_sdxl"] else "sd15")
        assert values == expected, case


def test_block_lr_is_absolute_and_zero_is_not_trained():
    values = [f"{i}e-6" for i in range(23)]
    arguments, _ = read(f"--block_lr {','.join(values)}", "block_lr")
    lrs = module_lrs("sdxl", arguments)
    assert lrs["lora_unet_input_blocks_4_1_proj_in"][0] == pytest.approx(5e-6)
    assert lrs["lora_unet_middle_block_1_proj_in"][0] == pytest.approx(11e-6)
    assert lrs["lora_unet_output_blocks_0_1_proj_in"][0] == pytest.approx(13e-6)


def test_seventeen_values_are_the_blocks_of_a_plain_lora():
    assert weights_of(SD_17, "lbw") == {
        **dict(zip((f"unet_{i}" for i in (1, 2, 4, 5, 7, 8, 12)), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), strict=True)),
        **{f"unet_{16 + i}": value for i, value in enumerate((0.8, 0.9, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7))},
    }


def test_the_blocks_of_strings_are_those_of_kohyas_names():
    """input_blocks_n of a module's original name, held against kohya's number of its block."""
    by_name = {layout.count: dict(layout.entries) for layout in LAYOUTS if layout.family == "sdxl"}
    for site in sites_of("sdxl").all:
        if site.part != "unet":
            continue
        words = site.path.split(".")
        name = {"input_blocks": "IN", "output_blocks": "OUT"}.get(words[0], "M")
        name = "M00" if name == "M" else f"{name}{int(words[1]):02}"
        for count in (12, 20):
            assert site.place in by_name[count][name], (site.path, count)
    sd = {layout.count: dict(layout.entries) for layout in LAYOUTS if layout.family == "sd"}
    # diffusers' names of SD1.x: a down block is two resnets with attention and a downsampler, an up block is three.
    for site in sites_of("sd15").all:
        if site.part != "unet":
            continue
        way, number, _, place = site.path.split(".")[:4] if "mid_block" not in site.path else ("mid_block", 0, 0, 0)
        position = 3 * int(number) + int(place)
        name = {"down_blocks": f"IN{1 + position:02}", "up_blocks": f"OUT{position:02}"}.get(way, "M00")
        assert site.place in sd[17][name]
        assert sd[17][name] == sd[26][name]


def test_inspires_58_values_begin_with_base_and_61_with_clip_t5_in():
    plain = [i / 100 for i in range(1, 58)]
    text = ",".join(map(str, plain))
    expected = weights_of(text, "lbw")
    assert expected["double_0"] == 0.01
    assert expected["single_37"] == 0.57
    assert weights_of(f"1,{text}", "lbw") == expected == weights_of(f"1,1,1,{text},1", "lbw")
    losses = read(f"0,0.5,1,{text},0", "lbw")[1]
    assert losses.lost[0].startswith("CLIP 0, T5 0.5, OUT 0: they have no LR here")


def test_twenty_values_ask_for_the_model():
    text = ",".join(["1"] + ["0.5"] * 18 + ["0"])
    with pytest.raises(GridError, match=r"sdxl .* or flux-dev .*give --model"):
        read(text, "lbw")
    assert weights_of(text, "lbw", "flux") == {"double_0-17": 0.5, "double_18": 0.0, "single": 0.0}
    assert weights_of(text, "lbw", "sdxl")[21] == 0.0


def test_a_preset_file_holds_several_strings():
    text = f"# mine\nONE:{SD_17}\nTWO:{SD_17.replace('0.1', '2')}\n"
    assert weights_of(text, "lbw:TWO")["unet_1"] == 2.0
    with pytest.raises(GridError, match=r"2 presets \(ONE, TWO\): choose one"):
        read(text, "lbw")
    with pytest.raises(GridError, match="no preset 'TWA'"):
        read(text, "lbw:TWA")


def test_anima_leaves_out_what_no_lora_has():
    arguments, losses = read("--self_attn_lr 1e-5 --mlp_lr=2e-5 --mod_lr 0 --llm_adapter_lr 5e-6", "anima")
    assert arguments == {
        "self_attn_lr": 1e-5,
        "ffn_lr": 2e-5,
        "module_lr": {"llm_adapter": 5e-6},
        "train_llm_adapter": "true",
    }
    assert losses.notes == ["mod 0: networks.lora_anima makes no LoRA for modulation anyway"]
    arguments, losses = read("[component_lr]\nmlp = 1e-5\nbase = 2e-5\ntext_encoder = 1e-6\n", "anima")
    assert arguments == {"ffn_lr": 1e-5}
    assert losses.lost == [
        "base 2e-05: a LoRA of Anima has none of these modules",
        "text_encoder 1e-06: give --text_encoder_lr",
    ]


def test_network_reg_lrs_of_anima_are_whole_paths():
    arguments, _ = read(".*self_attn.*=1e-5,blocks.3.mlp=1e-4", "network_reg_lrs", "anima")
    lrs = module_lrs(
        "anima", {"module_lr": {k: v for k, v in arguments["module_lr"].items() if "3" not in k}}, "module"
    )
    trained = {name for name, (lr, _) in lrs.items() if lr == 1e-5}
    assert len(trained) == 112
    assert write(arguments, "network_reg_lrs", "anima")[0] == ".*self_attn.*=1e-05,blocks.3.mlp=0.0001"
    with pytest.raises(GridError, match="cannot be written"):
        write({"module_lr": "^lora_unet_blocks_3:1e-4"}, "network_reg_lrs", "anima")


def test_a_regex_that_would_match_more_here_is_told():
    _, losses = read(r"double_blocks\.0=1e-4", "network_reg_lrs", "flux")
    assert losses.lost[0].startswith(r"double_blocks\.0: there it is searched in LoRA names only")
    assert not read(r"double_blocks_0_=1e-4", "network_reg_lrs", "flux")[1].lost


@pytest.mark.parametrize("model", ["flux-dev", "flux-schnell", "chroma", "hunyuan-image", "anima"])
def test_the_cells_of_every_model_with_network_reg_lrs_are_its_modules(model):
    mod = {"mod_lr": 0} if model in ("flux-dev", "flux-schnell", "hunyuan-image") else {}
    stack = "blocks" if model == "anima" else "double"
    weights = {f"{stack}_1": 0.3, f"{stack}_10-12": 2}
    grid = {"self_attn_lr": 2e-4, "ffn_lr": "0.5x", "depth_strategy": "cosine", "block_lr_weight": weights, **mod}
    text, losses = write(grid, "network_reg_lrs", model, 1e-4)
    assert not losses
    ours = {name: down for name, (down, _) in module_lrs(model, grid, "module").items()}
    assert same(upstream_regex_lrs(model, text, ours), ours)


def test_what_keeps_the_trainers_lr_is_not_written_as_a_regex():
    text, _ = write({"mod_lr": 0, "self_attn_lr": 2e-4, "fused_lr": 1e-4}, "network_reg_lrs", "flux")
    assert text.split(",") == [
        r"double_blocks_\d+_img_attn_=0.0002",
        r"double_blocks_\d+_(?:img|txt)_mod_=0",
        r"single_blocks_\d+_modulation_=0",
        r"single_blocks_\d+_linear=0.0001",
    ]
    with pytest.raises(GridError, match="--base_lr"):  # fused is the mean of self_attn and the trainer's LR
        write({"self_attn_lr": 2e-4}, "network_reg_lrs", "flux")


# What is lost


LOST = [
    (
        {"self_attn_lr": "2x", "block_lr_weight": "double_0:0.5"},
        "onetrainer",
        "self_attn_lr=2x: it knows no components",
    ),
    ({"te_ffn_lr": "2x", "block_lr_weight": "double_0:0.5"}, "lbw", "te_ffn_lr=2x: it knows no text encoders"),
    ({"ffn_dim": 4, "block_lr_weight": "double_0:0.5"}, "onetrainer", "ffn_dim=4: it knows no ranks"),
    (
        {"loraplus_lr_ratio": 4, "self_attn_lr": 1e-4, "default_lr": 1e-4},
        "serenity",
        "loraplus_lr_ratio=4: it knows no",
    ),
    ({"mod_lr": 1e-5, "default_lr": 1e-4}, "serenity", "mod_lr=1e-05: the published system has no such component"),
    ({"default_lr": 2e-4, "block_lr_weight": "double_0:0.5"}, "onetrainer", "default_lr=0.0002: give it as the"),
    (
        {"conv_dim": "4", "block_lr_weight": "double_0:0.5"},
        "toml",
        "conv_dim=4: a grid file holds settings of the grid",
    ),
    ({"depth_strategy": "linear", "self_attn_lr": 1e-4}, "anima", "depth_strategy=linear: it knows no depth curve"),
]


@pytest.mark.parametrize(("arguments", "format", "told"), LOST)
def test_what_a_format_cannot_hold_is_told(arguments, format, told):
    text, losses = write(arguments, format, "anima" if format == "anima" else "flux", 1e-4)
    assert text
    assert len(losses) == 1
    assert losses.lost[0].startswith(told)


def test_a_curve_on_a_unet_tells_of_modules_that_stay_flat():
    losses = write({"depth_strategy": "linear"}, "down_mid_up", "sd15")[1]
    assert "other (proj_in, proj_out) stay flat" in losses.lost[0]
    assert not write({"depth_strategy": "linear"}, "onetrainer", "flux")[1].lost


def test_one_value_for_three_blocks_takes_the_one_with_modules():
    values = [1] * 23
    values[10:13] = [0.2, 0.3, 0.4]
    text, losses = write({"block_lr_weight": values}, "lbw", "sdxl")
    assert text.split(",")[10] == "0.3"
    assert losses.lost == ["M00 is one value: it takes that of unet_11, not unet_10: 0.2, unet_12: 0.4"]


def test_a_weight_of_a_block_that_a_short_count_has_not_is_lost():
    losses = write({"block_lr_weight": [0.5, *[1] * 24]}, "lbw:17", "sd15")[1]
    assert losses.lost == ["unet_0: 17 values say nothing of these blocks"]


def test_a_block_weight_string_says_once_that_it_is_a_choice():
    for losses in (read(SD_17, "lbw")[1], write({"block_lr_weight": "unet_1:0.5"}, "lbw", "sd15")[1]):
        assert sum("it is a choice" in note for note in losses.notes) == 1


def test_a_preset_is_written_with_its_values():
    text, _ = write({"preset": "style", "ffn_lr": 7e-5}, "serenity", "flux", 1e-4)
    block = json.loads(text)["per_layer_lr"]
    assert block["depth_strategy"] == "inverted_u"
    assert block["component_lr"]["ffn"] == 7e-5
    assert write({"preset": "style"}, "args")[0] == "--network_args preset=style\n"


# What is refused


REFUSED = [
    ("down_lr_weight=1,1,1", "down_mid_up", "sd15", "down_lr_weight: 3 values, but sd15 has 12 there (down 12, mid 1"),
    ("up_lr_weight=" + ",".join("1" * 12), "down_mid_up", "sdxl", "12 values, but sdxl has 9 there"),
    ("mid_lr_weight=0.5", "down_mid_up", "sdxl", "mid_lr_weight: 1 values, but sdxl has 3 there"),
    ("down_lr_weight=sin", "down_mid_up", "sd15", "curves are sine, cosine, linear, reverse_linear, zeros"),
    ("down_lr_weight=cosin+.5", "down_mid_up", "sd15", "Did you mean cosine?"),
    ("down_lr_weight=sine+x", "down_mid_up", "sd15", "what sine adds: 'x' is not a number"),
    ("down_lr_weight=sine", "down_mid_up", None, "give --model sd15 or sdxl"),
    ("down_lr_weight=sine", "down_mid_up", "flux", "flux-dev is no U-Net"),
    ("down_lr_wieght=sine", "down_mid_up", "sd15", "Did you mean down_lr_weight?"),
    ("1e-4,1e-4", "block_lr", None, "2 values, but SDXL has 23 blocks"),
    (",".join(["1e-4"] * 23), "block_lr", "sd15", "23 values belong to SDXL, and the model is sd15"),
    (",".join(["1e-4"] * 22 + ["x"]), "block_lr", None, "value 23: 'x' is not a number"),
    ("1,0,1", "lbw", None, "3 values: sd15 has 17, 26; sdxl has 12, 20, 21; flux-dev has 20, 57, 58, 61"),
    ("1,0,1", "lbw", "wan-14b", "3 values: wan-14b has 40, none is added or cut"),
    (",".join("1" * 27), "lbw", None, "27 is Inspire Pack's for a LoCon of SD1.x"),
    (SD_17.replace("0.4", "R"), "lbw", None, "value 5 (IN05): 'R' is random: write the number"),
    (SD_17.replace("0.4", "-0.4"), "lbw", None, "value 5 (IN05): -0.4 is negative"),
    (SD_17, "lbw", "sdxl", "17 values: sdxl has 12, 20, 21, 23"),
    (SD_17, "lbw:12", None, "lbw:12: there are 17 values"),
    ('{"per_layer_lr": {\n"enabled": true,}}', "serenity", None, "not valid JSON|line 2 column 1"),
    ('{"per_layer_lr": {"enabled": false}}', "serenity", None, "enabled=false: it says nothing"),
    ('{"per_layer_lr": {"enabled": true, "min_depth_facter": 1}}', "serenity", None, "Did you mean min_depth_factor?"),
    ("{}", "serenity", None, "no per_layer_lr block"),
    (
        '{"block_learning_rate_multiplier": {"double_block_19": 1}}',
        "onetrainer",
        None,
        "double_block_0 to double_block_18",
    ),
    ('{"block_learning_rate_multiplier": {"dbl_1": 1}}', "onetrainer", None, "'dbl_1' is no block"),
    ('{"block_learning_rate_multiplier": {"single_block_1": "a"}}', "onetrainer", None, "'a' is not a number"),
    ('{"a": 1, "a": 2}', "onetrainer", None, "gives 'a' twice"),
    ("", "onetrainer:Strukture", None, "there are Structure, Detail, Luma Normalize. Did you mean Structure?"),
    ("{}", "onetrainer", "sdxl", "has double and single blocks, and sdxl has unet"),
    ("a(=1e-4", "network_reg_lrs", None, "does not compile"),
    ("img_attn", "network_reg_lrs", None, "is not regex=LR"),
    ("img_attn=fast", "network_reg_lrs", None, "'fast' is not a number"),
    ("--mpl_lr 1e-4", "anima", None, "Did you mean mlp_lr?"),
    ("[component_lr]\nmlpp = 1", "anima", None, "Did you mean mlp?"),
    ("self_atn_lr=1e-4", "args", None, "Did you mean self_attn_lr?"),
    ("ffn_lr=1e-4 ffn_lr=2e-4", "args", None, "ffn_lr is given twice"),
    ("--network_args ffn_lr=1 --network_args mod_lr=1", "args", None, "2 times: the trainer keeps the last"),
    ("ffn_lr='1", "args", None, "cannot be read"),
    ("ffn_lr=$lr", "args-powershell", None, "a variable has no value here"),
    ("ffn_lr = 1.5x", "toml", None, 'not valid TOML|line 1, column|"1.5x"'),
    ("ffn_rl = 1", "toml", None, "Did you mean ffn_lr?"),
    ("network_args = 3", "config", None, "is not a list of texts"),
    ("x=1", "onetriner", None, "'onetriner' is no format"),
    ("x=1", "onetriner", None, "Did you mean onetrainer?"),
    ("x=1", "toml:x", None, "toml has no variants"),
    (SD_17, "lbw", "sdx", "Did you mean"),
]


@pytest.mark.parametrize(("text", "format", "model", "told"), REFUSED)
def test_wrong_texts_are_refused(text, format, model, told):
    with pytest.raises(GridError) as error:
        read(text, format, model)
    assert all(part in str(error.value) for part in told.split("|"))


UNWRITABLE = [
    ({"self_attn_lr": "2x"}, "onetrainer", "flux", None, "nothing of this grid fits: it says self_attn_lr"),
    ({"self_attn_lr": "2x"}, "serenity", None, None, "give the trainer's LR with --base_lr"),
    ({"block_lr": "double_0:1e-4"}, "onetrainer", None, None, "--base_lr"),
    ({"block_lr_weight": "unet_1:0.5"}, "lbw", None, None, "give --model"),
    ({"block_lr_weight": "unet_30:0.5"}, "lbw", "sd15", None, "block 30 is out of range"),
    ({"block_lr_weight": "unet_3:-0.5"}, "lbw", "sd15", None, "unet_3: -0.5 is negative"),
    ({"block_lr_weight": "double_0:0.5"}, "down_mid_up", "flux", None, "flux-dev is no U-Net"),
    ({"module_lr": {"a{1,2}": 1e-4}}, "network_reg_lrs", None, None, "holds a ','"),
    ({"module_lr": {"a=b": 1e-4}}, "args", None, None, "holds a =|give grid=grid.toml"),
    ({"module_lr": {"a b": 1e-4}}, "args-powershell", None, None, "holds a space"),
    ({"module_lr": {"it's": 1e-4}}, "config", "flux", None, "holds a quote"),
    ({"module_lr": {"a:1,b": 1e-4}}, "args", None, None, "read as several rules"),
    ({"ffn_lr": "1x", "exclude_patterns": '["a"]'}, "args-powershell", None, None, "use --to config"),
    ({"ffn_lr": "1x"}, "config", None, None, "give --model"),
    ({"ffn_lr": "1x"}, "config", "diffusers/flux-dev", None, "has no config file"),
    ({"block_lr_weight": "double_0:0.5"}, "lbw:ONE", "flux", None, "to write, the variant is a count of values"),
    ({"ffn_lr": "quick"}, "toml", None, None, "'quick' is not a learning rate"),
]


@pytest.mark.parametrize(("arguments", "format", "model", "base_lr", "told"), UNWRITABLE)
def test_what_cannot_be_written_is_refused(arguments, format, model, base_lr, told):
    with pytest.raises(GridError) as error:
        write(arguments, format, model, base_lr)
    assert all(part in str(error.value) for part in told.split("|"))


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(GridError) as error:
        read("down_lr_weight=1,x up_lr_weight=cosin mid_lr_weight=a", "down_mid_up", "sd15")
    assert len(error.value.problems) == 4


# Our own formats


ODD = {
    "module_lr": {r"a\.b$|c(?:d)[0-9]+": "0.5x", "e,f:g": 2e-5},
    "block_lr_weight": {"double_0-6": 0.3, "single": 1},
    "train_single_block_indices": "0-19",
}


def test_bash_reads_the_line_as_it_was_meant():
    line = write(ODD, "args")[0]
    done = subprocess.run(["bash", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "--network_args",
        r"module_lr=a\.b$|c(?:d)[0-9]+:0.5x,e,f:g:2e-05",
        "block_lr_weight=double_0-6:0.3,single:1",
        "train_single_block_indices=0-19",
    ]
    assert shlex.split(line) == done.stdout.splitlines()


def test_powershell_words_are_quoted_where_a_comma_or_a_dollar_would_mean_something():
    words = ["--network_args", "ffn_lr=0.5x", "a=1,2", "b=$x", "c=it's", "d=\u2019", r"e=\d+$", "", "f=(a|b)"]
    assert powershell(words) == (
        r"--network_args ffn_lr=0.5x 'a=1,2' 'b=$x' 'c=it''s' 'd=" + "\u2019\u2019" + r"' 'e=\d+$' '' 'f=(a|b)'"
    )
    assert split_powershell(powershell(words)) == words
    assert split_powershell("--network_args `\r\n  \"a=`$b\" c='d'e") == ["--network_args", "a=$b", "c=de"]


def test_a_config_is_what_the_trainer_reads():
    text, _ = write(ODD, "config", "wan")
    data = load_toml(text)
    assert data["network_module"] == "lr_grid.musubi.lora_wan_grid"
    assert data["network_args"][0] == r"module_lr=a\.b$|c(?:d)[0-9]+:0.5x,e,f:g:2e-05"
    assert read(text, "config")[0] == dict(word.split("=", 1) for word in data["network_args"])


def test_a_grid_file_says_what_its_settings_are_and_reads_back():
    text, _ = write(ODD, "toml", "flux")
    assert "# regex = LR; first match wins, and is final" in text
    assert read(text, "toml")[0] == {**ODD, "block_lr_weight": {"double_0-6": 0.3, "single": 1}}
    assert write(read(text, "toml")[0], "toml")[0] == text


def test_a_name_given_twice_stays_text_in_a_grid_file():
    text, _ = write({"block_lr_weight": "double_0:1,double_1:2,double_0:3"}, "toml")
    assert 'block_lr_weight = "double_0:1,double_1:2,double_0:3"' in text


def test_components_that_the_model_has_not_are_told_before_the_run_refuses_them():
    assert "norm: sdxl has no such modules" in write({"norm_lr": 1e-5, "ffn_lr": "1x"}, "args", "sdxl")[1].notes[0]
    assert not write({"ffn_lr": "1x"}, "args", "sdxl")[1].notes


@pytest.mark.parametrize(
    ("text", "source", "model"),
    [
        (SERENITY, "serenity", "flux"),
        ("", "onetrainer:Structure", "flux"),
        (SD_17, "lbw", "sd15"),
        ("1," + ",".join(["0.5"] * 11), "lbw", "sdxl"),
        ("down_lr_weight=sine+.5 mid_lr_weight=0,1,1 up_lr_weight=cosine", "down_mid_up", "sdxl"),
        ("img_attn=1e-4,single_blocks_3_=0", "network_reg_lrs", "flux"),
        ("--mlp_lr 1e-5 --llm_adapter_lr 1e-6 --mod_lr 0", "anima", "anima"),
    ],
)
def test_the_arguments_are_ones_that_a_run_takes(text, source, model):
    arguments, _ = read(text, source, model)
    line = read(write(arguments, "args", model)[0], "args", model)[0]
    ours = preview(find_model(model), line).plan
    assert any(not row.frozen for row in ours.rows)


# Telling formats apart


DETECTED = [
    (SERENITY, "serenity"),
    ('{"block_learning_rate_multiplier": {"double_block_0": 1}}', "onetrainer"),
    ('{"ffn_lr": 1e-4}', "toml"),
    ('depth_strategy = "linear"', "toml"),
    ('network_args = ["ffn_lr=1e-4"]', "config"),
    ('network_args = ["down_lr_weight=sine"]', "down_mid_up"),
    ("[component_lr]\nmlp = 1e-5", "anima"),
    ("[component_lr]\nffn = 1e-5", "toml"),
    ("[model]\ntype = 'anima'\nmlp_lr = 1e-5", "anima"),
    ("--mlp_lr 1e-5", "anima"),
    ("--network_args ffn_lr=1e-4 mod_lr=0", "args"),
    ("ffn_lr=1e-4", "toml"),  # the same in both
    ("ffn_lr=0.5x", "args"),
    ("down_lr_weight=1", "down_mid_up"),
    ("down_lr_weight=sine+.5 mid_lr_weight=1", "down_mid_up"),
    (r"single_blocks_(\d|10)_=1e-3,double_blocks=2e-3", "network_reg_lrs"),
    ("network_reg_lrs=img_attn=1e-4", "network_reg_lrs"),
    (",".join(["1e-4"] * 23), "block_lr"),
    (SD_17, "lbw"),
    (f"MIDD:{SD_17}", "lbw"),
    (",".join("1" * 58), "lbw"),
]


@pytest.mark.parametrize(("text", "format"), DETECTED)
def test_a_format_is_told_by_its_look(text, format):
    assert detect(text) == format


@pytest.mark.parametrize("name", FORMATS)
def test_every_formats_example_is_read_and_told_by_its_look(name):
    row = FORMATS[name]
    assert detect(row.example) == name or name == "args-powershell"
    assert read(row.example, name, "sd15" if name == "down_mid_up" else None)[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[component_lr]\nself_attn = 1e-5", "could be toml or anima: say which with --from"),
        (
            SERENITY[:-1] + ', "block_learning_rate_multiplier": {"double_block_0": 1}}',
            "could be serenity or onetrainer",
        ),
        ("hello", "cannot tell what the input is ('hello')"),
        ("  ", "the input is empty"),
    ],
)
def test_what_is_in_doubt_is_asked(text, told):
    with pytest.raises(GridError) as error:
        detect(text)
    assert told in str(error.value)


# The command


def test_the_command_writes_the_text_and_tells_the_rest_on_stderr(capsys, tmp_path):
    assert main(["convert", f"MIDD:{SD_17}", "--to", "toml", "-o", str(tmp_path / "grid.toml")]) == 0
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("read as lbw of sd15\n")
    assert "note: a LoRA block weight is a strength at inference" in err
    assert main(["convert", str(tmp_path / "grid.toml"), "--to", "args"]) == 0
    assert capsys.readouterr().out.startswith("--network_args block_lr_weight=unet_1:0.1,")


def test_the_command_reads_stdin_and_presets_by_name(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(SERENITY))
    assert main(["convert", "-", "--to", "args", "--model", "flux", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["from"], data["to"], data["model"]) == ("serenity", "args", "flux-dev")
    assert data["losses"][0].startswith("norm")
    assert main(["convert", "--from", "onetrainer:Structure", "--to", "args"]) == 0
    assert "single_15-37:0.01" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["x=1"], "--to is missing"),
        (["--to", "toml"], "INPUT is missing"),
        (["nowhere.json", "--to", "toml"], "nowhere.json: no such file"),
        (["ffn_lr=1x", "--to", "tolm"], "Did you mean toml?"),
        (["ffn_lr=1x", "--to", "serenity"], "give the trainer's LR with --base_lr"),
        (["ffn_lr=1x", "--to", "serenity", "--base_lr", "0"], "--base_lr must be a number above 0"),
        (["ffn_lr=1x", "--to", "toml", "--model", "flx"], "Did you mean flux?"),
        (["ffn_lr=1x", "--to", "toml", "-o", "/no/such/folder/x"], "cannot be written"),
        (["--explain", "lbww"], "Did you mean lbw?"),
    ],
)
def test_wrong_commands_are_refused(argv, told, capsys):
    assert main(["convert", *argv]) == 2
    assert told in capsys.readouterr().err


def test_explain_shows_every_value_and_its_block(capsys):
    assert main(["convert", "--explain", "lbw", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)["table"]
    assert len(table) == sum(layout.count for layout in LAYOUTS)
    row = {"place": "8", "name": "M00", "block in lr-grid": "unet_12"}
    assert any(row.items() <= line.items() for line in table)
    assert main(["convert", "--explain", "lbw"]) == 0
    assert "no counterpart" in capsys.readouterr().out


def test_converting_imports_no_torch():
    code = (
        "import sys; from lr_grid.cli.main import main\n"
        "code = main(['convert', '--from', 'onetrainer:Detail', '--to', 'network_reg_lrs', '--base_lr', '1e-4'])\n"
        "sys.exit(code or 'torch' in sys.modules or 'rich' in sys.modules or 'numpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
