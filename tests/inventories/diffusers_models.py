"""Every released size of the model classes in diffusers, built on torch's meta device (no weights, no download).

The numbers are those of the published ``config.json`` files, as far as they differ from the class's own defaults and
bear on which modules exist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Size:
    """One released size of a family."""

    cls: str
    """Class name in diffusers."""
    config: dict[str, Any] = field(default_factory=dict)


_SD15: dict[str, Any] = {"cross_attention_dim": 768}
_SD2: dict[str, Any] = {
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}
_SDXL: dict[str, Any] = {
    "sample_size": 128,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "transformer_layers_per_block": [1, 2, 10],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
_SDXL_REFINER: dict[str, Any] = {
    **_SDXL,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (384, 768, 1536, 1536),
    "attention_head_dim": [6, 12, 24, 24],
    "cross_attention_dim": 1280,
    "transformer_layers_per_block": 4,
    "projection_class_embeddings_input_dim": 2560,
}
_SD35: dict[str, Any] = {"pos_embed_max_size": 384, "qk_norm": "rms_norm"}
_WAN_I2V: dict[str, Any] = {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}

SIZES: dict[str, Size] = {
    "SD 1.5": Size("UNet2DConditionModel", _SD15),
    "SD 2.1": Size("UNet2DConditionModel", _SD2),
    "SDXL": Size("UNet2DConditionModel", _SDXL),
    "SDXL refiner": Size("UNet2DConditionModel", _SDXL_REFINER),
    "SD3 medium": Size(
        "SD3Transformer2DModel",
        {"num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536, "pos_embed_max_size": 192},
    ),
    "SD3.5 medium": Size(
        "SD3Transformer2DModel",
        {
            **_SD35,
            "num_layers": 24,
            "num_attention_heads": 24,
            "caption_projection_dim": 1536,
            "dual_attention_layers": tuple(range(13)),
        },
    ),
    "SD3.5 large": Size(
        "SD3Transformer2DModel",
        {**_SD35, "num_layers": 38, "num_attention_heads": 38, "caption_projection_dim": 2432},
    ),
    "FLUX.1 dev": Size("FluxTransformer2DModel", {"guidance_embeds": True}),
    "FLUX.1 schnell": Size("FluxTransformer2DModel"),
    "FLUX.2 dev": Size("Flux2Transformer2DModel"),
    "FLUX.2 Klein 4B": Size(
        "Flux2Transformer2DModel",
        {
            "num_layers": 5,
            "num_single_layers": 20,
            "num_attention_heads": 24,
            "joint_attention_dim": 7680,
            "guidance_embeds": False,
        },
    ),
    "FLUX.2 Klein 9B": Size(
        "Flux2Transformer2DModel",
        {
            "num_layers": 8,
            "num_single_layers": 24,
            "num_attention_heads": 32,
            "joint_attention_dim": 12288,
            "guidance_embeds": False,
        },
    ),
    "Chroma1": Size("ChromaTransformer2DModel"),
    "HunyuanVideo": Size("HunyuanVideoTransformer3DModel"),
    "HunyuanVideo I2V": Size(
        "HunyuanVideoTransformer3DModel",
        {"in_channels": 33, "image_condition_type": "latent_concat", "guidance_embeds": False},
    ),
    "FramePack": Size(
        "HunyuanVideoFramepackTransformer3DModel",
        {"has_image_proj": True, "image_proj_dim": 1152, "has_clean_x_embedder": True},
    ),
    "HunyuanVideo-1.5": Size("HunyuanVideo15Transformer3DModel"),
    "HunyuanImage 2.1": Size("HunyuanImageTransformer2DModel", {"text_embed_2_dim": 1472}),
    "HunyuanImage 2.1 distilled": Size(
        "HunyuanImageTransformer2DModel", {"text_embed_2_dim": 1472, "guidance_embeds": True, "use_meanflow": True}
    ),
    "Qwen-Image": Size("QwenImageTransformer2DModel"),
    "Wan 2.1 1.3B": Size("WanTransformer3DModel", {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}),
    "Wan 2.1 14B": Size("WanTransformer3DModel"),
    "Wan 2.1 I2V 14B": Size("WanTransformer3DModel", _WAN_I2V),
    "Wan 2.2 5B": Size(
        "WanTransformer3DModel",
        {"num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30, "in_channels": 48, "out_channels": 48},
    ),
    "Wan 2.2 A14B": Size("WanTransformer3DModel"),
    "Wan 2.1 VACE 14B": Size(
        "WanVACETransformer3DModel", {"num_layers": 40, "vace_layers": list(range(0, 40, 5)), "vace_in_channels": 96}
    ),
    "LTX-Video 2B": Size("LTXVideoTransformer3DModel"),
    "LTX-Video 13B": Size(
        "LTXVideoTransformer3DModel", {"num_layers": 48, "attention_head_dim": 128, "cross_attention_dim": 4096}
    ),
    "LTX-2": Size("LTX2VideoTransformer3DModel"),
    "LTX-2.3": Size(
        "LTX2VideoTransformer3DModel",
        {
            "gated_attn": True,
            "cross_attn_mod": True,
            "audio_gated_attn": True,
            "audio_cross_attn_mod": True,
            "use_prompt_embeddings": False,
            "perturbed_attn": True,
        },
    ),
    "PixArt-alpha": Size("PixArtTransformer2DModel", {"caption_channels": 4096, "use_additional_conditions": True}),
    "PixArt-sigma": Size("PixArtTransformer2DModel", {"caption_channels": 4096, "use_additional_conditions": False}),
    "Sana 1.6B": Size("SanaTransformer2DModel"),
    "Sana 0.6B": Size(
        "SanaTransformer2DModel",
        {
            "num_attention_heads": 36,
            "num_layers": 28,
            "num_cross_attention_heads": 16,
            "cross_attention_head_dim": 72,
            "cross_attention_dim": 1152,
        },
    ),
    "Lumina-Image 2.0": Size("Lumina2Transformer2DModel", {"cap_feat_dim": 2304}),
    "Z-Image": Size("ZImageTransformer2DModel"),
    "Bria 3.2": Size("BriaTransformer2DModel"),
    "Bria FIBO": Size("BriaFiboTransformer2DModel", {"num_layers": 8}),
    "LongCat-Image": Size("LongCatImageTransformer2DModel", {"num_layers": 10, "num_single_layers": 20}),
    "Ovis-Image": Size("OvisImageTransformer2DModel"),
}

BY_GENERAL_RULES: dict[str, Size] = {
    "Allegro": Size("AllegroTransformer3DModel"),
    "AuraFlow": Size("AuraFlowTransformer2DModel"),
    "CogVideoX 2B": Size("CogVideoXTransformer3DModel"),
    "CogVideoX 5B": Size("CogVideoXTransformer3DModel", {"num_attention_heads": 48, "num_layers": 42}),
    "CogView4": Size("CogView4Transformer2DModel"),
    "Cosmos 7B": Size("CosmosTransformer3DModel"),
    "HiDream-I1": Size(
        "HiDreamImageTransformer2DModel",
        {
            "patch_size": 2,
            "in_channels": 16,
            "caption_channels": [4096, 4096],
            "llama_layers": [*range(32), *[31] * 16],
        },
    ),
    "Kandinsky 5 Lite": Size("Kandinsky5Transformer3DModel"),
    "Krea 2": Size("Krea2Transformer2DModel"),
    "Mochi": Size("MochiTransformer3DModel"),
    "OmniGen": Size(
        "OmniGenTransformer2DModel", {"rope_scaling": {"long_factor": [1.0] * 48, "short_factor": [1.0] * 48}}
    ),
    "Sana Video": Size("SanaVideoTransformer3DModel"),
}
"""Models no table describes: the general rules must do (configs: the classes' defaults where nothing else is known)."""

BLUEPRINTS = {
    re.sub(r"[^a-z0-9.]+", "-", size.lower()).replace("flux.1", "flux").replace("flux.2", "flux2").strip("-"): size
    for size in (*SIZES, *BY_GENERAL_RULES)
}
"""Name of a model in lr-grid (below diffusers/) -> size."""


def build(size: str) -> nn.Module:
    """The model on the meta device."""
    import diffusers

    entry = SIZES.get(size) or BY_GENERAL_RULES[size]
    with torch.device("meta"):
        return getattr(diffusers, entry.cls)(**entry.config)
