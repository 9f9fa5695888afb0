"""Diffusion transformers as kohya's trainers write them (sd-scripts, musubi-tuner): their own classes and names.

Every rule is held against the live classes of both trainers; docs/families_kohya.md is what came out.
"""

from __future__ import annotations

from lr_grid.anatomy.family import Family
from lr_grid.anatomy.layout import Rule
from lr_grid.anatomy.tables.kohya_double import FAMILIES as DOUBLE_STREAM
from lr_grid.anatomy.tables.patterns import inside, top

# SD3, SD3.5: joint attention is self-attention of both streams; attn2 (3.5 medium) is a second one, of the image alone.
_SD3_STREAM = "(?:context|x)_block"
_SD3_RULES: tuple[Rule, ...] = (
    inside("mod", rf"{_SD3_STREAM}\.adaLN_modulation"),
    inside("self_attn", rf"{_SD3_STREAM}\.attn2?"),
    inside("ffn", rf"{_SD3_STREAM}\.mlp"),
)
_EMBEDDERS = top("embed", r"[a-z]+_embedder")
_SD3_OUTSIDE: tuple[Rule, ...] = (
    _EMBEDDERS,
    top("mod", r"final_layer\.adaLN_modulation"),
    top("other", "final_layer"),
)

# Lumina-Image 2 and Z-Image. Z-Image's class and names are diffusers' own (siglip_refiner is there only).
_LUMINA_RULES: tuple[Rule, ...] = (
    inside("mod", "adaLN_modulation"),
    inside("self_attn", "attention"),
    inside("ffn", "feed_forward"),
)
_LUMINA_STACKS = {name: name for name in ("context_refiner", "noise_refiner", "layers")}
_Z_IMAGE_OUTSIDE: tuple[Rule, ...] = (
    top("embed", "all_x_embedder", r"\w+_embedder", r"\w+_pad_token"),
    top("mod", r"all_final_layer\.[^.]+\.adaLN_modulation"),
    top("other", "all_final_layer"),
)
_Z_IMAGE_STACKS = {name: name for name in ("noise_refiner", "context_refiner", "siglip_refiner", "layers")}

_ANIMA_RULES: tuple[Rule, ...] = (
    inside("mod", r"adaln_modulation_\w+"),
    inside("self_attn", "self_attn"),
    inside("cross_attn", "cross_attn"),
    inside("ffn", "mlp"),
)
_ANIMA_OUTSIDE: tuple[Rule, ...] = (
    top("embed", "x_embedder", "t_embedder", "llm_adapter"),
    top("mod", r"final_layer\.adaln_modulation"),
    top("other", "final_layer"),
)

# cross_attn has k_img and v_img too where a first image is given (Wan 2.1 I2V). Modulation inside is no module.
_WAN_RULES: tuple[Rule, ...] = (
    inside("self_attn", "self_attn"),
    inside("cross_attn", "cross_attn"),
    inside("ffn", "ffn"),
)
_WAN_OUTSIDE: tuple[Rule, ...] = (
    top("mod", "time_projection"),
    top("embed", "patch_embedding", "text_embedding", "time_embedding", "img_emb"),
    top("other", "head"),
)

_KANDINSKY_RULES: tuple[Rule, ...] = (
    inside("mod", "text_modulation", "visual_modulation"),
    inside("self_attn", "self_attention"),
    inside("cross_attn", "cross_attention"),
    inside("ffn", "feed_forward"),
)
_KANDINSKY_OUTSIDE: tuple[Rule, ...] = (
    top("embed", r"(?:time|text|pooled_text|visual)_embeddings"),
    top("mod", r"out_layer\.modulation"),
    top("other", "out_layer"),
)

_KREA2_RULES: tuple[Rule, ...] = (inside("self_attn", "attn"), inside("ffn", "mlp"))
_KREA2_OUTSIDE: tuple[Rule, ...] = (
    top("mod", "tproj"),  # one Linear makes the modulation of all blocks
    top("embed", "first", "tmlp", "txtmlp", r"txtfusion\.projector"),
    top("other", "last"),
)

# A Qwen3-VL that paints: its vision blocks read the images given, its language model's layers make the picture.
_HIDREAM_RULES: tuple[Rule, ...] = (inside("self_attn", "self_attn", "attn"), inside("ffn", "mlp"))
_HIDREAM_OUTSIDE: tuple[Rule, ...] = (
    top("embed", r"model\.(?:x_embedder|t_embedder\d*)", r"model\.language_model\.embed_tokens"),
    top("embed", r"model\.visual\.(?:patch_embed|pos_embed|merger|deepstack_merger_list)"),
    top("other", r"model\.final_layer\d*", "lm_head"),
)

_IDEOGRAM_RULES: tuple[Rule, ...] = (
    inside("mod", "adaln_modulation"),
    inside("self_attn", "attention"),
    inside("ffn", "feed_forward"),
)
_IDEOGRAM_OUTSIDE: tuple[Rule, ...] = (
    top("mod", "adaln_proj", r"final_layer\.adaln_modulation"),
    top("embed", "input_proj", "llm_cond_proj", "t_embedding", "embed_image_indicator"),
    top("other", "final_layer"),
)


FAMILIES: tuple[Family, ...] = (
    *DOUBLE_STREAM,
    Family("sd3", ("MMDiT",), ("joint_blocks",), _SD3_RULES, _SD3_OUTSIDE, stacks={"joint_blocks": "joint"}),
    Family("lumina", ("NextDiT",), tuple(_LUMINA_STACKS), _LUMINA_RULES, _SD3_OUTSIDE, stacks=_LUMINA_STACKS),
    Family(
        "z_image",
        ("ZImageTransformer2DModel",),
        ("noise_refiner", "layers"),
        _LUMINA_RULES,
        _Z_IMAGE_OUTSIDE,
        stacks=_Z_IMAGE_STACKS,
    ),
    Family(
        "anima",
        ("Anima",),
        ("blocks",),
        _ANIMA_RULES,
        _ANIMA_OUTSIDE,
        stacks={"llm_adapter.blocks": "llm_adapter", "blocks": "blocks"},
    ),
    Family("wan", ("WanModel",), ("blocks", "time_projection"), _WAN_RULES, _WAN_OUTSIDE, stacks={"blocks": "blocks"}),
    Family(
        "kandinsky5",
        ("DiffusionTransformer3D",),
        ("visual_transformer_blocks",),
        _KANDINSKY_RULES,
        _KANDINSKY_OUTSIDE,
        stacks={"text_transformer_blocks": "text", "visual_transformer_blocks": "visual"},
    ),
    Family(
        "krea2",
        ("SingleStreamDiT",),
        ("blocks", "txtfusion.layerwise_blocks"),
        _KREA2_RULES,
        _KREA2_OUTSIDE,
        stacks={
            "txtfusion.layerwise_blocks": "txtfusion_layerwise",
            "txtfusion.refiner_blocks": "txtfusion_refiner",
            "blocks": "blocks",
        },
    ),
    Family(
        "hidream_o1",
        ("Qwen3VLForConditionalGeneration",),
        ("model.language_model.layers", "model.x_embedder"),  # the latter tells it from a plain Qwen3-VL
        _HIDREAM_RULES,
        _HIDREAM_OUTSIDE,
        stacks={"model.visual.blocks": "visual", "model.language_model.layers": "layers"},
    ),
    Family(
        "ideogram4",
        ("Ideogram4Transformer",),
        ("layers",),
        _IDEOGRAM_RULES,
        _IDEOGRAM_OUTSIDE,
        stacks={"layers": "layers"},
    ),
)
