"""kohya's double-stream models: FLUX, Chroma, FLUX.2, Hunyuan's, FramePack, Qwen-Image.

The text stream is cross_attn, attention and feed-forward alike; the image stream is self_attn and ffn.
"""

from __future__ import annotations

from lr_grid.anatomy.family import Family
from lr_grid.anatomy.layout import Rule
from lr_grid.anatomy.tables.patterns import inside, top

_FINAL: tuple[Rule, ...] = (top("mod", r"final_layer\.adaLN_modulation"), top("other", "final_layer"))
_DOUBLE_SINGLE = {"double_blocks": "double", "single_blocks": "single"}

_FLUX_RULES: tuple[Rule, ...] = (
    inside("mod", "img_mod", "txt_mod", "modulation"),
    inside("cross_attn", "txt_attn", "txt_mlp"),
    inside("self_attn", "img_attn"),
    inside("ffn", "img_mlp"),
    inside("fused", "linear1", "linear2"),
)
_FLUX_OUTSIDE: tuple[Rule, ...] = (
    # FLUX.2 has one modulation for all blocks of a stack, Chroma one small network that makes every block's.
    top("mod", r"double_stream_modulation_\w+", "single_stream_modulation", "distilled_guidance_layer"),
    top("embed", "img_in", "txt_in", "time_in", "vector_in", "guidance_in"),
    *_FINAL,
)

# Hunyuan's blocks are FLUX's with the attention's Linears right in the block. Before them the prompt goes through a
# short stack of its own, the token refiner.
_HUNYUAN_RULES: tuple[Rule, ...] = (
    inside("mod", "img_mod", "txt_mod", "modulation", "adaLN_modulation"),
    inside("cross_attn", "txt_attn_(?:qkv|[qkv]|proj)", "txt_mlp"),
    inside("self_attn", "img_attn_(?:qkv|[qkv]|proj)", "self_attn_(?:qkv|proj)"),
    inside("ffn", "img_mlp", "mlp"),
    inside("fused", "linear1", "linear2"),
)
_HUNYUAN_OUTSIDE: tuple[Rule, ...] = (
    top("embed", r"(?:img|txt|time|time_r|vector|guidance|byt5|vision)_in", "cond_type_embedding"),
    *_FINAL,
)
_HUNYUAN_STACKS = {"txt_in.individual_token_refiner.blocks": "refiner", **_DOUBLE_SINGLE}

_TEXT_ATTENTION = r"attn\.(?:add_[qkv]_proj|to_add_out)"
_ATTENTION = r"attn\.to_(?:[qkv]|out)"
_HEAD: tuple[Rule, ...] = (top("mod", r"norm_out\.linear"), top("other", "proj_out"))

_FRAMEPACK_RULES: tuple[Rule, ...] = (
    inside("mod", r"norm1\.linear", r"norm1_context\.linear", r"norm\.linear", r"norm_out\.linear"),
    inside("cross_attn", _TEXT_ATTENTION, "ff_context"),
    inside("self_attn", _ATTENTION),
    inside("ffn", "ff", "proj_mlp"),
    inside("fused", "proj_out"),  # takes what attention and proj_mlp give, side by side
)
_FRAMEPACK_OUTSIDE: tuple[Rule, ...] = (
    top("embed", "x_embedder", "clean_x_embedder", "context_embedder", "time_text_embed", "image_projection"),
    *_HEAD,
)

# Class and names are diffusers' own: this row serves both.
_QWEN_RULES: tuple[Rule, ...] = (
    inside("mod", "img_mod", "txt_mod"),
    inside("cross_attn", _TEXT_ATTENTION, "txt_mlp"),
    inside("self_attn", _ATTENTION),
    inside("ffn", "img_mlp"),
)
_QWEN_OUTSIDE: tuple[Rule, ...] = (top("embed", "img_in", "txt_in", "time_text_embed"), *_HEAD)


FAMILIES: tuple[Family, ...] = (
    Family("flux", ("Flux",), tuple(_DOUBLE_SINGLE), _FLUX_RULES, _FLUX_OUTSIDE, stacks=_DOUBLE_SINGLE),
    Family("chroma", ("Chroma",), tuple(_DOUBLE_SINGLE), _FLUX_RULES, _FLUX_OUTSIDE, stacks=_DOUBLE_SINGLE),
    Family("flux2", ("Flux2",), tuple(_DOUBLE_SINGLE), _FLUX_RULES, _FLUX_OUTSIDE, stacks=_DOUBLE_SINGLE),
    Family(
        "hunyuan_video",
        ("HYVideoDiffusionTransformer",),
        tuple(_DOUBLE_SINGLE),
        _HUNYUAN_RULES,
        _HUNYUAN_OUTSIDE,
        stacks=_HUNYUAN_STACKS,
    ),
    Family(
        "hunyuan_video_1_5",
        ("HunyuanVideo_1_5_DiffusionTransformer",),
        ("double_blocks",),
        _HUNYUAN_RULES,
        _HUNYUAN_OUTSIDE,
        stacks=_HUNYUAN_STACKS,
    ),
    Family(
        "hunyuan_image",
        ("HYImageDiffusionTransformer",),
        tuple(_DOUBLE_SINGLE),
        _HUNYUAN_RULES,
        _HUNYUAN_OUTSIDE,
        stacks=_HUNYUAN_STACKS,
    ),
    Family(
        "framepack",
        ("HunyuanVideoTransformer3DModelPacked",),
        ("transformer_blocks", "single_transformer_blocks"),
        _FRAMEPACK_RULES,
        _FRAMEPACK_OUTSIDE,
        stacks={
            "context_embedder.token_refiner.refiner_blocks": "refiner",
            "transformer_blocks": "double",
            "single_transformer_blocks": "single",
        },
    ),
    Family(
        "qwen_image",
        ("QwenImageTransformer2DModel",),
        ("transformer_blocks",),
        _QWEN_RULES,
        _QWEN_OUTSIDE,
        stacks={"transformer_blocks": "blocks"},
    ),
)
