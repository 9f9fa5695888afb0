"""Diffusion transformers as diffusers writes them.

Stacks have the names they have in kohya's classes (``transformer_blocks`` of FLUX is ``double``), so that one grid file
serves both; Qwen-Image and Z-Image, the same classes there, are in kohya's tables. docs/families_diffusers.md shows
what these rules make of every released size.
"""

from __future__ import annotations

from lr_grid.anatomy.family import Family
from lr_grid.anatomy.layout import Rule
from lr_grid.anatomy.tables.patterns import inside, top

_SCALE_SHIFT = r"\w*scale_shift_table"
_TEXT_ATTENTION = r"attn\.(?:add_[qkv]_proj|to_added_qkv|to_add_out)"
_ATTENTION = r"attn\.to_\w+"

# Two streams: the text stream is cross_attn as a whole, the image stream self_attn and ffn. The single blocks' output
# Linear takes attention and feed-forward at once.
_DOUBLE_SINGLE_RULES: tuple[Rule, ...] = (
    inside("mod", r"norm1\.linear", r"norm1_context\.linear", r"norm\.linear", r"norm_out\.linear"),
    inside("fused", "proj_out"),
    inside("cross_attn", _TEXT_ATTENTION, "ff_context"),
    inside("self_attn", _ATTENTION),
    inside("ffn", "ff", "proj_mlp"),
)
_DOUBLE_SINGLE = {"transformer_blocks": "double", "single_transformer_blocks": "single"}
_EMBEDDERS = r"\w*embedder(?:_\d)?|\w*_embed"
_HEAD: tuple[Rule, ...] = (top("mod", r"norm_out\.linear"), top("other", "proj_out"))

# FLUX.2's single blocks hold everything in two Linears, and all blocks of a kind share one modulation.
_FLUX2_RULES: tuple[Rule, ...] = (
    (r"^single_transformer_blocks\.\d+\.attn\.to_(?:qkv_mlp_proj|out)(?:\.|$)", "fused"),
    *_DOUBLE_SINGLE_RULES,
)
_FLUX2_OUTSIDE: tuple[Rule, ...] = (
    top("mod", r"double_stream_modulation_(?:img|txt)", "single_stream_modulation"),
    top("embed", _EMBEDDERS),
    *_HEAD,
)
_FLUX_OUTSIDE: tuple[Rule, ...] = (top("embed", _EMBEDDERS), *_HEAD)
_BRIA_OUTSIDE: tuple[Rule, ...] = (top("embed", _EMBEDDERS, "caption_projection"), *_HEAD)
# Chroma has one small network that makes every block's modulation.
_CHROMA_OUTSIDE: tuple[Rule, ...] = (top("mod", "distilled_guidance_layer"), *_FLUX_OUTSIDE)

_HUNYUAN_STACKS = {"context_embedder.token_refiner.refiner_blocks": "refiner", **_DOUBLE_SINGLE}
_HUNYUAN_OUTSIDE: tuple[Rule, ...] = (top("embed", _EMBEDDERS, "image_projection"), *_HEAD)

# Joint attention is self-attention of both streams; attn2 (3.5 medium) is a second one, of the image alone.
_SD3_RULES: tuple[Rule, ...] = (
    inside("mod", r"norm1\.linear", r"norm1_context\.linear"),
    inside("self_attn", r"attn2?\.(?:to_\w+|add_[qkv]_proj)"),
    inside("ffn", "ff", "ff_context"),
)

# attn1 looks at the image or video, attn2 at the prompt (in Wan's image-to-video models, at the first image too).
_ATTN1_ATTN2_RULES: tuple[Rule, ...] = (
    inside("mod", _SCALE_SHIFT),
    inside("cross_attn", r"attn2\.(?:to_\w+|add_[kv]_proj)"),
    inside("self_attn", r"attn1\.to_\w+"),
    inside("ffn", "ffn?"),
)
_WAN_RULES: tuple[Rule, ...] = (*_ATTN1_ATTN2_RULES, inside("other", "proj_in", "proj_out"))
_WAN_OUTSIDE: tuple[Rule, ...] = (
    (r"^condition_embedder\.time_proj(?:\.|$)", "mod"),
    top("mod", _SCALE_SHIFT),
    top("embed", "condition_embedder", "patch_embedding", "vace_patch_embedding"),
    top("other", "proj_out"),
)
_ADALN_SINGLE_OUTSIDE: tuple[Rule, ...] = (
    # adaln_single, time_embed and their like: an embedder (emb) and the Linear that makes the modulation.
    (r"^(?:\w*adaln\w*|\w*time_embed|av_cross_attn_\w+)\.linear(?:\.|$)", "mod"),
    top("mod", _SCALE_SHIFT),
    top(
        "embed",
        r"\w*adaln\w*",
        r"\w*_embed",
        r"av_cross_attn_\w+",
        r"(?:audio_)?caption_projection",
        r"(?:audio_)?proj_in",
    ),
    top("other", r"(?:audio_)?proj_out"),
)
# In LTX-2 sound and picture have a stream each; what one reads from the other is cross-attention too.
_LTX2_RULES: tuple[Rule, ...] = (
    inside("mod", _SCALE_SHIFT),
    inside("cross_attn", r"(?:audio_)?attn2\.to_\w+", r"(?:audio_to_video|video_to_audio)_attn\.to_\w+"),
    inside("self_attn", r"(?:audio_)?attn1\.to_\w+"),
    inside("ffn", r"(?:audio_)?ff"),
)

_REFINERS = {name: name for name in ("noise_refiner", "context_refiner", "siglip_refiner", "layers")}
_LUMINA2_RULES: tuple[Rule, ...] = (
    inside("mod", r"norm1\.linear"),
    inside("self_attn", _ATTENTION),
    inside("ffn", "feed_forward"),
)
_LUMINA2_OUTSIDE: tuple[Rule, ...] = (
    top("mod", r"norm_out\.linear_1"),
    top("other", r"norm_out\.linear_2"),
    top("embed", _EMBEDDERS),
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
)
