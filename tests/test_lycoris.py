"""Every LyCORIS algorithm under a grid: a U-Net and a diffusion transformer, all of its tensors, all of its options."""

from __future__ import annotations

import re

import pytest
import torch
from small_models import WIDTH, Flux, WanModel, lr_by_name, make_network, start
from torch import nn
from trainers.every import chosen

from lr_grid.errors import GridError

BASE = 1e-4
OPTIONS = {"use_tucker": "True", "use_scalar": "True", "dora_wd": "True", "train_norm": "True"}
# What each takes of the four (LyCORIS 4.1; what it does not take it ignores), and the names of what it trains.
ALGOS = {
    "lora": ("lora_down.weight", "lora_up.weight", "lora_mid.weight", "scalar", "dora_scale"),
    "locon": ("lora_down.weight", "lora_up.weight", "lora_mid.weight", "scalar", "dora_scale"),
    "loha": ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2", "scalar", "dora_scale"),
    "lokr": ("lokr_w1", "lokr_w2_a", "lokr_w2_b", "lokr_w2", "lokr_t2", "scalar", "dora_scale"),
    "dylora": ("up_list", "down_list"),
    "glora": ("a1.weight", "a2.weight", "b1.weight", "b2.weight", "bm.weight", "scalar"),
    "full": ("weight", "bias"),
    "diag-oft": ("oft_blocks", "rescale"),
    "boft": ("oft_blocks", "rescale"),
    "tlora": ("q_layer.weight", "p_layer.weight", "lambda_layer"),
}
UP = re.compile(r"lora_up|up_list|hada_w[12]_a|lokr_w1")


PRESET = """enable_conv = {conv}
unet_target_module = {modules}
unet_target_name = []
text_encoder_target_module = []
text_encoder_target_name = []
"""


@pytest.fixture
def unet_preset(tmp_path):
    """LyCORIS cannot make its default preset on an SD1.x U-Net; these are its attention blocks, with or without its
    convolutions."""

    def write(conv: bool) -> str:
        modules = ["Transformer2DModel", *(["ResnetBlock2D", "Downsample2D", "Upsample2D"] if conv else [])]
        file = tmp_path / "preset.toml"
        file.write_text(PRESET.format(conv=str(conv).lower(), modules=modules), encoding="utf-8")
        return str(file)

    return write


def unet() -> nn.Module:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=4,
    )


def run_unet(model: nn.Module) -> torch.Tensor:
    return model(torch.randn(2, 4, 8, 8), torch.tensor([10, 20]), torch.randn(2, 3, 8)).sample.square().mean()


def run_dit(model: nn.Module) -> torch.Tensor:
    return model(torch.randn(4, 3, WIDTH)).square().mean()


def expected_unet_lr(name: str) -> float:
    """The grid of these tests, from the LoRA's name alone."""
    if "norm" in name.partition(".")[0].rpartition("_")[2]:
        return 0.1 * BASE
    component = next((c for part, c in (("_attn1_", 2.0), ("_attn2_", 0.5), ("_ff_", 3.0)) if part in name), 1.0)
    return component * BASE * (4 if UP.search(name) else 1)


def expected_wan_lr(name: str) -> float:
    if "norm3" in name:
        return 0.1 * BASE
    component = next((c for part, c in (("self_attn", 2.0), ("cross_attn", 0.5), ("ffn", 3.0)) if part in name), 1.0)
    return component * BASE * (4 if UP.search(name) else 1)


GRID = {"self_attn_lr": "2x", "cross_attn_lr": "0.5x", "ffn_lr": "3x", "norm_lr": "0.1x"}


_CASES = [(algo, kind) for algo in ALGOS for kind in ("unet", "dit")]


# T-LoRA takes half a minute to make its bases.
@pytest.mark.parametrize(("algo", "kind"), chosen(_CASES, lambda case: case != ("tlora", "unet")))
def test_every_tensor_trains_at_the_grids_lr(algo, kind, unet_preset):
    torch.manual_seed(0)
    model, run, expected = (
        (unet(), run_unet, expected_unet_lr) if kind == "unet" else (WanModel(), run_dit, expected_wan_lr)
    )
    model.requires_grad_(False)
    grid = dict(GRID)
    if algo in ("lora", "locon", "loha", "lokr", "dylora"):
        grid["loraplus_unet_lr_ratio"] = "4"
    # T-LoRA of LyCORIS 4.1 loses the padding of a convolution.
    preset = unet_preset(conv=algo != "tlora") if kind == "unet" else "full"
    factor = {"lokr": {"factor": "4"}, "dylora": {"block_size": "1"}}.get(algo, {})
    network = make_network(model, preset=preset, algo=algo, rescaled="True", **OPTIONS, **factor, **grid)
    groups, _ = start(network, model)
    names = {name for name, _ in network.named_parameters()}
    assert set(lr_by_name(groups)) == names
    trained = {name.split(".", 1)[1] for name in names if "norm" not in name.partition(".")[0]}
    assert {re.sub(r"\.\d+$", "", name) for name in trained} <= set(ALGOS[algo])
    assert any(name.endswith(("w_norm", "b_norm")) for name in names)
    wrong = {name: lr for name, lr in lr_by_name(groups).items() if lr != pytest.approx(expected(name), rel=1e-9)}
    assert wrong == {}

    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = torch.optim.AdamW([{**group, "lr": 100 * group["lr"]} for group in groups])
    network.train()
    for _ in range(3):
        optimizer.zero_grad(set_to_none=True)
        run(model).backward()
        optimizer.step()
    still = {name for name, parameter in network.named_parameters() if torch.equal(before[name], parameter)}
    # DyLoRA trains a random part of its rank in each step; a norm's bias before another norm has no effect.
    assert algo == "dylora" or len(still) <= 0.05 * len(names), sorted(still)[:10]


@pytest.mark.parametrize("option", ["rank_dropout", "module_dropout"])
def test_dropouts_go_on_working_under_a_grid(option):
    model = WanModel()
    model.requires_grad_(False)
    network = make_network(model, preset="full", ffn_lr="2x", **{option: "0.5"})
    start(network, model)
    assert all(getattr(module, option) == 0.5 for module in network.unet_loras)
    network.train()
    run_dit(model).backward()


@pytest.mark.parametrize("algo", ["loha", "lokr"])
def test_loraplus_alone_is_done_by_the_grid_where_lycoris_would_do_nothing(algo):
    model = WanModel()
    network = make_network(model, preset="full", algo=algo, loraplus_unet_lr_ratio="16", factor="4")
    groups, _ = start(network, model)
    lrs = lr_by_name(groups)
    assert {name.split(".")[1] for name, lr in lrs.items() if lr == pytest.approx(16 * BASE)} == (
        {"hada_w1_a", "hada_w2_a"} if algo == "loha" else {"lokr_w1"}
    )
    assert len(set(lrs.values())) == 2


def test_a_preset_does_not_reach_into_the_next_network(tmp_path):
    file = tmp_path / "preset.toml"
    file.write_text(
        'enable_conv = false\nunet_target_module = ["WanAttentionBlock"]\nunet_target_name = ["head"]\n'
        'exclude_name = [".*ffn.*"]\n[module_algo_map.WanAttention]\nalgo = "lokr"\ndim = 3\n',
        encoding="utf-8",
    )
    plain = [m.lora_name for m in make_network(WanModel(), preset="full", ffn_lr="2x").unet_loras]
    special = make_network(WanModel(), preset=str(file), cross_attn_lr="2x").unet_loras
    assert {type(m).__name__ for m in special} == {"LokrModule", "LoConModule"}
    again = make_network(WanModel(), preset="full", ffn_lr="2x").unet_loras
    assert [m.lora_name for m in again] == plain
    assert {type(m).__name__ for m in again} == {"LoConModule"}


def test_norms_that_lycoris_cannot_train_are_no_part_of_the_plan():
    model = WanModel()
    for block in model.blocks:
        block.norm3 = nn.RMSNorm(WIDTH)
    network = make_network(model, preset="full", train_norm="True", ffn_lr="2x")
    start(network, model)
    assert not any(row.site.component == "norm" for row in network.grid_plan.rows)
    with pytest.raises(GridError, match="norm_lr: this network has no norm module"):
        make_network(model, preset="full", train_norm="True", norm_lr="2x")


def test_norms_without_train_norm_are_told():
    with pytest.raises(GridError, match="norm_lr: this network has no norm module"):
        make_network(Flux(), norm_lr="1e-5")
