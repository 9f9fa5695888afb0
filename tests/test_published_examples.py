"""The thirteen example configurations of the published per-layer system: every parameter's LR, full fine-tuning.

The oracle knows nothing of lr_grid: it reads the configuration, places a parameter by its name (its norms by class) and
applies the published formula, lr = component_lr * depth(block, number of blocks).
"""

import json
import math
import re
from pathlib import Path

import pytest
from inventories.diffusers_models import build
from inventories.kohya_unet import sd_position, sdxl_position
from torch import nn

import lr_grid

pytest.importorskip("diffusers")
pytestmark = pytest.mark.skipif(not hasattr(lr_grid, "param_groups"), reason="lr_grid.param_groups is not there yet")

PUBLISHED = Path(__file__).with_name("published")
EXAMPLES = {
    "01_flux_2_klein_4b": "FLUX.2 Klein 4B",
    "02_flux_2_klein_9b": "FLUX.2 Klein 9B",
    "03_flux_2_dev": "FLUX.2 dev",
    "04_sd15": "SD 1.5",
    "05_sdxl": "SDXL",
    "06_sd35": "SD3.5 medium",
    "07_ltx2": "LTX-2",
    "08_wan": "Wan 2.1 I2V 14B",
    "09_qwen": "Qwen-Image",
    "10_zimage": "Z-Image",
    "11_chroma_1": "Chroma1",
    "12_hunyuan_video": "HunyuanVideo",
    "13_component_only": "SD 1.5",
}

# Where a parameter stands: list of blocks -> number of blocks (U-Nets are counted by inventories.kohya_unet).
BLOCKS = {
    "FLUX.2 Klein 4B": {"transformer_blocks": 5, "single_transformer_blocks": 20},
    "FLUX.2 Klein 9B": {"transformer_blocks": 8, "single_transformer_blocks": 24},
    "FLUX.2 dev": {"transformer_blocks": 8, "single_transformer_blocks": 48},
    "SD3.5 medium": {"transformer_blocks": 24},
    "LTX-2": {"transformer_blocks": 48},
    "Wan 2.1 I2V 14B": {"blocks": 40},
    "Qwen-Image": {"transformer_blocks": 60},
    "Z-Image": {"noise_refiner": 2, "context_refiner": 2, "layers": 30},
    "Chroma1": {"transformer_blocks": 19, "single_transformer_blocks": 38},
    "HunyuanVideo": {
        "context_embedder.token_refiner.refiner_blocks": 2,
        "transformer_blocks": 20,
        "single_transformer_blocks": 40,
    },
}

# What a parameter is, norms aside: the first pattern its name matches as a whole (inside, the name after the block's).
DOUBLE = {
    r"norm1\.linear|norm1_context\.linear": "mod",
    r"attn\.add_[qkv]_proj|attn\.to_add_out|ff_context\..+": "cross_attn",
    r"attn\.to_[qkv]|attn\.to_out\.0": "self_attn",
    r"ff\..+": "ffn",
}
SINGLE = {r"norm\.linear": "mod", r"attn\.to_[qkv]": "self_attn", r"proj_mlp": "ffn", r"proj_out": "fused"}
FLUX2 = {r"attn\.to_qkv_mlp_proj|attn\.to_out": "fused", **DOUBLE}
INSIDE = {
    "FLUX.2 Klein 4B": FLUX2,
    "FLUX.2 Klein 9B": FLUX2,
    "FLUX.2 dev": FLUX2,
    "SD3.5 medium": {
        r"norm1\.linear|norm1_context\.linear": "mod",
        r"attn2?\.(to_[qkv]|to_out\.0)|attn\.(add_[qkv]_proj|to_add_out)": "self_attn",
        r"(ff|ff_context)\.net\..+": "ffn",
    },
    "LTX-2": {
        r"\w*scale_shift_table": "mod",
        r"(attn1|audio_attn1)\..+": "self_attn",
        r"(attn2|audio_attn2|audio_to_video_attn|video_to_audio_attn)\..+": "cross_attn",
        r"(ff|audio_ff)\..+": "ffn",
    },
    "Wan 2.1 I2V 14B": {
        r"scale_shift_table": "mod",
        r"attn1\..+": "self_attn",
        r"attn2\..+": "cross_attn",
        r"ffn\..+": "ffn",
    },
    "Qwen-Image": {
        r"(img|txt)_mod\.1": "mod",
        r"attn\.(add_[qkv]_proj|to_add_out)|txt_mlp\..+": "cross_attn",
        r"attn\.(to_[qkv]|to_out\.0)": "self_attn",
        r"img_mlp\..+": "ffn",
    },
    "Z-Image": {r"adaLN_modulation\.0": "mod", r"attention\..+": "self_attn", r"feed_forward\..+": "ffn"},
    "Chroma1": DOUBLE | SINGLE,
    "HunyuanVideo": {r"norm_out\.linear": "mod"} | DOUBLE | SINGLE,
}
UNET = {
    r".*\.time_emb_proj": "mod",
    r".*\.attn1\..+": "self_attn",
    r".*\.attn2\..+": "cross_attn",
    r".*\.ff\..+": "ffn",
    r"(conv_in|time_embedding|add_embedding)\b.*": "embed",
    r".*": "other",
}
OUTSIDE = {
    r".*_modulation(_img|_txt)?\.linear|norm_out\.linear|distilled_guidance_layer\..+": "mod",
    r"scale_shift_table|audio_scale_shift_table|condition_embedder\.time_proj": "mod",
    r"(\w*time_embed|av_cross_attn_\w+)\.linear|all_final_layer\..+adaLN_modulation\.1": "mod",
    r"proj_out|audio_proj_out|all_final_layer\..+": "other",
    r".*": "embed",
}


def place(size: str, name: str) -> tuple[int | None, int, str]:
    """(block, number of blocks, component) of what is called ``name``; block None outside every stack."""
    if size in ("SD 1.5", "SDXL"):
        block = sd_position(name) if size == "SD 1.5" else sdxl_position(name)
        return block, 25 if size == "SD 1.5" else 23, first_match(UNET, name)
    for blocks, count in BLOCKS[size].items():
        match = re.fullmatch(rf"{re.escape(blocks)}\.(\d+)\.(.+)", name)
        if match:
            return int(match[1]), count, first_match(INSIDE[size], match[2])
    return None, 1, first_match(OUTSIDE, name)


def first_match(rules: dict[str, str], name: str) -> str:
    return next((component for pattern, component in rules.items() if re.fullmatch(pattern, name)), "unknown")


def depth(settings: dict, i: int, n: int) -> float:
    strategy, m, p = (
        settings["depth_strategy"],
        settings.get("min_depth_factor", 0.3),
        settings.get("peak_position", 0.5),
    )
    t = i / (n - 1)
    if strategy == "linear":
        return 1 - t * (1 - m)
    if strategy == "cosine":
        return m + (1 - m) * (1 + math.cos(math.pi * t)) / 2
    if strategy == "inverted_u":
        d = (p - t) / p if t < p else (t - p) / (1 - p)
        return 1 - (1 - m) * d**2
    assert strategy == "flat"
    return 1.0


def expected_lrs(size: str, model: nn.Module, settings: dict) -> dict[str, float]:
    """Parameter name -> LR."""
    listed = settings["component_lr"]
    default = settings.get("default_lr", 3e-4)  # the published default
    lrs = {}
    for module_path, module in model.named_modules():
        for own_name, _ in module.named_parameters(recurse=False):
            name = f"{module_path}.{own_name}" if module_path else own_name
            whole = isinstance(module, (nn.Linear, nn.Conv2d, nn.Conv3d)) or "Norm" in type(module).__name__
            block, count, component = place(size, module_path if whole else name)
            if "Norm" in type(module).__name__:
                component = "norm"
            assert component != "unknown", name
            if component == "fused":
                lr = math.sqrt(listed["self_attn"] * listed["ffn"])
            else:
                lr = listed.get(component, default)
            if block is not None and component not in ("embed", "other"):
                lr *= depth(settings, block, count)
            lrs[name] = lr
    return lrs


def test_there_are_thirteen_examples():
    assert sorted(EXAMPLES) == sorted(path.stem for path in PUBLISHED.glob("[0-9]*.json"))


@pytest.mark.parametrize(("example", "size"), EXAMPLES.items())
def test_every_parameter_gets_the_published_lr(example, size):
    path = PUBLISHED / f"{example}.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    model = build(size)
    groups = lr_grid.param_groups(model, path, lr=config["learning_rate"])
    parameters = dict(model.named_parameters())
    found: dict[str, float] = {}
    for group in groups:
        for name, parameter in zip(group["param_names"], group["params"], strict=True):
            assert parameter is parameters[name]
            assert name not in found, f"{name} is in two groups"
            found[name] = group["lr"]
    assert found == pytest.approx(expected_lrs(size, model, config["per_layer_lr"]), rel=1e-9, abs=0)


def test_some_lrs_spelt_out():
    """Worked out by hand, so that the oracle itself is held against something."""

    def lrs(example: str) -> dict[str, float]:
        model = build(EXAMPLES[example])
        groups = lr_grid.param_groups(model, PUBLISHED / f"{example}.json", lr=1e-4)
        return {name: group["lr"] for group in groups for name in group["param_names"]}

    klein = lrs("01_flux_2_klein_4b")
    assert klein["transformer_blocks.2.attn.to_q.weight"] == pytest.approx(5e-4)  # the middle of 5, the peak
    assert klein["transformer_blocks.0.ff_context.linear_in.weight"] == pytest.approx(1.5e-4 * 0.4)
    assert klein["single_transformer_blocks.19.attn.to_out.weight"] == pytest.approx(math.sqrt(5e-4 * 3e-4) * 0.4)
    assert klein["single_stream_modulation.linear.weight"] == pytest.approx(3e-4)
    assert klein["x_embedder.weight"] == pytest.approx(3e-4)
    wan = lrs("08_wan")
    assert wan["blocks.0.attn2.add_k_proj.bias"] == pytest.approx(1.5e-4)
    assert wan["blocks.39.ffn.net.2.weight"] == pytest.approx(2.5e-4 * 0.25)
    assert wan["blocks.39.scale_shift_table"] == pytest.approx(2.5e-4 * 0.25)
    assert wan["blocks.0.norm2.weight"] == pytest.approx(3e-5)
    assert wan["scale_shift_table"] == pytest.approx(2.5e-4)
    sdxl = lrs("05_sdxl")
    assert sdxl["mid_block.attentions.0.transformer_blocks.9.attn1.to_q.weight"] == pytest.approx(1.2e-4 * 0.675)
    assert sdxl["conv_out.weight"] == pytest.approx(8e-5)
    assert sdxl["conv_norm_out.weight"] == pytest.approx(1e-5 * 0.35)
    flat = lrs("13_component_only")
    assert flat["conv_norm_out.weight"] == pytest.approx(3e-4)
    assert flat["mid_block.attentions.0.transformer_blocks.0.norm1.weight"] == pytest.approx(3e-4)
