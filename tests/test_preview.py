"""Plans without a trainer are the plans of the trainers' own network modules, row by row."""

from __future__ import annotations

import json

import pytest
from inventories.running import run_inventory

from lr_grid.errors import GridError
from lr_grid.models import find_model, model_names
from lr_grid.plan import TrainerLrs
from lr_grid.presets import preset_names
from lr_grid.preview import Run, preview, wrapped_module
from lr_grid.report.jsonfile import plan_to_dict

SHAPES = "self_attn_lr=1.5x ffn_lr=0.5x depth_strategy=linear loraplus_lr_ratio=4"
RANKS = "rank_strategy=cosine min_rank_factor=0.25 self_attn_dim=12 module_alphas=.:0.5x"
TWOS = ",".join("2" * 23)
SD_SCRIPTS = [
    ("sd15", "networks.lora_grid", SHAPES, True),
    ("sd15", "networks.lora_grid", "conv_dim=4 conv_alpha=2 block_lr_weight=0-12:0.5 te_ffn_lr=0", True),
    ("sd15", "networks.lora_grid", "conv_block_dims=unet_8-12:3 " + RANKS, False),
    (
        "sd15",
        "networks.lora_grid",
        "down_lr_weight=sine+.5 up_lr_weight=1,0,.5 block_lr_zero_threshold=0.1 ffn_lr=1x",
        0,
    ),
    ("sd15", "networks.lora_grid", "", True),
    ("sd15", "networks.lora_fa_grid", SHAPES.replace(" loraplus_lr_ratio=4", ""), False),
    ("sd15", "networks.dylora_grid", "unit=4 rank_strategy=linear rank_multiple=4 ffn_lr=2x", False),
    ("sd15", "networks.oft_grid", "ffn_lr=0.5x enable_all_linear=True", False),
    ("sd21", "networks.lora_grid", SHAPES + " te_self_attn_dim=2", True),
    ("sdxl", "networks.lora_grid", SHAPES + " te2_block_lr_weight=0-15:0.2 te_rank_budget=flat:2", True),
    ("sdxl", "networks.lora_grid", RANKS + " rank_budget=20M conv_dim=8", False),
    ("sdxl", "networks.lora_grid", "block_dims=" + ",".join(map(str, range(23))), True),
    (
        "sdxl",
        "networks.lora_grid",
        f"block_dims={TWOS} conv_block_dims={TWOS} conv_block_alphas={TWOS} conv_dim=4",
        False,
    ),
    ("flux-dev", "networks.lora_flux_grid", SHAPES + " mod_lr=0 block_lr=single_3:1e-5", True),
    ("flux-dev", "networks.lora_flux_grid", RANKS + " rank_budget=20M single_mod_dim=2 img_mlp_dim=32", False),
    ("flux-dev", "networks.lora_flux_grid", "in_dims=4,0,4,4,8 embed_lr=2x train_t5xxl=True te3_ffn_lr=0.5x", True),
    ("flux-dev", "networks.lora_flux_grid", "train_blocks=single ffn_lr=2x", False),
    (
        "flux-dev",
        "networks.lora_flux_grid",
        "network_reg_dims=img_attn=2,single=6 network_reg_lrs=txt=1e-3 mod_lr=2x",
        0,
    ),
    ("flux-dev", "networks.lora_flux_grid", "train_double_block_indices=0-3 self_attn_lr=2x", False),
    ("flux-dev", "networks.oft_flux_grid", "self_attn_lr=2x", False),
    ("flux-schnell", "networks.lora_flux_grid", SHAPES, False),
    ("chroma", "networks.lora_flux_grid", SHAPES + " in_dims=4,4,4,4,4", False),
    ("sd3-medium", "networks.lora_sd3_grid", SHAPES + " emb_dims=1,2,3,4,5,6 x_mlp_dim=3", True),
    ("sd35-medium", "networks.lora_sd3_grid", "train_block_indices=0-5 ffn_lr=2x", False),
    ("sd35-large", "networks.lora_sd3_grid", RANKS, False),
    ("lumina2", "networks.lora_lumina_grid", "refiner_dim=2 attn_dim=6 embedder_dims=3,3,3 ffn_lr=2x", True),
    ("lumina2", "networks.lora_lumina_grid", "train_blocks=noise_refiner ffn_lr=2x", False),
    ("hunyuan-image", "networks.lora_hunyuan_image_grid", SHAPES, False),
    ("anima", "networks.lora_anima_grid", SHAPES + " train_llm_adapter=true block_lr=llm_adapter:1e-6", True),
    (
        "anima",
        "networks.lora_anima_grid",
        "exclude_patterns=['.*mlp.*'] include_patterns=['.*_modulation.*'] mod_lr=2x",
        0,
    ),
    ("anima", "networks.lora_anima_grid", "include_patterns=['llm_adapter.*'] ffn_lr=2x", False),
    ("flux-dev", "networks.lora_flux_grid", "split_qkv=True train_blocks=single ffn_lr=2x", False),
    ("sd3-medium", "networks.lora_sd3_grid", "split_qkv=True train_block_indices=0-5 ffn_lr=2x", False),
    ("flux-dev", "networks.lora_flux_grid", "train_double_block_indices=0-3 in_dims=4,4,4,4,4 loraplus_lr_ratio=4", 1),
    ("sd15", "networks.lora_grid", "down_lr_weight=0,.5,1 loraplus_lr_ratio=4", True),
]
MUSUBI = [
    ("wan-14b", "lora_wan", SHAPES),
    ("wan-14b", "lora_wan", RANKS + " rank_budget=47.3M"),
    ("wan-i2v-14b", "loha", SHAPES),
    ("wan-14b", "lokr", "factor=8 ffn_lr=2x ffn_dim=64"),
    ("flux-kontext", "lora_flux", "exclude_patterns=['.*txt.*'] depth_strategy=cosine mod_lr=0.1x"),
    ("flux2-klein-4b", "lora_flux_2", SHAPES),
    ("hunyuan-video", "lora", SHAPES),
    ("hunyuan-video-1.5", "lora_hv_1_5", SHAPES),
    ("framepack", "lora_framepack", "include_patterns=['.*norm.*'] depth_strategy=linear"),
    ("qwen-image", "lora_qwen_image", SHAPES),
    ("z-image", "lora_zimage", "include_patterns=['.*_refiner.*'] block_lr_weight=noise_refiner:0.5"),
    ("kandinsky5-lite-video", "lora_kandinsky", SHAPES),
    ("krea2", "lora_krea2", SHAPES),
    ("hidream-o1-i2i", "lora_hidream_o1", "conv_dim=4 ffn_lr=0.5x"),
    ("ideogram4", "lora_ideogram4", SHAPES),
    ("flux-kontext", "loha", "exclude_patterns=['.*txt.*'] self_attn_lr=2x"),
    ("kandinsky5-lite-video", "lora_kandinsky", "exclude_patterns=['.*feed_forward.*'] depth_strategy=linear"),
    ("z-image", "lokr", "factor=0 loraplus_lr_ratio=4"),
]
DIM, ALPHA = 8, 4.0


def compare(cases, live):
    assert len(live) == len(cases)
    for (model, module, arguments, te), real in zip(cases, live, strict=True):
        where = f"{model} {module} {arguments}"
        given = dict(argument.split("=", 1) for argument in arguments.split())
        lrs = TrainerLrs(1e-4, 2e-4, (3e-5,))
        run = Run(lrs, module, DIM, ALPHA, trains_text_encoders=bool(te))
        assert isinstance(real, dict), f"{where}: {real}"
        made = preview(find_model(model), given, run)
        own = json.loads(json.dumps(plan_to_dict(made.plan, "", made.groups, made.descriptions)))
        rows = {row["name"]: row for row in real["modules"]}
        ours = {row["name"]: row for row in own["modules"]}
        trained = {name for name, row in rows.items() if not row["frozen"]}
        assert {name for name, row in ours.items() if not row["frozen"]} == trained, where
        assert list(ours) == list(rows), where
        for name in trained:
            mine, theirs = ours[name], rows[name]
            for key in ("path", "part", "stack", "block", "component", "rank", "params", "rule", "why", "rank_why"):
                assert mine[key] == theirs[key], (where, name, key, mine[key], theirs[key])
            for key in ("lr_down", "lr_up"):
                assert mine[key] == pytest.approx(theirs[key], rel=1e-9), (where, name, key)
            assert mine["alpha"] == pytest.approx(theirs["alpha"]), (where, name)
        for key in ("sizes", "notices", "settings", "arguments"):
            assert own[key] == real[key], (where, key)
        assert len(own["groups"]) == len(real["groups"]), where


@pytest.mark.trainer
def test_plans_are_those_of_sd_scripts_network_modules(sd_scripts, tmp_path):
    cases = [
        [m, module, dict(a.split("=", 1) for a in args.split()), DIM, ALPHA, bool(te)]
        for m, module, args, te in SD_SCRIPTS
    ]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    compare(SD_SCRIPTS, run_inventory("live_plans.py", sd_scripts, str(tmp_path / "cases.json"), "sd_scripts"))


@pytest.mark.trainer
def test_plans_are_those_of_musubi_tuners_network_modules(musubi, tmp_path):
    rows = [(model, f"lr_grid.musubi.{module}_grid", args, False) for model, module, args in MUSUBI]
    cases = [[m, module, dict(a.split("=", 1) for a in args.split()), DIM, ALPHA, te] for m, module, args, te in rows]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    compare(rows, run_inventory("live_plans.py", musubi, str(tmp_path / "cases.json"), "musubi"))


@pytest.mark.parametrize("name", model_names())
def test_every_model_has_a_plan(name):
    made = preview(find_model(name), {"depth_strategy": "linear"})
    assert len({row.lr_down for row in made.plan.rows}) > 1
    assert sum(len(group["params"]) for group in made.groups) == 2 * len(made.plan.rows)


@pytest.mark.parametrize(
    ("module", "base"),
    [
        ("networks.lora_flux_grid", "networks.lora_flux"),
        ("lr_grid.musubi.lora_wan_grid", "musubi_tuner.networks.lora_wan"),
        ("networks.lycoris_grid", "lycoris.kohya"),
        ("lr_grid.network", "networks.lora"),
        ("networks.lora", "networks.lora"),
    ],
)
def test_the_wrapped_module_of_a_grids(module, base):
    assert wrapped_module(module, {"base": "networks.lora"}) == base


@pytest.mark.parametrize(
    ("model", "arguments", "module", "told"),
    [
        ("flux", {"slef_attn_lr": "1x"}, "", "Did you mean self_attn_lr?"),
        ("flux", {"norm_lr": "1x"}, "", "this network has no norm module in flux"),
        ("flux", {"block_lr_weight": "double_19:0.5"}, "", "double 0-18"),
        ("wan", {"self_attn_lr": "0", "cross_attn_lr": "0", "ffn_lr": "0"}, "", "nothing would train"),
        ("flux", {"conv_dim": "4"}, "", "no convolution larger than 1x1"),
        ("sdxl", {"loraplus_lr_ratio": "4"}, "networks.oft_grid", "no module of this network has an up side"),
        ("sdxl", {}, "networks.lora_flux_grid", "is no module that adapts SDXL; there are networks.lora_grid,"),
        ("sdxl", {}, "networks.lycoris_grid", "LyCORIS chooses modules by presets of its own"),
        ("sdxl", {"self_attn_dim": "3"}, "networks.oft_grid", "3 blocks do not divide"),
        ("flux", {"split_qkv": "True"}, "", "split_qkv=True crashes on double blocks"),
        ("flux", {"in_dims": "4,4"}, "", "in_dims=4,4: there must be 5 numbers"),
        ("lumina2", {"train_blocks": "single"}, "", "train_blocks=single: there are all, transformer"),
        ("sd15", {"conv_dim": "8"}, "networks.dylora_grid", "conv_dim must be the same as --network_dim"),
        ("sd15", {"unit": "3"}, "networks.dylora_grid", "must be a multiple of it"),
        ("sdxl", {"up_lr_weight": "1,1,1,1,1,1,1,1,1,0"}, "", "up_lr_weight: 10 values, but there are 9 blocks"),
        ("wan", {"exclude_patterns": "'.*ffn.*'"}, "", "is not a list of regexes"),
        ("wan", {"exclude_patterns": "['(']"}, "", "does not compile"),
    ],
)
def test_what_a_run_would_refuse_is_refused(model, arguments, module, told):
    with pytest.raises(GridError, match=told.replace("?", r"\?")):
        preview(find_model(model), arguments, Run(network_module=module))


def test_dylora_gives_both_text_encoders_of_sdxl_the_same_names():
    def plan(**arguments):
        return preview(find_model("sdxl"), {"ffn_lr": "2x"}, Run(network_module="networks.dylora_grid", **arguments))

    with pytest.raises(GridError, match="the same names"):
        plan(trains_text_encoders=True)
    assert plan().plan.rows


@pytest.mark.parametrize(
    ("name", "known"),
    [("flux", "flux-dev"), ("FLUX.1-dev", "flux-dev"), ("Wan22", "wan22-t2v-14b"), ("ltx-2", "diffusers/ltx-2")],
)
def test_models_answer_to_their_common_names(name, known):
    assert find_model(name).name == known


def test_an_unknown_model_is_told_with_the_nearest():
    with pytest.raises(GridError, match=r"Did you mean qwen-image\?"):
        find_model("qwen-imge")


def one_of_each_family():
    models = [find_model(name) for name in model_names() if "/" not in name]
    return {model.layout.family: model.name for model in reversed(models)}.values()


@pytest.mark.parametrize("name", one_of_each_family())
def test_every_preset_serves_every_family_or_says_that_it_sets_nothing(name):
    model = find_model(name)
    components = {layer.site.component for layer in model.networks[0].layers if not layer.needs}
    for preset in preset_names():
        if preset == "keep_base" and "cross_attn" not in components:
            with pytest.raises(GridError, match="preset: keep_base sets nothing here"):
                preview(model, {"preset": preset})
        else:
            made = preview(model, {"preset": preset})
            assert any("preset" in notice for notice in made.plan.notices)
