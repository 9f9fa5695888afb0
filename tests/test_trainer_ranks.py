"""Ranks in the real scripts: every tensor of the saved LoRA has the rank and alpha that the settings ask for."""

from __future__ import annotations

import json
import math
import re

import pytest
import torch
from oracle import flux_place, linear, sd3_place, sd15_place, sdxl_place, wan_place
from trainers.every import chosen

pytestmark = pytest.mark.trainer

DIM, ALPHA = 4, 2.0
UNET_ONLY = "--network_train_unet_only"


def nearest(share: float, least: int = 1) -> int:
    return max(least, math.floor(share + 0.5))


def is_conv(name: str) -> bool:
    """A 3x3 convolution of SD1.x or SDXL."""
    endings = r"_conv[12]|samplers_0_conv|_in_layers_2|_out_layers_3|_op|output_blocks_\d_[12]_conv"
    return bool(re.search(f"({endings})$", name))


# Each formula: LoRA name -> (rank, alpha), or None where no LoRA is made.


def sd15_rank(name: str):
    if name.startswith("lora_te"):
        return (3 if "mlp" in name else DIM), ALPHA
    block, component = sd15_place(name)
    if is_conv(name):
        if block in (10, 11):
            return None
        return (2 if block <= 3 else 3), 1.5
    if component == "mod":
        return None
    rank = {"ffn": 5}.get(component, DIM)
    rank = 2 if 4 <= block <= 8 else 6 if block == 12 else rank
    rank = 7 if "attn2_to_out" in name else rank
    alpha = 8 if block == 12 else 0.5 * rank if component == "self_attn" else ALPHA
    return rank, alpha


def sdxl_rank(name: str):
    if name.startswith("lora_te1"):
        return (2 if "self_attn" in name else DIM), ALPHA
    if name.startswith("lora_te"):
        return DIM, ALPHA
    block, component = sdxl_place(name)
    if is_conv(name):
        return (2, 2.0) if block in range(1, 9) else None
    rank = nearest(8 if component == "cross_attn" else DIM * linear(block, 23, 0.25))
    if component == "cross_attn":
        rank = nearest(8 * linear(block, 23, 0.25))
    return rank, float(rank) if component == "other" else ALPHA


def flux_rank(name: str):
    if name.startswith("lora_te"):
        return DIM, float(DIM)
    stack, block, component = flux_place(name)
    if (stack, block) == ("single", 5):
        return None
    rank = {"cross_attn": 3, "fused": 6}.get(component, DIM)
    if stack == "double" and block <= 6:
        rank = 2
    if stack == "single" and block >= 30:
        rank = 8
    return rank, float(rank)


def sd3_rank(name: str):
    if name.startswith("lora_te"):
        return DIM, ALPHA
    block, component = sd3_place(name)
    return {"self_attn": 2, "ffn": 6}.get(component, DIM), 4.0 if block == 0 else ALPHA


def wan_rank(name: str):
    block, component = wan_place(name)
    rank = {"ffn": 6}.get(component, DIM) * linear(block, 30, 0.5)
    return nearest(rank / 2) * 2 if rank >= 3 else 2, ALPHA


def lycoris_rank(name: str):
    if name.startswith("lora_te"):
        return DIM, ALPHA
    if "time_embedding" in name:
        return DIM, 0.5 * DIM
    block, component = sd15_place(name)
    rank = {"self_attn": 2, "ffn": 6}.get(component, DIM)
    return (3 if block == 16 else rank), 0.5 * (3 if block == 16 else rank)


RUNS = {
    "sd15": (
        ("train_network.py", "sd15", "networks.lora_grid"),
        "block_dims=4-8:2,12:6 ffn_dim=5 mod_dim=0 module_dims=attn2.to_out:7 te_ffn_dim=3 self_attn_alpha=0.5x"
        " block_alphas=12:8 conv_dim=3 conv_alpha=1.5 conv_block_dims=1-3:2,10-11:0",
        sd15_rank,
    ),
    "sdxl": (
        ("sdxl_train_network.py", "sdxl", "networks.lora_grid"),
        "rank_strategy=linear min_rank_factor=0.25 cross_attn_dim=8 conv_block_dims=1-8:2 other_alpha=1x"
        " te1_self_attn_dim=2",
        sdxl_rank,
    ),
    "flux_19_38": (
        ("flux_train_network.py", "flux_19_38", "networks.lora_flux_grid"),
        "block_dims=double_0-6:2,single_30-37:8 cross_attn_dim=3 fused_dim=6 module_alphas=.:1x"
        " exclude_single_block_indices=5",
        flux_rank,
    ),
    "sd3": (
        ("sd3_train_network.py", "sd3", "networks.lora_sd3_grid"),
        "self_attn_dim=2 ffn_dim=6 block_alphas=0:4",
        sd3_rank,
    ),
    "wan_30": (
        ("wan_train_network.py", "wan_30", "lr_grid.musubi.lora_wan_grid"),
        "rank_strategy=linear min_rank_factor=0.5 ffn_dim=6 rank_multiple=2",
        wan_rank,
    ),
}
for algo in ("lora", "loha", "lokr"):
    RUNS[algo] = (
        ("train_network.py", "sd15", "networks.lycoris_grid"),
        f"algo={algo} preset=attn-mlp block_dims=16:3 self_attn_dim=2 ffn_dim=6 module_alphas=lora_unet:0.5x factor=4",
        lycoris_rank,
    )


@pytest.fixture
def train(request, tmp_path):
    def run(where, network_args, name="lora", **options):
        script, model, module = where
        is_musubi = module.startswith("lr_grid.musubi") or script.startswith("wan")
        trainer = request.getfixturevalue("musubi" if is_musubi else "sd_scripts")
        options = {"steps": 1, "network_dim": DIM, "network_alpha": ALPHA, **options}
        return trainer.run(
            script, model, workdir=tmp_path, name=name, network_module=module, network_args=network_args, **options
        ).expect_success()

    return run


def held(tensors) -> dict[str, tuple[int | None, float]]:
    """(rank by the shapes of its tensors, alpha) of every module; rank None where its matrices are whole."""
    found = {}
    for name in {key.partition(".")[0] for key in tensors}:
        own = {key.partition(".")[2]: value for key, value in tensors.items() if key.startswith(f"{name}.")}
        ranks = {
            value.shape[1] if key in ("lora_up.weight", "hada_w1_a", "hada_w2_a", "lokr_w2_a") else value.shape[0]
            for key, value in own.items()
            if key in ("lora_down.weight", "lora_up.weight", "lokr_w2_a", "lokr_w2_b") or key.startswith("hada_w")
        }
        assert len(ranks) <= 1, (name, ranks)
        found[name] = (ranks.pop() if ranks else None, float(own["alpha"]))
    return found


@pytest.mark.parametrize("kind", chosen(RUNS, {"sdxl", "flux_19_38", "wan_30", "lokr"}.__contains__))
def test_every_saved_tensor_has_the_rank_and_alpha_that_was_asked_for(train, kind):
    where, network_args, formula = RUNS[kind]
    result = train(where, network_args.split())
    tensors = result.lora()
    found = held(tensors)
    plan = json.loads((result.folder / "lora.lr_grid.json").read_text(encoding="utf-8"))
    by_name = {module["name"]: module for module in plan["modules"]}
    expected = {name: formula(name) for name in by_name}
    assert found.keys() == {name for name, asked in expected.items() if asked is not None}
    for name, (rank, alpha) in found.items():
        if rank is None:  # LoKr beyond half its width: whole matrices, whose alpha is the rank
            assert kind == "lokr"
            assert alpha == expected[name][0]
        else:
            assert (rank, alpha) == pytest.approx(expected[name]), name
        assert (by_name[name]["rank"], by_name[name]["alpha"]) == (expected[name][0], pytest.approx(alpha))
    assert all(by_name[name]["frozen"] for name in by_name.keys() - found.keys())
    trained = sum(value.numel() for key, value in tensors.items() if not key.endswith(".alpha"))
    assert plan["sizes"]["parameters"] == trained
    size = result.lora_path.stat().st_size
    assert plan["sizes"]["file_bytes"]["fp32"] == pytest.approx(size, rel=0.02, abs=8000)  # the rest is metadata


BLOCKS = {
    "sd15": ("train_network.py", 25),
    "sdxl": ("sdxl_train_network.py", 23),
}


def cycle(count: int, *values: float) -> str:
    return ",".join(str(values[i % len(values)]) for i in range(count))


@pytest.mark.parametrize("model", chosen(BLOCKS, "sd15".__eq__))
def test_upstreams_own_block_dims_give_upstreams_own_lora(train, model):
    script, blocks = BLOCKS[model]
    network_args = [f"block_dims={cycle(blocks, 2, 0, 3)}", f"block_alphas={cycle(blocks, 1, 2.5)}"]
    network_args += [f"conv_block_dims={cycle(blocks, 1, 2)}", f"conv_block_alphas={cycle(blocks, 0.5, 1)}"]
    plain = train((script, model, "networks.lora"), network_args, "plain", steps=2).lora()
    result = train((script, model, "networks.lora_grid"), network_args, "grid", steps=2)
    assert "grid=off" in result.text
    ours = result.lora()
    assert ours.keys() == plain.keys()
    assert [key for key in plain if not torch.equal(ours[key], plain[key])] == []


def test_only_modules_whose_rank_changes_are_drawn_anew(train):
    """At an LR too small to move anything, the lora_down side is the one that was drawn."""
    where = ("train_network.py", "sd15")
    plain = train((*where, "networks.lora"), [], "plain", learning_rate=1e-30).lora()
    network_args = ["block_dims=16:2,17:6", "cross_attn_alpha=3"]
    ours = train((*where, "networks.lora_grid"), network_args, "ranks", learning_rate=1e-30).lora()
    again = train((*where, "networks.lora_grid"), ["block_dims=17:6"], "again", learning_rate=1e-30).lora()
    assert ours.keys() == plain.keys()
    downs = [key for key in plain if key.endswith("lora_down.weight")]
    changed = [key for key in downs if ours[key].shape != plain[key].shape]
    blocks = {sd15_place(key)[0] for key in changed}
    assert blocks == {16, 17}
    assert [key for key in downs if key not in changed and not torch.equal(ours[key], plain[key])] == []
    # A module's draw depends on no other module's rank.
    assert [key for key in changed if sd15_place(key)[0] == 17 and not torch.equal(ours[key], again[key])] == []
    alphas = {float(ours[key]) for key in ours if "attn2" in key and key.endswith("alpha")}
    assert alphas == {3.0}


def test_weights_of_other_ranks_are_refused_before_they_are_loaded(request, train, tmp_path):
    first = train(("train_network.py", "sd15", "networks.lora_grid"), ["block_dims=16:2"], extra=[UNET_ONLY])
    result = request.getfixturevalue("sd_scripts").run(
        "train_network.py", "sd15", workdir=tmp_path, name="second", steps=1, network_dim=DIM, network_alpha=ALPHA,
        network_module="networks.lora_grid", network_args=["block_dims=16:3,17:0", "ffn_alpha=1"],
        extra=[UNET_ONLY, f"--network_weights={first.lora_path}"],
    )  # fmt: skip
    assert result.returncode != 0
    for words in ("rank 2", "rank 3", "--dim_from_weights", "no LoRA there"):
        assert words in result.text


@pytest.mark.parametrize(
    ("where", "network_args", "extra"),
    [
        (
            ("train_network.py", "sd15", "networks.lora_grid"),
            "ffn_dim=5 module_alphas=.:0.3x",
            ["--save_precision=bf16"],
        ),
        (
            ("flux_train_network.py", "flux", "networks.lora_flux_grid"),
            "block_dims=single_0:6 split_qkv=True train_blocks=single",
            [],
        ),
    ],
    ids=["alphas rounded by bf16", "split q, k, v saved as one"],
)
def test_the_same_settings_go_on_from_their_own_file(train, where, network_args, extra):
    first = train(where, network_args.split(), extra=[UNET_ONLY, *extra])
    second = train(where, network_args.split(), "second", extra=[UNET_ONLY, f"--network_weights={first.lora_path}"])
    assert held_names(second) == held_names(first)
    plan = json.loads((first.folder / "lora.lr_grid.json").read_text(encoding="utf-8"))
    size = plan["sizes"]["file_bytes"]["fp16" if extra else "fp32"]
    assert size == pytest.approx(first.lora_path.stat().st_size, rel=0.02, abs=8000)


def held_names(result) -> set[str]:
    return {key.partition(".")[0] for key in result.lora()}


def test_dylora_keeps_its_unit_and_lora_fa_its_frozen_side(train):
    """Made again, they are what they were; and a budget counts what trains."""
    where = ("train_network.py", "sd15")
    dylora = train((*where, "networks.dylora_grid"), ["unit=2", "ffn_dim=6", "cross_attn_dim=2"], "dylora")
    assert {rank for rank, _ in held(dylora.lora()).values()} == {2, 4, 6}
    lora_fa = train((*where, "networks.lora_fa_grid"), ["ffn_dim=6", "rank_budget=flat"], "lora_fa", extra=[UNET_ONLY])
    plan = json.loads((lora_fa.folder / "lora_fa.lr_grid.json").read_text(encoding="utf-8"))
    assert {name.rpartition(".")[0].rpartition(".")[2] for name in lora_fa.learning_rates()} == {"lora_up"}
    trained = sum(value.numel() for key, value in lora_fa.lora().items() if key.endswith("lora_up.weight"))
    assert plan["sizes"]["parameters"] == trained
    assert any(f"rank_budget flat: {trained:,} of" in notice for notice in plan["notices"])


def test_flux_oft_keeps_its_parts(train):
    """Split into q, k, v and the feed-forward, a fused layer has its blocks in each part."""
    where = ("flux_train_network.py", "flux", "networks.oft_flux_grid")
    network_args = ["enable_all_linear=True", "block_dims=single_0:2", "ffn_alpha=1e-4"]
    tensors = train(where, network_args, network_alpha=1e-3, extra=[UNET_ONLY]).lora()
    parts = {key: value.shape[0] for key, value in tensors.items() if "single_blocks_0_linear1.oft_blocks" in key}
    assert list(parts.values()) == [2] * 4
    assert all(len(value) == DIM for key, value in tensors.items() if "single_blocks_1" in key and "oft_blocks" in key)
    alphas = {key: float(value) for key, value in tensors.items() if key.endswith("alpha")}
    assert {round(value, 6) for key, value in alphas.items() if "img_mlp" in key} == {1e-4}
    assert {round(value, 6) for key, value in alphas.items() if "img_mlp" not in key} == {1e-3}
