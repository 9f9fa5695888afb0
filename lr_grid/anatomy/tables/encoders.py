"""Text encoders: CLIP, T5, Gemma 2, Qwen 3, Qwen 2.5 VL. Their layers are one stack, ``layers``."""

from __future__ import annotations

from lr_grid.anatomy.family import Family
from lr_grid.anatomy.layout import Rule
from lr_grid.anatomy.tables.patterns import inside, top

_RULES: tuple[Rule, ...] = (inside("self_attn", "self_attn"), inside("ffn", "mlp"))

_T5_RULES: tuple[Rule, ...] = (
    inside("self_attn", r"layer\.\d+\.SelfAttention"),
    inside("ffn", r"layer\.\d+\.DenseReluDense"),
)
_T5_OUTSIDE: tuple[Rule, ...] = (top("embed", "shared", r"encoder\.embed_tokens"),)

_CLIP_OUTSIDE: tuple[Rule, ...] = (top("embed", r"(?:text_model\.)?embeddings"), top("other", "text_projection"))

# A language model by itself has layers; with a head, or as a part of a larger model, they stand one or two levels down.
_LAYERS = {"layers": "layers", "model.layers": "layers"}
_LANGUAGE_OUTSIDE: tuple[Rule, ...] = (top("embed", r"(?:model\.)?embed_tokens"), top("other", "lm_head"))

_VISION = r"(?:model\.)?visual"
_VL_STACKS = {
    "model.visual.blocks": "visual",
    "visual.blocks": "visual",
    "model.language_model.layers": "layers",
    "language_model.layers": "layers",
    **_LAYERS,
}
_VL_RULES: tuple[Rule, ...] = (inside("self_attn", "attn"), *_RULES)
_VL_OUTSIDE: tuple[Rule, ...] = (
    top("embed", rf"{_VISION}\.(?:patch_embed|merger)", r"(?:model\.)?language_model\.embed_tokens"),
    *_LANGUAGE_OUTSIDE,
)

FAMILIES: tuple[Family, ...] = (
    Family(
        "clip",
        ("CLIPTextModel", "CLIPTextModelWithProjection"),
        (),
        _RULES,
        _CLIP_OUTSIDE,
        stacks={"text_model.encoder.layers": "layers", "encoder.layers": "layers"},
    ),
    Family(
        "t5",
        ("T5EncoderModel", "UMT5EncoderModel"),
        ("encoder.block",),
        _T5_RULES,
        _T5_OUTSIDE,
        stacks={"encoder.block": "layers"},
    ),
    Family("gemma2", ("Gemma2Model", "Gemma2ForCausalLM"), (), _RULES, _LANGUAGE_OUTSIDE, stacks=_LAYERS),
    Family("qwen3", ("Qwen3Model", "Qwen3ForCausalLM"), (), _RULES, _LANGUAGE_OUTSIDE, stacks=_LAYERS),
    Family(
        "qwen2_5_vl",
        ("Qwen2_5_VLModel", "Qwen2_5_VLTextModel", "Qwen2_5_VLForConditionalGeneration"),
        (),
        _VL_RULES,
        _VL_OUTSIDE,
        stacks=_VL_STACKS,
    ),
)
