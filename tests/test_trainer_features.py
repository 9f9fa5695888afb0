"""Upstream's own features under a grid, in the real scripts."""

from __future__ import annotations

import json

import pytest
import torch
from oracle import flux_place, sd15_place
from safetensors.torch import load_file, save_file
from trainers.every import chosen

pytestmark = pytest.mark.trainer

UNET_ONLY = "--network_train_unet_only"


def runner(sd_scripts, workdir, script, model, default_module):
    """run(name, *network_args, extra=...) of one script on one model."""

    def run(name, *network_args, module=default_module, steps=2, **options):
        return sd_scripts.run(
            script, model, workdir=workdir, name=name, network_module=module,
            network_args=network_args, steps=steps, **options
        )  # fmt: skip

    return run


@pytest.fixture
def sd15(sd_scripts, tmp_path):
    return runner(sd_scripts, tmp_path, "train_network.py", "sd15", "networks.lora_grid")


@pytest.fixture
def flux(sd_scripts, tmp_path):
    return runner(sd_scripts, tmp_path, "flux_train_network.py", "flux", "networks.lora_flux_grid")


def modules_of(tensors) -> set[str]:
    return {key.partition(".")[0] for key in tensors}


def assert_clean_clipping(result, rel=1e-4) -> None:
    for clip in result.probe()["clips"]:
        assert clip["total_norm"] == pytest.approx(clip["optimizer_norm"], rel=rel)
        assert (clip["outside_norm"], clip["outside_with_grad"]) == (0, 0)


def test_lr_0_makes_no_lora_and_trained_weights_under_it_survive(flux, tmp_path):
    first = flux("first", "depth_strategy=flat", steps=3).expect_success()
    cut = flux(
        "cut", "ffn_lr=0", "fused_lr=1x", "block_lr_weight=single_0:0", extra=["--text_encoder_lr=0"]
    ).expect_success()
    expected = set()
    for name in modules_of(first.lora()):
        if not name.startswith("lora_te"):
            stack, block, component = flux_place(name)
            if component != "ffn" and (stack, block) != ("single", 0):
                expected.add(name)
    assert modules_of(cut.lora()) == expected
    assert_clean_clipping(cut)

    # Weights that LR 0 freezes are kept and saved again; nothing outside the optimizer gets a gradient in five steps.
    weights = {
        key: torch.randn_like(v) * 0.01 if "lora_" in key.partition(".")[2] else v for key, v in first.lora().items()
    }
    save_file(weights, tmp_path / "start.safetensors")
    kept = flux(
        "kept", "ffn_lr=0", "fused_lr=1x", "block_lr_weight=single_0:0",
        extra=[f"--network_weights={tmp_path / 'start.safetensors'}", "--scale_weight_norms=0.01"], steps=5,
    ).expect_success()  # fmt: skip
    saved = kept.lora()
    assert saved.keys() == weights.keys()
    frozen = modules_of(weights) - expected - {name for name in modules_of(weights) if name.startswith("lora_te")}
    assert len(frozen) == 4 + 3
    for key, value in saved.items():
        if not key.endswith("alpha"):
            assert torch.equal(value, weights[key]) == (key.partition(".")[0] in frozen)
    assert len(kept.probe()["clips"]) == 5
    assert_clean_clipping(kept)
    assert kept.probe()["network"]["trainable"] == kept.probe()["network"]["tensors"] - 2 * len(frozen)


def test_upstreams_block_weights_take_the_place_of_the_grids(sd15):
    args = [
        "down_lr_weight=sine+.5",
        "mid_lr_weight=0.7",
        "up_lr_weight=" + ",".join("1" * 6 + "0" * 6),
        "self_attn_lr=2x",
        "depth_strategy=linear",
    ]
    result = sd15("weights", *args, extra=[UNET_ONLY]).expect_success()
    import math

    down = [math.sin(math.pi * i / 11 / 2) + 0.5 for i in range(12)]
    weights = [*down, 0.7, *[1] * 6]
    for name, lr in result.learning_rates().items():
        block, component = sd15_place(name)
        assert block < 19  # weight 0: upstream makes no module there
        depth = 1.0 if component == "other" else 1 - block / 24 * 0.7
        base = 2e-3 if component == "self_attn" else 1e-3
        assert lr == pytest.approx(base * depth * weights[block], rel=1e-6)
    assert "down/mid/up_lr_weight (upstream's) weigh the blocks of the grid" in result.text


@pytest.mark.parametrize(
    ("fixture", "argument", "left_out"),
    chosen(
        [
            ("flux", "train_double_block_indices=0", "double_blocks_1"),
            ("sd15", "down_lr_weight=" + ",".join("1" * 6 + "0" * 6), "down_blocks_2"),
        ],
        lambda case: case[0] == "flux",
    ),
)
def test_trained_weights_in_blocks_that_upstreams_arguments_leave_out_are_kept(request, fixture, argument, left_out):
    run = request.getfixturevalue(fixture)
    first = run("first", "depth_strategy=flat", extra=[UNET_ONLY]).expect_success()
    weights = first.lora()
    arguments = [argument, "self_attn_lr=2x"]
    kept = run("kept", *arguments, extra=[UNET_ONLY, f"--network_weights={first.lora_path}"]).expect_success()
    saved = kept.lora()
    assert saved.keys() == weights.keys()
    changed = {key for key, value in saved.items() if not torch.equal(value, weights[key])}
    assert len(changed) > len(saved) / 4  # (a module on a single token has no gradient in the tiny U-Net)
    assert not [key for key in changed if left_out in key]
    fresh = run("fresh", *arguments, extra=[UNET_ONLY]).expect_success()
    assert not [key for key in fresh.lora() if left_out in key]


def test_ranks_and_alphas_beside_upstreams_block_weights_stay_upstreams(sd15):
    ranks = ["conv_block_dims=" + ",".join(["3"] * 25), "block_alphas=" + ",".join(["8"] * 25), "mid_lr_weight=0.5"]
    upstream = sd15("upstream", *ranks, module="networks.lora", extra=[UNET_ONLY]).expect_success().lora()
    result = sd15("grid", *ranks, "self_attn_lr=2x", extra=[UNET_ONLY]).expect_success()
    grid = result.lora()
    assert {key: tensor.shape for key, tensor in grid.items()} == {key: t.shape for key, t in upstream.items()}
    assert all(torch.equal(grid[key], value) for key, value in upstream.items() if key.endswith("alpha"))
    lrs = result.learning_rates()
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.lora_up.weight"
    assert lrs[name] == pytest.approx(2e-3 * 0.5)


def test_network_reg_lrs_is_final_under_a_grid_and_loraplus_applies(flux):
    result = flux(
        "reg",
        "network_reg_lrs=double_blocks_0_img=3e-4",
        "self_attn_lr=2x",
        "depth_strategy=linear",
        "loraplus_lr_ratio=4",
    ).expect_success()
    lrs = result.learning_rates()
    assert lrs["lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight"] == pytest.approx(3e-4)
    assert lrs["lora_unet_double_blocks_0_img_mlp_0.lora_up.weight"] == pytest.approx(12e-4)
    assert lrs["lora_unet_double_blocks_1_img_attn_qkv.lora_down.weight"] == pytest.approx(2e-3 * 0.3)
    assert "network_reg_lrs sets 5 modules" in result.text


def test_type_dims_and_block_indices_of_upstream(flux):
    result = flux("dims", "img_mod_dim=0", "txt_mod_dim=0", "single_mod_dim=0", "mod_lr=2x", extra=[UNET_ONLY])
    assert "no mod module in flux" in result.text  # rank 0 left none
    result = flux(
        "dims2", "single_dim=2", "train_double_block_indices=1", "ffn_lr=2x", extra=[UNET_ONLY]
    ).expect_success()
    tensors = result.lora()
    assert tensors["lora_unet_single_blocks_0_linear1.lora_down.weight"].shape[0] == 2
    assert not [key for key in tensors if "double_blocks_0" in key]
    assert result.learning_rates()["lora_unet_double_blocks_1_img_mlp_0.lora_up.weight"] == pytest.approx(2e-3)


def test_split_qkv_where_upstreams_works(flux):
    result = flux(
        "split", "split_qkv=True", "train_blocks=single", "loraplus_lr_ratio=4", "fused_lr=2x", extra=[UNET_ONLY]
    )
    lrs = result.expect_success().learning_rates()
    assert [lrs[f"lora_unet_single_blocks_0_linear1.lora_down.{i}.weight"] for i in range(4)] == pytest.approx(
        [2e-3] * 4
    )
    assert [lrs[f"lora_unet_single_blocks_0_linear1.lora_up.{i}.weight"] for i in range(4)] == pytest.approx([8e-3] * 4)
    assert "lora_unet_single_blocks_0_linear1.lora_down.weight" in result.lora()  # saved merged, as upstream does
    other = flux("none", "split_qkv=True", "train_double_block_indices=none", "fused_lr=2x", extra=[UNET_ONLY])
    assert {name.split("_")[2] for name in other.expect_success().learning_rates()} == {"single"}


def test_dim_from_weights_keeps_grid_and_loraplus(sd15, tmp_path):
    first = sd15("first", network_dim=6, extra=[UNET_ONLY]).expect_success()
    result = sd15(
        "second",
        "self_attn_lr=2x",
        "loraplus_lr_ratio=16",
        extra=[UNET_ONLY, "--dim_from_weights", f"--network_weights={first.lora_path}"],
    ).expect_success()
    lrs = result.learning_rates()
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    assert lrs[f"{name}.lora_down.weight"] == pytest.approx(2e-3)
    assert lrs[f"{name}.lora_up.weight"] == pytest.approx(32e-3)
    assert result.lora()[f"{name}.lora_down.weight"].shape[0] == 6


def test_base_weights_do_not_change_what_a_grid_trains(sd15):
    first = sd15("first", extra=[UNET_ONLY]).expect_success()
    result = sd15(
        "second", "self_attn_lr=2x", extra=[UNET_ONLY, "--base_weights", str(first.lora_path)]
    ).expect_success()
    # sd-scripts' list of targets leaks from the merged network into the next one (227 modules); a grid starts from 192.
    assert result.probe()["network"]["tensors"] == 2 * 192
    assert "all weights merged" in result.text


def test_only_one_side_of_the_model(sd15):
    unet = sd15("unet", "ffn_lr=2x", extra=[UNET_ONLY]).expect_success()
    assert {name[:9] for name in unet.learning_rates()} == {"lora_unet"}
    text = sd15(
        "te", "module_lr=mlp_fc1:5e-5", extra=["--network_train_text_encoder_only", "--text_encoder_lr=2e-4"]
    ).expect_success()
    lrs = text.learning_rates()
    assert {name[:7] for name in lrs} == {"lora_te"}
    assert {lr for name, lr in lrs.items() if "fc1" in name} == {5e-5}
    assert {lr for name, lr in lrs.items() if "fc1" not in name} == {2e-4}


def test_gradient_accumulation_and_full_bf16(sd15):
    result = sd15(
        "bf16", "depth_strategy=linear", "loraplus_lr_ratio=4", "block_lr_weight=1:0",
        extra=["--gradient_accumulation_steps=2", "--full_bf16", "--mixed_precision=bf16"], steps=3,
    ).expect_success()  # fmt: skip
    assert len(result.probe()["steps"]) == 3
    assert_clean_clipping(result, rel=2**-7)  # torch sums the norm in bfloat16


def test_a_negative_lr_unlearns_with_adamw(sd15):
    result = sd15("unlearn", "ffn_lr=-0.5x", extra=[UNET_ONLY]).expect_success()
    assert {lr for name, lr in result.learning_rates().items() if "_ff_" in name} == {-5e-4}


def test_any_module_of_the_trainer_can_be_the_base(sd15):
    result = sd15("generic", "base=networks.lora", "ffn_lr=2x", module="lr_grid.network").expect_success()
    assert {lr for name, lr in result.learning_rates().items() if "_ff_" in name} == {2e-3}
    assert json.loads(result.metadata()["ss_network_args"])["base"] == "networks.lora"


def test_lycoris_in_the_trainer(sd15):
    result = sd15(
        "lycoris",
        "algo=locon",
        "preset=attn-mlp",
        "cross_attn_lr=3x",
        "loraplus_lr_ratio=2",
        module="networks.lycoris_grid",
    ).expect_success()
    lrs = result.learning_rates()
    assert {round(lr, 9) for name, lr in lrs.items() if "attn2" in name} == {3e-3, 6e-3}
    assert {round(lr, 9) for name, lr in lrs.items() if "attn1" in name} == {1e-3, 2e-3}


def test_a_grid_file_does_what_the_arguments_do(sd15, tmp_path):
    (tmp_path / "grid.toml").write_text(
        'self_attn_lr = "2x"\ndepth_strategy = "linear"\n[block_lr_weight]\n"unet_1-8" = 0.5\n', encoding="utf-8"
    )
    file = sd15("file", f"grid={tmp_path / 'grid.toml'}").expect_success()
    args = sd15("args", "self_attn_lr=2x", "depth_strategy=linear", "block_lr_weight=unet_1-8:0.5").expect_success()
    assert file.learning_rates() == args.learning_rates()
    a, b = load_file(file.lora_path), load_file(args.lora_path)
    assert all(torch.equal(a[key], b[key]) for key in a)
