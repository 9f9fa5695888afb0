"""Presets: settings under a name, from their files to the LR of every parameter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file
from small_models import Chroma, Flux, TextEncoder, WanModel, lr_by_name, make_network, start, trainer_args

from lr_grid.cli.main import main
from lr_grid.depth import depth_factor
from lr_grid.errors import GridError, Problems
from lr_grid.keys import is_grid_key, split_section
from lr_grid.presets import arguments_of, load_preset, preset_names
from lr_grid.report.jsonfile import plan_to_dict
from lr_grid.settings import read_settings
from lr_grid.values import Rate

ROOT = Path(__file__).parent.parent
PUBLISHED = Path(__file__).with_name("published")
OWN = ("flat", "keep_base", "small_file")

# The recipes as published: (self_attn, cross_attn, ffn), strategy, min_depth_factor, the learning_rate of the page.
RECIPES = {
    "style": ((5e-4, 2e-4, 3e-4), "inverted_u", 0.3, 4e-4),
    "subject": ((4e-4, 1e-4, 2.5e-4), "linear", 0.3, 4e-4),
    "concept": ((3e-4, 2.5e-4, 2e-4), "cosine", 0.35, 4e-4),
    "full_finetune": ((1.5e-5, 5e-6, 1e-5), "cosine", 0.15, 1e-5),
    "component_only": ((4e-4, 1e-4, 3e-4), "flat", None, 4e-4),
    "conservative": ((4e-4, 3e-4, 3.5e-4), "linear", 0.7, 4e-4),
}
# Preset -> (its published example, the model it is held against).
EXAMPLES = {
    "flux2_klein_4b": ("01_flux_2_klein_4b", "FLUX.2 Klein 4B"),
    "flux2_klein_9b": ("02_flux_2_klein_9b", "FLUX.2 Klein 9B"),
    "flux2_dev": ("03_flux_2_dev", "FLUX.2 dev"),
    "sd15": ("04_sd15", "SD 1.5"),
    "sdxl": ("05_sdxl", "SDXL"),
    "sd35": ("06_sd35", "SD3.5 medium"),
    "ltx2": ("07_ltx2", "LTX-2"),
    "wan": ("08_wan", "Wan 2.1 I2V 14B"),
    "qwen_image": ("09_qwen", "Qwen-Image"),
    "z_image": ("10_zimage", "Z-Image"),
    "chroma": ("11_chroma_1", "Chroma1"),
    "hunyuan_video": ("12_hunyuan_video", "HunyuanVideo"),
    "component_only": ("13_component_only", "SD 1.5"),
}


def read(**arguments):
    problems = Problems()
    settings = read_settings(arguments, problems)
    problems.raise_if_any()
    return settings


def planned(model, text_encoder=None, dim=2, lr=1e-4, **network_args):
    """(LR by parameter name, the network) on the way the trainers go."""
    network = make_network(model, text_encoder, dim=dim, **network_args)
    groups, _ = start(network, model, text_encoder, learning_rate=lr)
    return lr_by_name(groups), network


def test_the_recipes_the_examples_and_our_own_are_all_there():
    assert set(preset_names()) == {*RECIPES, *EXAMPLES, *OWN}
    assert {example for example, _ in EXAMPLES.values()} == {path.stem for path in PUBLISHED.glob("[0-9]*.json")}


@pytest.mark.parametrize("name", preset_names())
def test_a_file_says_where_it_comes_from_and_every_lr_follows_the_trainers(name):
    preset = load_preset(name)
    assert preset.title
    assert preset.evidence
    assert preset.source
    assert preset.address.startswith("https://") == (name not in OWN)
    assert (preset.kind == "a recipe, not a measurement") == (name not in OWN)
    assert all(is_grid_key(key) and not split_section(key)[0] for key in preset.settings)
    settings = read(preset=name)
    lrs = [*settings.component_lr.values(), *([settings.default_lr] if settings.default_lr else [])]
    assert all(lr.relative or lr.value == 0 for lr in lrs)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_the_published_numbers(name):
    lrs, strategy, lowest, base = RECIPES[name]
    settings = read(preset=name)
    found = [settings.component_lr[component].resolve(base) for component in ("self_attn", "cross_attn", "ffn")]
    assert found == pytest.approx(lrs, rel=1e-6)
    assert settings.depth_strategy == strategy
    if lowest is not None:
        assert settings.min_depth_factor == lowest
    preset = load_preset(name)
    assert preset.published == {
        "learning_rate": base,
        **dict(zip(("self_attn", "cross_attn", "ffn"), lrs, strict=True)),
    }


@pytest.mark.parametrize(("name", "example", "size"), [(name, *of) for name, of in EXAMPLES.items()])
def test_at_the_published_learning_rate_every_parameter_has_the_published_lr(name, example, size):
    pytest.importorskip("diffusers")
    from inventories.diffusers_models import build

    import lr_grid

    path = PUBLISHED / f"{example}.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    models = [build(size), build(size)]
    grids = [path, {"preset": name}]
    published, found = (
        lr_by_name(lr_grid.param_groups(model, grid, lr=config["learning_rate"], quiet=True))
        for model, grid in zip(models, grids, strict=True)
    )
    assert len(found) == len(list(models[0].parameters()))
    assert found == pytest.approx(published, rel=1e-6, abs=0)
    listed = config["per_layer_lr"]["component_lr"]
    numbers = load_preset(name).published
    assert {key: numbers[key] for key in listed} == listed
    assert numbers["learning_rate"] == config["learning_rate"]


def test_style_spelt_out_on_flux():
    lrs, network = planned(Flux(double=3, single=5), grid_preset="style", lr=1e-3)

    def lr(name):
        (value,) = {lr for parameter, lr in lrs.items() if f"_{name}." in parameter}
        return value

    assert lr("double_blocks_1_img_attn_qkv") == pytest.approx(1.25e-3)  # the middle of 3, the peak
    assert lr("double_blocks_0_img_attn_qkv") == pytest.approx(1.25e-3 * 0.3)
    assert lr("double_blocks_2_txt_mlp_0") == pytest.approx(0.5e-3 * 0.3)
    assert lr("double_blocks_1_img_mlp_2") == pytest.approx(0.75e-3)
    assert lr("double_blocks_1_img_mod_lin") == pytest.approx(0.75e-3)  # no LR of its own: default_lr, with the curve
    whys = {row.site.path: row.why for row in network.grid_plan.rows}
    assert whys["double_blocks.1.img_attn.qkv"] == "self_attn_lr 1.25x (preset style) * depth 1"
    assert whys["double_blocks.1.img_mod.lin"].startswith("default_lr (preset style) 0.00075")
    assert lr("single_blocks_2_linear1") == pytest.approx((1.25e-3 * 0.75e-3) ** 0.5)
    assert lr("single_blocks_1_linear1") == pytest.approx((1.25e-3 * 0.75e-3) ** 0.5 * (1 - 0.7 * 0.25))


@pytest.mark.parametrize("model", [Flux, Chroma, WanModel])
@pytest.mark.parametrize("name", preset_names())
def test_every_preset_trains_on_every_family_of_dit_and_says_what_it_is(name, model):
    lrs, network = planned(model(), TextEncoder(), grid_preset=name)
    plan = network.grid_plan
    assert lrs
    assert dict(plan.header)["preset"] == name
    about = [notice for notice in plan.notices if notice.startswith(f"preset {name}")]
    preset = load_preset(name)
    assert preset.kind in about[0]
    assert preset.source in about[0]
    data = plan_to_dict(plan, "lycoris.kohya", [], [])
    assert data["settings"]["preset"] == data["arguments"]["preset"] == name
    assert about[0] in data["notices"]


def test_what_of_a_preset_finds_nothing_is_told_and_no_error():
    _, network = planned(WanModel(), grid_preset="sdxl")
    assert "preset sdxl: nothing that trains here takes its default_lr, norm_lr" in network.grid_plan.notices
    with pytest.raises(GridError, match="norm_lr: this network has no norm module"):
        planned(WanModel(), norm_lr="0.1x")  # asked for by the user it is a mistake
    _, network = planned(WanModel(), grid_preset="concept", train_norm="True", preset="full")
    assert not [notice for notice in network.grid_plan.notices if "takes its" in notice]


def test_a_preset_that_sets_nothing_at_all_is_an_error():
    with pytest.raises(GridError, match=r"preset: keep_base sets nothing here: .* takes its cross_attn_lr"):
        planned(Flux(), grid_preset="keep_base", exclude_components="cross_attn")
    lrs, _ = planned(Flux(), grid_preset="keep_base", exclude_components="mod")
    assert sorted(set(lrs.values())) == pytest.approx([1e-4, 4e-4])


def test_the_plain_flat_start_is_upstreams_lr_everywhere():
    lrs, network = planned(Flux(), grid_preset="flat", lr=3e-4)
    assert set(lrs.values()) == {3e-4}
    assert dict(network.grid_plan.header)["strategy"] == "flat"


@pytest.mark.parametrize("dim", [2, 16])
def test_small_file_is_rank_4_without_modulation_whatever_the_networks_rank(dim):
    _, network = planned(Flux(), TextEncoder(), dim=dim, grid_preset="small_file")
    of_unet = [row for row in network.grid_plan.rows if row.site.part == "unet"]
    assert {(row.rank, row.alpha) for row in of_unet if not row.frozen} == {(4, 4.0)}
    assert {row.site.component for row in of_unet if row.frozen} == {"mod"}
    assert {row.site.component for row in of_unet if not row.frozen} == {"self_attn", "cross_attn", "ffn", "fused"}
    assert {row.rank for row in network.grid_plan.rows if row.site.part == "te1"} == {dim}
    assert not [key for key in network.state_dict() if "mod_lin" in key]
    assert {row.why for row in of_unet if row.frozen} == {"mod_lr 0 (preset small_file)"}
    assert {row.rank_why for row in of_unet if row.site.component == "ffn"} == {"ffn_dim 4 (preset small_file)"}


def test_settings_beside_small_file_win_over_its_own():
    _, network = planned(
        Flux(), grid_preset="small_file", mod_lr="1x", ffn_dim="8", module_alphas=".:0.5x", block_dims="single_0:2"
    )
    rows = {row.site.path: row for row in network.grid_plan.rows}
    assert (rows["double_blocks.0.img_mlp.0"].rank, rows["double_blocks.0.img_mlp.0"].alpha) == (8, 4)
    assert (rows["single_blocks.0.linear1"].rank, rows["single_blocks.1.linear1"].rank) == (2, 4)
    assert not rows["double_blocks.0.img_mod.lin"].frozen


def test_the_ranks_of_a_file_win_over_a_presets_and_its_lrs_stay(tmp_path):
    from networks import lycoris_grid

    _, first = planned(Flux(), dim=3, ffn_lr="1x")
    save_file(first.state_dict(), str(tmp_path / "rank3.safetensors"))
    model = Flux()
    network, _ = lycoris_grid.create_network_from_weights(
        1, str(tmp_path / "rank3.safetensors"), None, None, model, grid_preset="small_file"
    )
    start(network, model)
    assert {row.rank for row in network.grid_plan.rows if not row.frozen} == {3}
    assert {row.site.component for row in network.grid_plan.rows if row.frozen} == {"mod"}
    assert any("the ranks are the file's" in notice and "ffn_dim" in notice for notice in network.grid_plan.notices)


def test_ranks_of_a_preset_on_an_adapter_that_is_already_made_are_refused():
    import lr_grid

    with pytest.raises(GridError, match=r"ffn_dim \(preset small_file\), .*: ranks are the adapter's own here"):
        lr_grid.param_groups(Flux(), {"preset": "small_file"}, lr=1e-4)


def test_later_wins_preset_then_file_then_arguments(tmp_path):
    file = tmp_path / "grid.toml"
    file.write_text('preset = "style"\nffn_lr = "2x"\nmin_depth_factor = 0.5\n')
    settings = read(grid=str(file), min_depth_factor="0.6")
    assert settings.preset == "style"
    assert settings.component_lr == {"self_attn": Rate(1.25, True), "cross_attn": Rate(0.5, True), "ffn": Rate(2, True)}
    assert (settings.depth_strategy, settings.min_depth_factor) == ("inverted_u", 0.6)
    assert settings.given == {"preset", "ffn_lr", "min_depth_factor"}
    assert read(grid=str(file), preset="subject").preset == "subject"
    assert read(grid=str(file), grid_preset="concept").depth_strategy == "cosine"


def test_a_published_block_wins_over_a_preset(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"per_layer_lr": {"enabled": True, "component_lr": {"ffn": 1e-4}}}))
    settings = read(grid=str(file), preset="style")
    assert settings.component_lr == {"ffn": Rate(1e-4)}
    assert (settings.depth_strategy, settings.default_lr) == ("inverted_u", Rate(0.75, True))


def test_per_layer_lr_fills_only_what_a_preset_leaves_open():
    settings = read(preset="component_only", per_layer_lr="true")
    assert settings.component_lr["self_attn"] == Rate(1, True)
    assert "norm" not in settings.component_lr
    assert (settings.depth_strategy, settings.min_depth_factor) == ("flat", 0.3)


def test_a_table_of_components_takes_the_place_of_the_presets_and_a_single_key_of_its_own_only():
    whole = read(preset="style", component_lr="self_attn:2x")
    assert whole.component_lr == {"self_attn": Rate(2, True)}
    assert whole.default_lr == Rate(0.75, True)
    assert any("takes the place of self_attn_lr, cross_attn_lr, ffn_lr of preset style" in n for n in whole.notices)
    single = read(preset="style", self_attn_lr="2x")
    assert set(single.component_lr) == {"self_attn", "cross_attn", "ffn"}
    assert not any("takes the place" in notice for notice in single.notices)


def test_arguments_over_a_preset_are_no_contradiction_but_a_useless_one_is():
    assert read(preset="style", depth_strategy="flat", train_components="ffn").depth_strategy == "flat"
    with pytest.raises(GridError, match="peak_position belongs to depth_strategy=inverted_u, not to linear"):
        read(preset="subject", peak_position="0.4")
    assert read(preset="style", peak_position="0.4").peak_position == 0.4


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"preset": "stlye"}, r"preset: 'stlye' is no preset; there are .*subject.* Did you mean style\?"),
        ({"grid_preset": "nothing"}, "grid_preset: 'nothing' is no preset; there are"),
        ({"preset": ""}, "preset: '' is no preset; there are"),
        ({"preset": "../style"}, "is no preset"),
        ({"preset": "style", "grid_preset": "style"}, "preset and grid_preset both name a preset: keep one"),
    ],
)
def test_bad_names(arguments, problem):
    with pytest.raises(GridError, match=problem) as caught:
        read(**arguments)
    assert len(caught.value.problems) == 1


def test_names_may_be_written_with_hyphens_and_capitals():
    assert read(preset="Full-Finetune").preset == "full_finetune"


@pytest.mark.parametrize("key", ["preset", "grid_preset"])
def test_a_preset_inside_a_published_block_is_refused_and_so_is_one_for_text_encoders(tmp_path, key):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"per_layer_lr": {"enabled": True, key: "style"}}))
    with pytest.raises(GridError, match=f"'{key}' is no setting of a grid"):
        read(grid=str(file))
    with pytest.raises(GridError, match=f"te_{key}: neither lr-grid nor"):
        make_network(Flux(), **{f"te_{key}": "style"})


def test_lycoris_keeps_the_key_for_its_own_presets(tmp_path):
    with pytest.raises(GridError, match="style is a preset of lr-grid: beside LyCORIS it is called grid_preset=style"):
        make_network(Flux(), preset="style")
    (tmp_path / "grid.toml").write_text('preset = "style"\n')
    of_file, network = planned(Flux(), preset="attn-mlp", grid=str(tmp_path / "grid.toml"))
    assert of_file == planned(Flux(), preset="attn-mlp", grid_preset="style")[0]
    assert network.grid_plan.arguments[0] == ("preset", "style")


def test_a_preset_for_a_unet_that_does_not_train_is_an_error():
    model, encoder = Flux(), TextEncoder()
    network = make_network(model, encoder, grid_preset="style")
    network.prepare_network(trainer_args())
    with pytest.raises(GridError, match="grid_preset: the U-Net or DiT is not trained in this run"):
        network.apply_to(encoder, model, True, False)


def test_the_list_names_every_preset_with_its_source(capsys):
    assert main(["presets"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in preset_names())
    assert text.count("a recipe, not a measurement") == len(preset_names()) - len(OWN)


def test_json_of_the_list_and_of_one_hold_the_same(capsys):
    assert main(["presets", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [item["name"] for item in listed] == list(preset_names())
    for argv in (["presets", "show", "style", "--json"], ["presets", "--json", "show", "style"]):
        assert main(argv) == 0
        one = json.loads(capsys.readouterr().out)
        assert one == next(item for item in listed if item["name"] == "style")
    assert one["settings"]["component_lr"] == {"self_attn": "1.25x", "cross_attn": "0.5x", "ffn": "0.75x"}


def test_show_prints_the_file_with_its_evidence(capsys):
    assert main(["presets", "show", "style"]) == 0
    text = capsys.readouterr().out
    assert text == (ROOT / "lr_grid" / "presets" / "style.toml").read_text(encoding="utf-8")
    assert "evidence" in text


@pytest.mark.parametrize("name", preset_names())
def test_the_line_for_network_args_says_the_same_as_the_name(name, capsys):
    assert main(["presets", "show", name, "--args"]) == 0
    flag, *words = capsys.readouterr().out.split()
    assert flag == "--network_args"
    assert words == arguments_of(load_preset(name))
    spelt, named = read(**dict(word.split("=") for word in words)), read(preset=name)
    assert spelt.component_lr == named.component_lr
    assert spelt.ranks.keys == named.ranks.keys
    for key in ("depth_strategy", "min_depth_factor", "peak_position", "default_lr"):
        assert getattr(spelt, key) == getattr(named, key)


def test_the_page_about_presets_has_the_numbers_of_the_files():
    page = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| `")
    ]
    numbers = {row[0].strip("`"): row[1:] for row in rows if len(row) == 9}
    assert set(numbers) == set(preset_names())
    for name, (*components, default, depth, mean, base) in numbers.items():
        settings, published = read(preset=name), load_preset(name).published
        rates = [settings.component_lr.get(c) for c in ("self_attn", "cross_attn", "ffn", "norm")]
        assert [*components, default] == [f"{r.value:.4g}" if r else "" for r in (*rates, settings.default_lr)]
        assert depth.split(",")[0] == " ".join(
            [settings.depth_strategy] + ([str(settings.min_depth_factor)] if settings.depth_strategy != "flat" else [])
        )
        curve = [
            depth_factor(settings.depth_strategy, i, 10001, settings.min_depth_factor, settings.peak_position)
            for i in range(10001)
        ]
        assert float(mean) == pytest.approx(sum(curve) / len(curve), abs=0.006)
        assert base == (f"{published['learning_rate']:g}" if published else "")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["show", "stlye"], "Did you mean style?"),
        (["--json", "show", "style", "--args"], "two ways to show a preset"),
        (["show", "style", "--json", "--args"], "not allowed with argument"),
        (["show"], "name"),
    ],
)
def test_wrong_commands_are_told(argv, told, capsys):
    assert main(["presets", *argv]) == 2
    assert told in capsys.readouterr().err


def test_the_command_imports_nothing_heavy():
    code = (
        "import sys\nfrom lr_grid.cli.main import main\n"
        "assert main(['presets', '--json']) == 0\nassert main(['presets', 'show', 'style']) == 0\n"
        "assert not {'torch', 'numpy', 'rich', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
