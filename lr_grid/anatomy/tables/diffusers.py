"""Diffusion transformers as diffusers writes them.

Stacks have the names they have in kohya's classes (``transformer_blocks`` of FLUX is ``double``), so that one grid file
serves both. docs/families_diffusers.md shows what these rules make of every released size.
"""

from __future__ import annotations

from lr_grid.anatomy.family import Family
from lr_grid.anatomy.layout import Rule


def _block(component: str, *names: str) -> Rule:
    """A rule for what hangs directly below a block, whatever is wrapped in it (an adapter's base_layer, lora_A)."""
    return rf"\.\d+\.(?:{'|'.join(names)})(?:\.|$)", component


def _top(component: str, *names: str) -> Rule:
    """A rule for what hangs directly below the model."""
    return rf"^(?:{'|'.join(names)})(?:\.|$)", component


_SCALE_SHIFT = r"\w*scale_shift_table"
_TEXT_ATTENTION = r"attn\.(?:add_[qkv]_proj|to_added_qkv|to_add_out)"
_ATTENTION = r"attn\.to_\w+"

# Two streams: the text stream is cross_attn as a whole, the image stream self_attn and ffn. The single blocks' output
# Linear takes attention and feed-forward at once.
_DOUBLE_SINGLE_RULES: tuple[Rule, ...] = (
    _block("mod", r"norm1\.linear", r"norm1_context\.linear", r"norm\.linear", r"norm_out\.linear"),
    _block("fused", "proj_out"),
    _block("cross_attn", _TEXT_ATTENTION, "ff_context"),
    _block("self_attn", _ATTENTION),
    _block("ffn", "ff", "proj_mlp"),
)
_DOUBLE_SINGLE = {"transformer_blocks": "double", "single_transformer_blocks": "single"}
_EMBEDDERS = r"\w*embedder(?:_\d)?|\w*_embed"
_HEAD: tuple[Rule, ...] = (_top("mod", r"norm_out\.linear"), _top("other", "proj_out"))

# FLUX.2's single blocks hold everything in two Linears, and all blocks of a kind share one modulation.
_FLUX2_RULES: tuple[Rule, ...] = (
    (r"^single_transformer_blocks\.\d+\.attn\.to_(?:qkv_mlp_proj|out)(?:\.|$)", "fused"),
    *_DOUBLE_SINGLE_RULES,
)
_FLUX2_OUTSIDE: tuple[Rule, ...] = (
    _top("mod", r"double_stream_modulation_(?:img|txt)", "single_stream_modulation"),
    _top("embed", _EMBEDDERS),
    *_HEAD,
)
_FLUX_OUTSIDE: tuple[Rule, ...] = (_top("embed", _EMBEDDERS), *_HEAD)
_BRIA_OUTSIDE: tuple[Rule, ...] = (_top("embed", _EMBEDDERS, "caption_projection"), *_HEAD)
# Chroma has one small network that makes every block's modulation.
_CHROMA_OUTSIDE: tuple[Rule, ...] = (_top("mod", "distilled_guidance_layer"), *_FLUX_OUTSIDE)

_HUNYUAN_STACKS = {"context_embedder.token_refiner.refiner_blocks": "refiner", **_DOUBLE_SINGLE}
_HUNYUAN_OUTSIDE: tuple[Rule, ...] = (_top("embed", _EMBEDDERS, "image_projection"), *_HEAD)

_QWEN_RULES: tuple[Rule, ...] = (
    _block("mod", r"img_mod", r"txt_mod"),
    _block("cross_attn", _TEXT_ATTENTION, "txt_mlp"),
    _block("self_attn", _ATTENTION),
    _block("ffn", "img_mlp"),
)
_QWEN_OUTSIDE: tuple[Rule, ...] = (_top("embed", _EMBEDDERS, "img_in", "txt_in"), *_HEAD)

# Joint attention is self-attention of both streams; attn2 (3.5 medium) is a second one, of the image alone.
_SD3_RULES: tuple[Rule, ...] = (
    _block("mod", r"norm1\.linear", r"norm1_context\.linear"),
    _block("self_attn", r"attn2?\.(?:to_\w+|add_[qkv]_proj)"),
    _block("ffn", "ff", "ff_context"),
)

# attn1 looks at the image or video, attn2 at the prompt (in Wan's image-to-video models, at the first image too).
_ATTN1_ATTN2_RULES: tuple[Rule, ...] = (
    _block("mod", _SCALE_SHIFT),
    _block("cross_attn", r"attn2\.(?:to_\w+|add_[kv]_proj)"),
    _block("self_attn", r"attn1\.to_\w+"),
    _block("ffn", "ffn?"),
)
_WAN_RULES: tuple[Rule, ...] = (*_ATTN1_ATTN2_RULES, _block("other", "proj_in", "proj_out"))
_WAN_OUTSIDE: tuple[Rule, ...] = (
    (r"^condition_embedder\.time_proj(?:\.|$)", "mod"),
    _top("mod", _SCALE_SHIFT),
    _top("embed", "condition_embedder", "patch_embedding", "vace_patch_embedding"),
    _top("other", "proj_out"),
)
_ADALN_SINGLE_OUTSIDE: tuple[Rule, ...] = (
    # adaln_single, time_embed and their like: an embedder (emb) and the Linear that makes the modulation.
    (r"^(?:\w*adaln\w*|\w*time_embed|av_cross_attn_\w+)\.linear(?:\.|$)", "mod"),
    _top("mod", _SCALE_SHIFT),
    _top(
        "embed",
        r"\w*adaln\w*",
        r"\w*_embed",
        r"av_cross_attn_\w+",
        r"(?:audio_)?caption_projection",
        r"(?:audio_)?proj_in",
    ),
    _top("other", r"(?:audio_)?proj_out"),
)
# In LTX-2 sound and picture have a stream each; what one reads from the other is cross-attention too.
_LTX2_RULES: tuple[Rule, ...] = (
    _block("mod", _SCALE_SHIFT),
    _block("cross_attn", r"(?:audio_)?attn2\.to_\w+", r"(?:audio_to_video|video_to_audio)_attn\.to_\w+"),
    _block("self_attn", r"(?:audio_)?attn1\.to_\w+"),
    _block("ffn", r"(?:audio_)?ff"),
)

_REFINERS = {name: name for name in ("noise_refiner", "context_refiner", "siglip_refiner", "layers")}
_LUMINA2_RULES: tuple[Rule, ...] = (
    _block("mod", r"norm1\.linear"),
    _block("self_attn", _ATTENTION),
    _block("ffn", "feed_forward"),
)
_LUMINA2_OUTSIDE: tuple[Rule, ...] = (
    (r"^norm_out\.linear_1(?:\.|$)", "mod"),
    (r"^norm_out\.linear_2(?:\.|$)", "other"),
    _top("embed", _EMBEDDERS),
)
_Z_IMAGE_RULES: tuple[Rule, ...] = (
    _block("mod", "adaLN_modulation"),
    _block("self_attn", r"attention\.to_\w+"),
    _block("ffn", "feed_forward"),
)
_Z_IMAGE_OUTSIDE: tuple[Rule, ...] = (
    (r"^all_final_layer\.[^.]+\.adaLN_modulation(?:\.|$)", "mod"),
    _top("embed", _EMBEDDERS, r"\w*_pad_token"),
    _top("other", "all_final_layer"),
)

_BLOCKS = {"transformer_blocks": "blocks"}


def _family(
    name: str,
    classes: str,
    rules: tuple[Rule, ...],
    outside_rules: tuple[Rule, ...],
    stacks: dict[str, str],
) -> Family:
    return Family(name, tuple(classes.split()), (next(iter(stacks)),), rules, outside_rules, stacks=stacks)


FAMILIES: tuple[Family, ...] = (
    _family("flux", "FluxTransformer2DModel", _DOUBLE_SINGLE_RULES, _FLUX_OUTSIDE, _DOUBLE_SINGLE),
    # FLUX.1's blocks under other class names. Bria's caption_projection takes in what each block gets of the prompt.
    _family(
        "bria", "BriaTransformer2DModel BriaFiboTransformer2DModel", _DOUBLE_SINGLE_RULES, _BRIA_OUTSIDE, _DOUBLE_SINGLE
    ),
    _family("longcat_image", "LongCatImageTransformer2DModel", _DOUBLE_SINGLE_RULES, _FLUX_OUTSIDE, _DOUBLE_SINGLE),
    _family("ovis_image", "OvisImageTransformer2DModel", _DOUBLE_SINGLE_RULES, _FLUX_OUTSIDE, _DOUBLE_SINGLE),
    _family("flux2", "Flux2Transformer2DModel", _FLUX2_RULES, _FLUX2_OUTSIDE, _DOUBLE_SINGLE),
    _family("chroma", "ChromaTransformer2DModel", _DOUBLE_SINGLE_RULES, _CHROMA_OUTSIDE, _DOUBLE_SINGLE),
    _family("sd3", "SD3Transformer2DModel", _SD3_RULES, _FLUX_OUTSIDE, {"transformer_blocks": "joint"}),
    _family(
        "hunyuan_video",
        "HunyuanVideoTransformer3DModel HunyuanVideoFramepackTransformer3DModel",
        _DOUBLE_SINGLE_RULES,
        _HUNYUAN_OUTSIDE,
        _HUNYUAN_STACKS,
    ),
    _family(
        "hunyuan_video_1_5",
        "HunyuanVideo15Transformer3DModel",
        _DOUBLE_SINGLE_RULES,
        _HUNYUAN_OUTSIDE,
        _HUNYUAN_STACKS,
    ),
    _family(
        "hunyuan_image",
        "HunyuanImageTransformer2DModel",
        _DOUBLE_SINGLE_RULES,
        _HUNYUAN_OUTSIDE,
        _HUNYUAN_STACKS,
    ),
    _family("qwen_image", "QwenImageTransformer2DModel", _QWEN_RULES, _QWEN_OUTSIDE, _BLOCKS),
    _family(
        "wan",
        "WanTransformer3DModel WanVACETransformer3DModel SkyReelsV2Transformer3DModel ChronoEditTransformer3DModel",
        _WAN_RULES,
        _WAN_OUTSIDE,
        {"blocks": "blocks", "vace_blocks": "vace"},
    ),
    _family("ltx", "LTXVideoTransformer3DModel", _ATTN1_ATTN2_RULES, _ADALN_SINGLE_OUTSIDE, _BLOCKS),
    _family("ltx2", "LTX2VideoTransformer3DModel", _LTX2_RULES, _ADALN_SINGLE_OUTSIDE, _BLOCKS),
    _family("pixart", "PixArtTransformer2DModel", _ATTN1_ATTN2_RULES, _ADALN_SINGLE_OUTSIDE, _BLOCKS),
    _family("sana", "SanaTransformer2DModel", _ATTN1_ATTN2_RULES, _ADALN_SINGLE_OUTSIDE, _BLOCKS),
    _family("lumina2", "Lumina2Transformer2DModel", _LUMINA2_RULES, _LUMINA2_OUTSIDE, _REFINERS),
    _family("z_image", "ZImageTransformer2DModel", _Z_IMAGE_RULES, _Z_IMAGE_OUTSIDE, _REFINERS),
)
