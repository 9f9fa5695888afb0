"""What every LR should be, worked out from kohya's names alone: nothing of lr_grid is used here."""

from __future__ import annotations

import re


def sd15_place(name: str) -> tuple[int, str]:
    """(kohya's block number, component) of an SD1.5 LoRA name."""
    match = re.match(r"(?:lora|oft)_unet_(down|up)_blocks_(\d)_(resnets|attentions|downsamplers|upsamplers)_(\d)", name)
    if match:
        way, i, kind, j = match[1], int(match[2]), match[3], int(match[4])
        block = 3 * i + (2 if kind.endswith("samplers") else j) + (1 if way == "down" else 13)
    else:
        assert "mid_block" in name, name
        block = 12
    return block, _unet_component(name)


def sdxl_place(name: str) -> tuple[int, str]:
    """(kohya's block number, component) of an SDXL LoRA name."""
    match = re.match(r"lora_unet_(input_blocks|middle_block|output_blocks)_(\d)", name)
    assert match, name
    return int(match[2]) + {"input_blocks": 1, "middle_block": 10, "output_blocks": 13}[match[1]], _unet_component(name)


def _unet_component(name: str) -> str:
    for part, component in (
        ("_attn1_", "self_attn"),
        ("_attn2_", "cross_attn"),
        ("_ff_", "ffn"),
        ("time_emb_proj", "mod"),
        ("emb_layers", "mod"),
    ):
        if part in name:
            return component
    return "other"


def flux_place(name: str) -> tuple[str, int, str]:
    """(stack, block, component) of a FLUX LoRA name."""
    match = re.match(r"(?:lora|oft)_unet_(double|single)_blocks_(\d+)_(.*)", name)
    assert match, name
    stack, block, rest = match[1], int(match[2]), match[3].split(".")[0]
    if "mod" in rest:
        component = "mod"
    elif stack == "single":
        component = "fused"
    else:
        component = {"img_attn": "self_attn", "img_mlp": "ffn"}.get("_".join(rest.split("_")[:2]), "cross_attn")
    return stack, block, component


def sd3_place(name: str) -> tuple[int, str]:
    """(block, component) of an SD3 LoRA name: attention of both streams is self_attn, both feed-forwards are ffn."""
    match = re.match(r"lora_unet_joint_blocks_(\d+)_(?:context|x)_block_(attn2?|mlp|adaLN)_", name)
    assert match, name
    return int(match[1]), {"mlp": "ffn", "adaLN": "mod"}.get(match[2], "self_attn")


def lumina_place(name: str) -> tuple[str, int, str]:
    """(stack, block, component) of a Lumina-Image-2 LoRA name; stack "" outside the blocks."""
    match = re.match(r"lora_unet_(context_refiner|noise_refiner|layers)_(\d+)_(attention|feed_forward|adaLN)_", name)
    if not match:
        assert "final_layer" in name, name
        return "", 0, "mod" if "adaLN" in name else "other"
    return match[1], int(match[2]), {"attention": "self_attn", "feed_forward": "ffn", "adaLN": "mod"}[match[3]]


def anima_place(name: str) -> tuple[str, int, str]:
    """(stack, block, component) of an Anima LoRA name."""
    match = re.match(r"lora_unet_(llm_adapter_)?blocks_(\d+)_(self_attn|cross_attn|mlp)_", name)
    assert match, name
    stack = "llm_adapter" if match[1] else "blocks"
    return stack, int(match[2]), "ffn" if match[3] == "mlp" else match[3]


def wan_place(name: str) -> tuple[int, str]:
    """(block, component) of a Wan LoRA name."""
    match = re.match(r"lora_unet_blocks_(\d+)_(self_attn|cross_attn|ffn)_", name)
    assert match, name
    return int(match[1]), match[2]


def qwen_place(name: str) -> tuple[int, str]:
    """(block, component) of a Qwen-Image LoRA name: the text stream is cross_attn."""
    match = re.match(r"lora_unet_transformer_blocks_(\d+)_(.*?)\.", name)
    assert match, name
    rest = match[2]
    if "_mod_" in rest:
        return int(match[1]), "mod"
    text = re.match(r"attn_(add_|to_add_out)|txt_mlp", rest)
    return int(match[1]), "cross_attn" if text else "ffn" if rest.startswith("img_mlp") else "self_attn"


def linear(i: int, n: int, m: float) -> float:
    return 1 - i / (n - 1) * (1 - m)


def inverted_u(i: int, n: int, m: float, p: float) -> float:
    t = i / (n - 1)
    d = (p - t) / p if t < p else (t - p) / (1 - p)
    return 1 - (1 - m) * d * d


def is_up(name: str) -> bool:
    return "lora_up" in name or "lora_B" in name
