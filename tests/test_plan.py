"""The LR of every module, by an independent formula."""

import json
import math

import pytest
from small_models import Flux, TextEncoder, lr_by_name, make_network, start

from lr_grid.errors import GridError

BASE = 1e-4


def lrs(model=None, text_encoder=None, args=None, **grid) -> dict[str, float]:
    model = model or Flux()
    network = make_network(model, text_encoder, **grid)
    groups, _ = start(network, model, text_encoder, **{"learning_rate": BASE, **(args or {})})
    return lr_by_name(groups)


def down(values: dict[str, float], module: str) -> float | None:
    return values.get(f"lora_unet_{module}.lora_down.weight")


def up(values: dict[str, float], module: str) -> float | None:
    return values.get(f"lora_unet_{module}.lora_up.weight")


def test_component_depth_block_and_loraplus_multiply():
    values = lrs(
        depth_strategy="linear",
        min_depth_factor="0.2",
        self_attn_lr="4e-4",
        ffn_lr="0.5x",
        block_lr_weight="double_1:0.5",
        loraplus_lr_ratio="16",
    )
    depth = 1 - 0.5 * 0.8  # block 1 of 3
    assert down(values, "double_blocks_1_img_attn_qkv") == pytest.approx(4e-4 * depth * 0.5)
    assert up(values, "double_blocks_1_img_attn_qkv") == pytest.approx(4e-4 * depth * 0.5 * 16)
    assert down(values, "double_blocks_0_img_mlp_0") == pytest.approx(0.5 * BASE)
    assert down(values, "double_blocks_2_txt_mlp_0") == pytest.approx(BASE * 0.2)


def test_depth_restarts_in_each_stack_or_runs_through_the_model():
    per_stack = lrs(depth_strategy="linear", min_depth_factor="0.3")
    assert down(per_stack, "single_blocks_0_linear1") == pytest.approx(BASE)
    through = lrs(depth_strategy="linear", min_depth_factor="0.3", depth_scope="model")
    assert down(through, "single_blocks_0_linear1") == pytest.approx(BASE * (1 - 3 / 6 * 0.7))
    assert down(through, "single_blocks_3_linear1") == pytest.approx(BASE * 0.3)


def test_fused_takes_the_geometric_mean_or_its_own_lr():
    mean = lrs(self_attn_lr="4e-4", ffn_lr="1e-4")
    assert down(mean, "single_blocks_0_linear2") == pytest.approx(2e-4)
    one_given = lrs(self_attn_lr="4x")
    assert down(one_given, "single_blocks_0_linear2") == pytest.approx(BASE * math.sqrt(4))
    own = lrs(self_attn_lr="4e-4", ffn_lr="1e-4", fused_lr="7e-5")
    assert down(own, "single_blocks_0_linear2") == pytest.approx(7e-5)
    neither = lrs(default_lr="3e-5", mod_lr="1x")
    assert down(neither, "single_blocks_0_linear2") == pytest.approx(3e-5)


def test_attention_and_ffn_lrs_may_serve_fused_modules_only():
    values = lrs(train_double_block_indices="none", self_attn_lr="4x", ffn_lr="1x", mod_lr="1x")
    assert down(values, "single_blocks_0_linear1") == pytest.approx(2 * BASE)


def test_fused_raises_no_questions_where_it_does_not_train():
    values = lrs(train_components="self_attn,ffn", self_attn_lr="1x", ffn_lr="-1x")
    assert down(values, "double_blocks_0_img_mlp_0") == -BASE


def test_a_zero_and_a_list_that_say_the_same_do_not_contradict():
    assert not any("mod" in name for name in lrs(train_components="self_attn,ffn", mod_lr="0"))


def test_a_published_list_of_all_blocks_is_read_as_it_stands(tmp_path):
    multipliers = {f"double_block_{i}": 0.5 for i in range(3)} | {f"single_block_{i}": 2 for i in range(4)}
    (tmp_path / "blocks.json").write_text(json.dumps({"block_learning_rate_multiplier": multipliers}))
    values = lrs(grid=str(tmp_path / "blocks.json"), train_double_block_indices="0")
    assert down(values, "double_blocks_0_img_mlp_0") == pytest.approx(0.5 * BASE)
    assert down(values, "double_blocks_1_img_mlp_0") is None
    assert down(values, "single_blocks_3_linear1") == pytest.approx(2 * BASE)


def test_default_lr_follows_the_depth_curve_for_mod_but_embed_and_other_take_it_flat():
    model = Flux()
    values = lrs(
        model, preset=toml_preset_with_embedder(), default_lr="2e-4", depth_strategy="linear", min_depth_factor="0.5"
    )
    assert down(values, "double_blocks_2_img_mod_lin") == pytest.approx(1e-4)
    assert down(values, "img_in") == pytest.approx(2e-4)


def toml_preset_with_embedder() -> str:
    import tempfile
    from pathlib import Path

    file = Path(tempfile.mkdtemp()) / "preset.toml"
    file.write_text(
        'enable_conv = false\nunet_target_module = ["DoubleStreamBlock", "SingleStreamBlock"]\n'
        'unet_target_name = ["img_in"]\n'
    )
    return str(file)


def test_block_lr_takes_the_place_of_component_and_depth_but_weights_stay():
    values = lrs(
        block_lr="double_2:5e-5,single:2x", self_attn_lr="9e-4", depth_strategy="linear", block_lr_weight="double_2:0.5"
    )
    assert down(values, "double_blocks_2_img_attn_qkv") == pytest.approx(5e-5 * 0.5)
    assert down(values, "double_blocks_2_img_mod_lin") == pytest.approx(5e-5 * 0.5)
    assert down(values, "single_blocks_3_linear1") == pytest.approx(2 * BASE)
    assert down(values, "double_blocks_0_img_attn_qkv") == pytest.approx(9e-4)


def test_module_lr_is_final_first_match_wins_and_loraplus_still_applies():
    values = lrs(
        module_lr=r"double_blocks\.1\.img_attn:1e-5,img_attn:0.5x",
        depth_strategy="linear",
        block_lr_weight="double:0.1",
        loraplus_unet_lr_ratio="4",
    )
    assert down(values, "double_blocks_1_img_attn_qkv") == pytest.approx(1e-5)
    assert up(values, "double_blocks_1_img_attn_proj") == pytest.approx(4e-5)
    assert down(values, "double_blocks_2_img_attn_qkv") == pytest.approx(0.5 * BASE)


def test_module_lr_may_name_lora_names():
    assert down(lrs(module_lr="lora_unet_single_blocks_0_linear1$:3e-5"), "single_blocks_0_linear1") == pytest.approx(
        3e-5
    )


def test_loraplus_of_a_component_beats_the_parts():
    values = lrs(loraplus_lr_ratio="2", loraplus_ffn_lr_ratio="8", depth_strategy="flat")
    assert up(values, "double_blocks_0_img_mlp_0") == pytest.approx(8 * BASE)
    assert up(values, "double_blocks_0_img_attn_qkv") == pytest.approx(2 * BASE)


def test_relative_lrs_follow_unet_lr():
    values = lrs(args={"unet_lr": 5e-5}, ffn_lr="2x")
    assert down(values, "double_blocks_0_img_mlp_0") == pytest.approx(1e-4)
    assert down(values, "double_blocks_0_img_attn_qkv") == pytest.approx(5e-5)


def test_train_lists_leave_the_rest_out():
    values = lrs(train_components="ffn,fused", train_double_block_indices="0,2", train_single_block_indices="none")
    assert {name.split(".")[0] for name in values} == {
        f"lora_unet_double_blocks_{i}_img_mlp_{j}" for i in (0, 2) for j in (0, 2)
    }


def test_quantised_depth_has_that_many_groups():
    model = Flux(19, 38)
    network = make_network(model, depth_strategy="linear", depth_levels="4")
    groups, _ = start(network, model)
    assert len(groups) == 4


def test_each_text_encoder_keeps_its_own_lr():
    encoders = [TextEncoder(), TextEncoder()]
    values = lrs(
        text_encoder=encoders,
        args={"text_encoder_lr": [1e-5, 2e-5]},
        depth_strategy="linear",
        loraplus_text_encoder_lr_ratio="4",
    )
    layer = "text_model_encoder_layers_1_mlp_fc1"
    assert values[f"lora_te1_{layer}.lora_down.weight"] == pytest.approx(1e-5)
    assert values[f"lora_te2_{layer}.lora_down.weight"] == pytest.approx(2e-5)
    assert values[f"lora_te2_{layer}.lora_up.weight"] == pytest.approx(8e-5)
    assert up(values, "double_blocks_0_img_mlp_0") == pytest.approx(BASE)


@pytest.mark.parametrize(
    ("text_encoder_lr", "expected"),
    [(None, (BASE, BASE)), (3e-5, (3e-5, 3e-5)), ([3e-5], (3e-5, 3e-5)), ([0.0, 3e-5], (None, 3e-5))],
)
def test_text_encoder_lr_in_every_form_the_trainer_has(text_encoder_lr, expected):
    values = lrs(
        text_encoder=[TextEncoder(), TextEncoder()], args={"text_encoder_lr": text_encoder_lr}, depth_strategy="linear"
    )
    layer = "text_model_encoder_layers_0_mlp_fc1.lora_up.weight"
    assert (values.get(f"lora_te1_{layer}"), values.get(f"lora_te2_{layer}")) == expected


def test_negative_lrs_pass_and_fused_keeps_their_sign():
    values = lrs(self_attn_lr="-1x", ffn_lr="-4x")
    assert down(values, "double_blocks_0_img_attn_qkv") == pytest.approx(-BASE)
    assert down(values, "single_blocks_0_linear1") == pytest.approx(-2 * BASE)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"self_attn_lr": "-1x", "ffn_lr": "1x"}, "give fused_lr"),
        ({"default_lr": "0"}, "every LR is 0"),
        ({"block_lr_weight": "double:0,single:0"}, "every LR is 0"),
        ({"block_lr": "double:1e-4,single:1e-4", "self_attn_lr": "2x"}, "self_attn_lr: sets nothing"),
        ({"train_double_block_indices": "none", "cross_attn_lr": "2x"}, "cross_attn_lr: sets nothing"),
        ({"loraplus_ffn_lr_ratio": "4", "train_components": "self_attn"}, "no module that trains takes it"),
        ({"loraplus_mod_lr_ratio": "4", "mod_lr": "0"}, "no module that trains takes it"),
        ({"module_lr": "img_mlp:1e-4", "train_components": "self_attn"}, "'img_mlp' sets nothing"),
        ({"train_double_block_indices": "0", "block_lr_weight": "double_2:2"}, "matches no module that trains"),
        (
            {"block_lr_weight": "double_1:0.5,double:2"},
            "'double_1:0.5' sets nothing: later entries take all its blocks",
        ),
        (
            {"depth_strategy": "linear", "block_lr": "double:1e-4,single:1e-4"},
            "no module that trains follows the curve",
        ),
        ({"train_block_indices": "0", "train_double_block_indices": "0"}, "which stack is not said"),
    ],
)
def test_plans_that_cannot_be(grid, message):
    with pytest.raises(GridError, match=message):
        lrs(**grid)


@pytest.mark.parametrize(
    ("grid", "note"),
    [
        ({"self_attn_lr": "1.5"}, "self_attn_lr 1.5 is 1.5e+04 times the trainer's LR: was 1.5x meant?"),
        ({"ffn_lr": "0"}, "so fused modules are frozen; fused_lr gives them an LR of their own"),
        ({"loraplus_lr_ratio": "16", "loraplus_unet_lr_ratio": "8", "ffn_lr": "2x"}, "loraplus_lr_ratio sets nothing"),
        ({"loraplus_text_encoder_lr_ratio": "4", "ffn_lr": "2x"}, "loraplus_text_encoder_lr_ratio sets nothing"),
        ({"component_lr": "self_attn:1x,ffn:1x,cross_attn:1x,mod:1x", "default_lr": "2x"}, "default_lr sets nothing"),
    ],
)
def test_what_was_perhaps_not_meant_is_asked_about(grid, note):
    model = Flux()
    network = make_network(model, **grid)
    start(network, model)
    assert any(note in notice for notice in network.grid_plan.notices)


def test_a_part_that_is_frozen_whole_is_told():
    model, encoder = Flux(), TextEncoder()
    network = make_network(model, encoder, self_attn_lr="2x")
    start(network, model, encoder, unet_lr=0.0, text_encoder_lr=1e-5)
    assert "all of unet is frozen in this run" in network.grid_plan.notices


def test_every_row_says_why():
    model = Flux()
    network = make_network(
        model, depth_strategy="linear", self_attn_lr="2x", block_lr_weight="double_1:0.5", train_components="self_attn"
    )
    start(network, model)
    rows = {row.site.path: row for row in network.grid_plan.rows}
    assert rows["double_blocks.1.img_attn.qkv"].why == "self_attn_lr 2x * depth 0.65 * weight 0.5 (block_lr_weight)"
    assert rows["double_blocks.1.img_mlp.0"].why == "frozen: ffn is not in train_components"
    assert rows["double_blocks.1.img_mlp.0"].frozen
