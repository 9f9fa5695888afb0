"""What can be pasted into the page of ``lr-grid ui``, and what is said of what cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lr_grid.errors import GridError
from lr_grid.models import find_model
from lr_grid.preview import Run, preview
from lr_grid.report.jsonfile import plan_to_dict
from lr_grid.ui.lines import line_of
from lr_grid.ui.models import page_model
from lr_grid.ui.parse import parse
from lr_grid.ui.parsed import Asked, OtherModelError
from lr_grid.ui.planned import cells_of, planned
from lr_grid.ui.raw_words import raw_words
from lr_grid.ui.state import State, state_json
from lr_grid.ui.write import texts_of, words_of

FLUX = Asked("flux-dev", "3e-5", "8", "4")
ONES = ",".join(["1"] * 56)


def changed(text: str, asked: Asked = FLUX) -> dict:
    """What a text changes of a state without settings."""
    _, read = parse(text, asked)
    plain = State(page_model(asked.model), asked.base_lr, dim=asked.dim, alpha=asked.alpha)
    before, after = state_json(plain), state_json(read.state)
    return {key: after[key] for key in after if after[key] != before[key]}


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", "network_args"),
        ("--network_args ffn_lr=2x", "network_args"),
        ("ffn_lr=2x", "network_args"),
        ("  ffn_lr=2x \\\n  'mod_lr=0'  ", "network_args"),
        ("\ufeffffn_lr=2e-4", "network_args"),
        ('ffn_lr = "2x"', "toml"),
        ('component_lr = {ffn = "2x"}', "toml"),
        ('{"ffn_lr": "2x"}', "toml"),
        ('network_args = ["ffn_lr=2x"]', "config"),
        ('[Train]\nnetwork_module = "networks.lora_flux"', "config"),
        ("--network_dim 4 --network_args ffn_lr=2x", "command"),
        ("accelerate launch flux_train_network.py --network_args ffn_lr=2x", "command"),
        ('{"per_layer_lr": {"enabled": true, "component_lr": {"ffn": 2e-4}}}', "serenity"),
        ('{"block_learning_rate_multiplier": {"double_block_0": 0.3}}', "onetrainer"),
        (f"0.5,{ONES}", "lbw"),
        (r"double_blocks\.(3|4)=1e-4,single=2e-4", "network_reg_lrs"),
    ],
)
def test_the_form_of_a_text_is_known_by_its_look(text, form):
    assert parse(text, FLUX)[0].form == form


def test_other_tools_formats_become_bars_and_components():
    serenity = '{"per_layer_lr": {"enabled": true, "component_lr": {"ffn": 2e-4}, "depth_strategy": "cosine"}}'
    assert changed(serenity)["components"] == {"ffn": "0.0002"}
    assert changed(serenity)["depth"]["strategy"] == "cosine"
    onetrainer = '{"block_learning_rate_multiplier": {"double_block_0": 0.3, "single_block_37": 0}}'
    weights = changed(onetrainer)["weights"]
    assert (weights["double"][0], weights["single"][37], sum(weights["single"])) == (0.3, 0, 37)
    assert changed(f"0.5,{ONES}")["weights"]["double"][0] == 0.5
    sd = changed("down_lr_weight=1,1,1,1,1,1,.5,.5,.5,.5,.5,.5 mid_lr_weight=.5", Asked("sd15"))
    assert sd["weights"]["unet"][7] == 0.5
    rules = changed(r"double_blocks_(\d+)_img_mlp=1e-4,foo=2e-4")
    assert set(rules["cells"]["double"]["ffn"].values()) == {"0.0001"}
    assert rules["kept"] == {"module_lr": "foo:0.0002"}


def test_upstreams_block_weights_beside_other_arguments_are_kept():
    text = "down_lr_weight=sine up_lr_weight=cosine rank_dropout=0.1"
    assert changed(text, Asked("sdxl"))["kept"]["rank_dropout"] == "0.1"


def test_what_a_text_does_not_say_stays_the_pages():
    state = parse("ffn_lr=2x", FLUX)[1].state
    assert (state.base_lr, state.dim, state.alpha, state.module, state.command) == ("3e-5", "8", "4", "", [])


def test_a_command_brings_its_run_and_keeps_its_other_words_as_they_were_typed():
    text = """accelerate launch --mixed_precision="bf16" flux_train_network.py \\
      --output_dir "$OUT dir" --output_name='a b' --unet_lr=2e-4 --learning_rate 1e-5 \\
      --network_module networks.lora_flux --network_dim 32 --network_args ffn_lr=2x "split_qkv=False" --fp8_base"""
    _, read = parse(text, FLUX)
    state = read.state
    assert (state.base_lr, state.dim, state.alpha, state.module) == ("2e-4", "32", "", "")
    assert state.command == [
        *("accelerate", "launch", '--mixed_precision="bf16"', "flux_train_network.py", "--output_dir", '"$OUT dir"'),
        *("--output_name='a b'", "--learning_rate", "1e-5", "--fp8_base"),
    ]
    assert state.kept == {"split_qkv": "False"}
    assert any("networks.lora_flux becomes networks.lora_flux_grid" in note for note in read.notes)
    written = texts_of(state).command
    assert "--unet_lr 2e-4" in written
    assert written.count("--learning_rate") == 1
    again = parse(written, FLUX)[1].state
    assert state_json(again) == state_json(state)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--optimizer_type DAdaptLion --learning_rate 1", "optimizer_type"),
        ("--optimizer_type AdaFactor", "relative_step"),
        ("--optimizer_type AdaFactor --optimizer_args scale_parameter=False relative_step=False warmup_init=False", ""),
        ("--optimizer_type AdamW8bit", ""),
        ("", ""),
    ],
)
def test_an_optimizer_that_cannot_obey_the_grid_is_told(options, told):
    state = parse(f"accelerate launch flux_train_network.py {options} --network_args ffn_lr=2x", FLUX)[1].state
    if not told:
        assert planned(state)["groups"] > 1
        return
    with pytest.raises(GridError, match=told):
        planned(state)
    state.components = {}
    assert planned(state)["groups"]  # without a grid there is nothing to obey


def test_a_commands_learning_rate_is_the_base_where_no_unet_lr_is():
    state = parse("--learning_rate=2e-4 --network_dim 4 --fp8_base", FLUX)[1].state
    assert (state.base_lr, state.dim, state.alpha, state.command) == ("2e-4", "4", "", ["--fp8_base"])


@pytest.mark.parametrize(
    "text",
    [
        "cd x && accelerate launch flux_train_network.py --network_dim 4 --network_args ffn_lr=2x",
        "# don't\naccelerate launch flux_train_network.py --network_dim 4 --network_args ffn_lr=2x",
        "accelerate launch flux_train_network.py `\n --network_dim 4 `\n --network_args 'ffn_lr=2x'",
        "accelerate launch flux_train_network.py ^\n --network_dim 4 ^\n --network_args ffn_lr=2x",
        "accelerate launch flux_train_network.py\n--network_dim 4\n--network_args ffn_lr=2x",
    ],
)
def test_commands_of_other_shells_and_scripts_are_read(text):
    state = parse(text, FLUX)[1].state
    assert (state.components, state.dim) == ({"ffn": "2x"}, "4")
    assert state.command[-1] == "flux_train_network.py"


def test_raw_words_keep_quotes_and_variables():
    words = raw_words('a \'b c\'"d" \\\n $X $(date +%F) e\\ f "g \\" h"')
    assert [word.raw for word in words] == ["a", "'b c'\"d\"", "$X", "$(date +%F)", "e\\ f", '"g \\" h"']
    assert [word.text for word in words][1::3] == ["b cd", "e f"]
    assert raw_words("a 'b") is None
    assert raw_words("a; b") is None
    assert raw_words("a\nb") is None


def test_a_trainers_config_brings_its_run():
    text = 'network_module = "networks.lora_flux"\nnetwork_dim = 16\nlearning_rate = 2e-4\nnetwork_args = ["ffn_lr=2x"]'
    _, read = parse(text, FLUX)
    assert (read.state.base_lr, read.state.dim, read.state.alpha) == ("0.0002", "16", "")
    assert read.state.components == {"ffn": "2x"}
    assert any("not kept" in note for note in read.notes)


@pytest.mark.parametrize(
    "text",
    [
        "'--network_args' grid=pyproject.toml",
        '"grid=pyproject.toml"',
        "--network_args 'grid=pyproject.toml'",
        "--network_dim 4 --network_args grid=pyproject.toml",
        "--network_args grid=/etc/passwd",
        "grid=setup.py",
        'grid = "/etc/passwd"\nffn_lr = 1',
        'network_args = ["grid=/etc/passwd"]',
    ],
)
def test_no_file_is_read_by_a_name_in_a_text(text, monkeypatch):
    def opened(self, *args, **kwargs):
        raise AssertionError(f"{self} was read")

    parse("ffn_lr=2x", FLUX)  # the catalogue's own files are read before
    monkeypatch.setattr(Path, "read_text", opened)
    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(GridError, match="grid"):
        parse(text, FLUX)


def test_a_config_file_of_a_command_is_not_read(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('network_dim = 77\nnetwork_args = ["ffn_lr=7x"]\n')
    _, read = parse(f"accelerate launch flux_train_network.py --config_file {config} --network_dim 4", FLUX)
    assert (read.state.dim, read.state.components) == ("4", {})
    assert any("--config_file" in note for note in read.notes)


def test_a_preset_and_published_defaults_are_spelt_out():
    style = changed("preset=style ffn_lr=2x")
    assert style["components"] == {"self_attn": "1.25x", "cross_attn": "0.5x", "ffn": "2x"}
    assert style["depth"]["strategy"] == "inverted_u"
    published = changed("per_layer_lr=true self_attn_lr=1x")
    assert published["components"] == {"self_attn": "1x", "cross_attn": "0.0002", "ffn": "0.0003"}
    assert published["default_lr"] == "0.0003"
    whole = changed("per_layer_lr=true component_lr=self_attn:1x")
    assert whole["components"] == {"self_attn": "1x"}
    notes = parse("per_layer_lr=true", FLUX)[1].notes
    assert any("norm_lr" in note and "left out" in note for note in notes)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("block_lr_weight=unet_0:0.5", "block_lr_weight: 'unet_0:0.5'"),
        ("block_lr_weight=unet_5:0.5,unet_19-22:2", "block_lr_weight: 'unet_19-22:2'"),
        ("block_lr=unet_0:1e-4", "block_lr: 'unet_0:1e-4'"),
        ("block_dims=unet_0:4", "block_dims: 'unet_0:4'"),
        ("block_lr_weight=unet_5:0.5 exclude_block_indices=5", "block_lr_weight: 'unet_5:0.5'"),
    ],
)
def test_values_of_blocks_without_modules_are_told_since_a_run_refuses_them(text, subject):
    notes = parse(text, Asked("sdxl"))[1].notes
    assert [note.partition(" is left out, ")[0] for note in notes] == [subject]
    assert "matches no module that trains" in notes[0]


@pytest.mark.parametrize(
    "text", ["block_lr_weight=unet_5:0.5", "block_lr_weight=unet_0-5:0.5", "block_lr_weight=unet:2"]
)
def test_values_that_reach_some_module_are_read_without_a_word(text):
    assert parse(text, Asked("sdxl"))[1].notes == []


def test_lists_of_what_trains_become_what_is_off():
    found = changed("train_double_block_indices=0-3 exclude_single_block_indices=7 train_components=ffn,fused")
    assert found["off"] == {"double": list(range(4, 19)), "single": [7]}
    assert found["components_off"] == ["self_attn", "cross_attn", "mod"]


def test_rules_by_regex_become_cells_as_long_as_they_are_whole_cells():
    found = changed(r"'module_lr=double_blocks\.(0|1)\.img_mlp:1e-4,img_mlp\.0:2e-4,single_blocks\.3\.:5e-5'")
    assert found["cells"] == {"double": {"ffn": {"0": "1e-4", "1": "1e-4"}}}
    assert found["kept"] == {"module_lr": r"img_mlp\.0:2e-4,single_blocks\.3\.:5e-5"}
    both = changed(r"'module_lr=double_blocks\.0\.img_mlp:1e-4,double_blocks\.0\.:2e-4'")
    rows = both["cells"]["double"]
    assert rows["ffn"] == {"0": "1e-4"}  # the first rule that matches wins
    assert {row["0"] for component, row in rows.items() if component != "ffn"} == {"2e-4"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ffn_lr=fast", "ffn_lr: 'fast' is not a learning rate"),
        ("norm_lr=1e-4", "norm_lr: this network has no norm module in flux-dev"),
        ("exclude_components=norm", "exclude_components: this network has no norm module"),
        ("ffn_lr=1 ffn_lr=2", "ffn_lr is given twice"),
        ("--network_args ffn_lr=1 --network_args mod_lr=0", "2 times"),
        ("--network_dim 4 --network_dim 8 --network_args ffn_lr=1x", "--network_dim stands there twice"),
        ("depth_strategy=lineer", "Did you mean linear?"),
        ('ffn_lr = "2x"\nffn_l = 1', "'ffn_l' is no setting of a grid. Did you mean ffn_lr?"),
        ("hello", "no grid in any form"),
        ("{", "not valid JSON"),
        (f"MIDD:{','.join(['1'] * 16)}", "16"),
        ("min_depth_factor=0.5", "has no effect with depth_strategy=flat"),
    ],
)
def test_what_is_wrong_is_told_as_the_run_tells_it(text, told):
    with pytest.raises(GridError) as error:
        parse(text, FLUX)
    assert told in str(error.value)


def test_a_misspelt_setting_is_kept_and_the_plan_says_what_was_meant():
    state = parse("self_atn_lr=1x ffn_lr=2x", FLUX)[1].state
    assert state.kept == {"self_atn_lr": "1x"}
    with pytest.raises(GridError, match="Did you mean self_attn_lr"):
        planned(state)


@pytest.mark.parametrize(
    ("text", "model", "first"),
    [
        ("block_lr_weight=unet_3:0.5", "flux-dev", "sdxl"),
        ("block_lr_weight=double_3:0.5", "sdxl", "flux-dev"),
        ("block_lr_weight=" + ",".join(["0.5"] * 25), "sdxl", "sd15"),
        ("block_lr_weight=blocks_39:0.5", "wan-1.3b", "wan-14b"),
        ("train_double_block_indices=0-3", "wan-14b", "flux-dev"),
        ("accelerate launch sdxl_train_network.py --network_args ffn_lr=1x", "flux-dev", "sdxl"),
        ("--network_module networks.lora_sd3_grid --network_args ffn_lr=1x", "flux-dev", "sd3-medium"),
        ('{"block_learning_rate_multiplier": {"double_block_0": 0.3}}', "sdxl", "flux-dev"),
        ("MIDD:" + ",".join(["1"] * 17), "flux-dev", "sd15"),
        (ONES + ",1", "wan-14b", "flux-dev"),
    ],
)
def test_another_models_grid_is_refused_and_its_model_offered(text, model, first):
    with pytest.raises(OtherModelError) as error:
        parse(text, Asked(model))
    assert first in error.value.fits
    assert model not in error.value.fits
    assert len(error.value.fits) <= 5
    assert parse(text, Asked(first))[1].state.model.name == first


def test_a_model_with_the_same_layers_stays():
    text = "accelerate launch flux_train_network.py --network_args ffn_lr=1x"
    assert parse(text, Asked("flux-schnell"))[1].state.model.name == "flux-schnell"


def test_wrong_counts_are_never_padded():
    for count in (56, 59):
        with pytest.raises(GridError):
            parse("block_lr_weight=" + ",".join(["0.5"] * count), FLUX)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('ffn_lr = "1x"\nmod_lr = 1x\n', 2),
        ('ffn_lr = "0.5x\nffn_lr = "0.5x"\nself_atn_lr = 2\n', 1),
        ('{\n "ffn_lr": 1,\n}', 3),
        ('ffn_lr = "1x"\n\nmod_lr = "fast"\n', 3),
        ("a.py \\\n --network_args \\\n ffn_lr=1x \\\n mod_lr=fast", 4),
        ("mod_lr=fast", None),
    ],
)
def test_a_problem_names_its_line(text, line):
    with pytest.raises(GridError) as error:
        parse(text, FLUX)
    assert line_of(error.value.problems[0], text) == line


def test_the_plan_of_a_run_is_its_grid_again():
    arguments = {
        "self_attn_lr": "1.5x",
        "depth_strategy": "linear",
        "block_lr_weight": {"double_0-6": 0.3},
        "preset": "style",
    }
    made = preview(find_model("flux-dev"), arguments, Run())
    text = json.dumps(plan_to_dict(made.plan, made.base, made.groups, made.descriptions))
    parsed, read = parse(text, FLUX)
    assert parsed.form == "plan"
    assert read.state.base_lr == "0.0001"
    again = preview(find_model("flux-dev"), dict(words_of(read.state)))
    assert cells_of(again.plan) == cells_of(made.plan)
