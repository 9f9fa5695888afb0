"""The settings grammar: arguments and files to GridSettings, and every problem told at once."""

import json
from pathlib import Path

import pytest

from lr_grid.errors import GridError, Problems
from lr_grid.settings import PUBLISHED_DEFAULTS, GridSettings, read_settings
from lr_grid.values import Rate


def read(**arguments) -> GridSettings:
    problems = Problems()
    settings = read_settings(arguments, problems)
    problems.raise_if_any()
    return settings


def problems_of(**arguments) -> list[str]:
    problems = Problems()
    read_settings(arguments, problems)
    return problems.found


def test_learning_rates_are_absolute_or_relative():
    settings = read(self_attn_lr="4e-4", ffn_lr="1.5x", default_lr=".5X", norm_lr="-1e-4")
    assert settings.component_lr == {"self_attn": Rate(4e-4), "ffn": Rate(1.5, True), "norm": Rate(-1e-4)}
    assert settings.default_lr == Rate(0.5, True)


def test_component_lr_is_the_single_keys_in_one():
    assert (
        read(component_lr="self_attn:4e-4,ffn:0.75x").component_lr
        == read(self_attn_lr="4e-4", ffn_lr="0.75x").component_lr
    )


def test_both_forms_for_one_component_contradict():
    assert "both set ffn" in problems_of(component_lr="ffn:1e-4", ffn_lr="2e-4")[0]


def test_module_rules_may_hold_commas_and_colons():
    rules = read(module_lr=r"double_blocks\.\d{1,2}\.img:1e-4,(?:txt|img)_mlp:0.5x").module_lr
    assert [(r.pattern.pattern, r.value) for r in rules] == [
        (r"double_blocks\.\d{1,2}\.img", Rate(1e-4)),
        ("(?:txt|img)_mlp", Rate(0.5, True)),
    ]


def test_loraplus_ratios_are_kept_by_what_they_speak_of():
    settings = read(loraplus_lr_ratio="4", loraplus_unet_lr_ratio="8", loraplus_ffn_lr_ratio="2")
    assert settings.loraplus == {None: 4, "unet": 8, "ffn": 2}
    assert [settings.loraplus_key(name) for name in (None, "unet", "ffn")] == [
        "loraplus_lr_ratio",
        "loraplus_unet_lr_ratio",
        "loraplus_ffn_lr_ratio",
    ]


def test_te_keys_make_the_settings_of_text_encoders_one_encoders_own_win():
    settings = read(ffn_lr="1e-4", te_ffn_lr="2e-4", te_depth_strategy="linear", te2_ffn_lr="0.5x")
    assert settings.component_lr == {"ffn": Rate(1e-4)}
    assert {part: own.component_lr["ffn"] for part, own in settings.encoders.items()} == {
        "te1": Rate(2e-4),
        "te2": Rate(0.5, True),
        "te3": Rate(2e-4),
    }
    assert settings.encoders["te2"].depth_strategy == "linear"
    assert settings.encoders["te2"].key("ffn_lr") == "te2_ffn_lr"
    assert settings.encoders["te2"].key("mod_lr") == "te2_mod_lr"  # not given
    assert settings.encoders["te2"].key("depth_strategy") == "te_depth_strategy"


def test_the_depth_curve_of_the_model_is_no_matter_of_its_encoders():
    assert (
        read(depth_strategy="linear", min_depth_factor="0.5", te_ffn_lr="2x").encoders["te1"].depth_strategy == "flat"
    )


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"te_ffn_lr": "fast"}, "te_ffn_lr: 'fast' is not a learning rate"),
        ({"te_component_lr": "ffnn:1e-4"}, "te_component_lr: 'ffnn' is no component; .* Did you mean ffn?"),
    ],
)
def test_bad_te_settings_are_told_as_they_are_spelled(settings, problem):
    with pytest.raises(GridError, match=problem):
        read(**settings)


def test_per_layer_lr_brings_the_published_defaults_for_what_is_not_given():
    settings = read(per_layer_lr="true", ffn_lr="1e-4")
    assert settings.component_lr["ffn"] == Rate(1e-4)
    assert settings.component_lr["norm"] == Rate(PUBLISHED_DEFAULTS["norm_lr"])
    assert (settings.depth_strategy, settings.min_depth_factor, settings.default_lr) == ("linear", 0.3, Rate(3e-4))
    assert settings.given == {"per_layer_lr", "ffn_lr"}


def test_per_layer_lr_false_is_no_grid():
    assert read(per_layer_lr="false").given == frozenset()


def test_arguments_win_over_the_file(tmp_path):
    file = tmp_path / "grid.toml"
    file.write_text(
        'self_attn_lr = 4e-4\ndepth_strategy = "linear"\nblock_lr_weight = "double:0.5"\n[component_lr]\nffn = "2x"\n'
    )
    settings = read(grid=str(file), self_attn_lr="1e-5", block_lr_weight="single:2")
    assert settings.component_lr == {"self_attn": Rate(1e-5), "ffn": Rate(2, True)}
    assert settings.depth_strategy == "linear"
    assert [entry.text for entry in settings.block_lr_weight.entries] == ["single:2"]


def test_a_toml_file_may_use_tables_and_lists(tmp_path):
    file = tmp_path / "grid.toml"
    file.write_text(
        "train_components = ['ffn', 'self_attn']\ntrain_block_indices = [0, 1]\nmodule_lr = ['img_mlp:1e-4', 'txt:0']\n"
        "[block_lr_weight]\ndouble_0-6 = 0.3\nsingle = 0.8\n"
    )
    settings = read(grid=str(file))
    assert settings.train_components == {"ffn", "self_attn"}
    assert settings.block_indices["train", None].ranges == ((0, 0), (1, 1))
    assert len(settings.module_lr) == 2
    assert [e.value for e in settings.block_lr_weight.entries] == [0.3, 0.8]


PUBLISHED = {
    "enabled": True,
    "component_lr": {"self_attn": 5e-4, "norm": 5e-5},
    "depth_strategy": "cosine",
    "min_depth_factor": 0.25,
    "peak_position": 0.5,
    "default_lr": 0.0003,
    "log_grad_norms": False,
}


def test_a_published_json_block_is_read_as_it_stands(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"model_type": "klein", "per_layer_lr": PUBLISHED}))
    settings = read(grid=str(file))
    # The table is taken as a whole: what it leaves out (cross_attn, ffn) takes default_lr.
    assert settings.component_lr == {"self_attn": Rate(5e-4), "norm": Rate(5e-5)}
    assert settings.default_lr == Rate(3e-4)
    assert (settings.depth_strategy, settings.min_depth_factor) == ("cosine", 0.25)
    assert "norm_lr" not in settings.given  # such blocks list norm for every model, also where a LoRA has none
    assert any("model_type" in notice for notice in settings.notices)


def test_a_published_block_that_is_not_enabled_does_nothing_and_says_so(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"per_layer_lr": {**PUBLISHED, "enabled": False}}))
    settings = read(grid=str(file))
    assert settings.component_lr == {}
    assert settings.given == frozenset()
    assert "enabled=false" in settings.notices[0]


def test_block_multipliers_of_another_trainer(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"block_learning_rate_multiplier": {"double_block_0": 0.3, "single_block_7": 0}}))
    resolved = read(grid=str(file)).block_lr_weight.resolve({"double": 19, "single": 38}, "flux")
    assert resolved.values == {("double", 0): 0.3, ("single", 7): 0}
    assert not resolved.problems


def test_arguments_may_overrule_a_file_into_flat_or_out_of_a_component(tmp_path):
    file = tmp_path / "grid.toml"
    file.write_text('depth_strategy = "linear"\nmin_depth_factor = 0.5\nself_attn_lr = 1e-4\n')
    assert read(grid=str(file), depth_strategy="flat", train_components="ffn").depth_strategy == "flat"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ffn_lr": "fast"}, "'fast' is not a learning rate"),
        ({"ffn_lr": ""}, "ffn_lr: is empty"),
        ({"ffn_lr": "1e999"}, "not a finite number"),
        ({"loraplus_lr_ratio": "0"}, "not above 0"),
        ({"loraplus_ffn_lr_ratio": "-2"}, "not above 0"),
        ({"depth_strategy": "linaer"}, "Did you mean linear"),
        ({"depth_strategy": "linear", "min_depth_factor": "1.5"}, "outside 0..1"),
        ({"depth_strategy": "linear", "depth_levels": "1"}, "1 level would be flat"),
        ({"depth_strategy": "linear", "depth_levels": "2.5"}, "not a whole number"),
        ({"depth_strategy": "geometric", "min_depth_factor": "0"}, "more than 0"),
        ({"depth_strategy": "linear", "peak_position": "0.3"}, "belongs to depth_strategy=inverted_u"),
        ({"min_depth_factor": "0.5"}, "no effect with depth_strategy=flat"),
        ({"depth_scope": "block", "depth_strategy": "linear"}, "allowed: stack, model"),
        ({"module_lr": "(img:1e-4"}, "does not compile"),
        ({"module_lr": "img_mlp"}, "is not regex:LR"),
        ({"component_lr": "atn:1e-4"}, "'atn' is no component"),
        ({"component_lr": "1e-4"}, "is not component:LR"),
        ({"train_components": "ffn,mlp"}, "'mlp' is no component"),
        ({"train_components": "self_attn", "ffn_lr": "1e-4"}, "leaves ffn out"),
        ({"train_block_indices": "0-x"}, "neither a block nor a range"),
        ({"per_layer_lr": "perhaps"}, "neither true nor false"),
        ({"block_lr": "double:quick"}, "is not a learning rate"),
        ({"component_lr": "ffn:1e-4,ffn:2e-4"}, "sets ffn twice"),
        ({"component_lr": ""}, "component_lr: is empty"),
        ({"grid": ""}, "grid: is empty"),
        ({"module_lr": "a{99999999999999999999}:1e-4"}, "does not compile"),
    ],
)
def test_bad_values(arguments, message):
    assert len(problems_of(**arguments)) == 1
    assert message in problems_of(**arguments)[0]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("missing.toml", None, "no such file"),
        ("grid.yaml", "a: 1", "a .toml or a .json"),
        ("broken.toml", "a = [1,", "not valid TOML"),
        ("broken.json", "{", "not valid JSON"),
        ("list.json", "[1]", "not a table of settings"),
        ("typo.toml", "self_atn_lr = 1e-4", "Did you mean self_attn_lr"),
        ("empty.toml", "", "holds nothing"),
        ("twice.json", '{"ffn_lr": 1, "ffn_lr": 2}', "'ffn_lr' is given twice"),
        ("unquoted.toml", "ffn_lr = 1.5x", 'a relative LR is text in TOML: "1.5x"'),
        ("flag.toml", "depth_strategy = 'linear'\ndepth_levels = true", "True is not a number"),
        ("nested.toml", "grid = 'other.toml'", "'grid' is no setting of a grid"),
        ("null.json", '{"component_lr": null}', "component_lr: is empty"),
        ("beside.json", '{"per_layer_lr": {"enabled": true}, "ffn_lr": 1}', "ffn_lr stands beside a published block"),
        ("word.json", '{"per_layer_lr": {"enabled": "perhaps"}}', "neither true nor false"),
        ("typo.json", '{"per_layer_lr": {"enabled": true, "component_lr": {"atn": 1}}}', "'atn' is no component"),
    ],
)
def test_bad_files(tmp_path, name, text, message):
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    found = problems_of(grid=str(file))
    assert any(message in problem for problem in found)
    assert len(found) == 1


def test_all_problems_are_told_together():
    found = problems_of(ffn_lr="fast", loraplus_lr_ratio="0", module_lr="(:1")
    assert len(found) == 3


def test_the_sample_grid_file_is_read_whole():
    file = Path(__file__).parent.parent / "sample_configs" / "grid.toml"
    settings = read(grid=str(file))
    assert settings.component_lr == {"self_attn": Rate(1.5, True), "ffn": Rate(5e-5), "mod": Rate(0.0)}
    assert [rule.pattern.pattern for rule in settings.module_lr] == [
        rf"double_blocks\.7\.img_attn\.{name}" for name in ("qkv", "proj")
    ]
    resolved = settings.block_lr_weight.resolve({"double": 19, "single": 38}, "flux")
    assert (resolved.values["double", 6], resolved.values["double", 18]) == (0.3, 2)
