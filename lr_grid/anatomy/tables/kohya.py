"""Diffusion transformers as kohya's trainers write them (sd-scripts, musubi-tuner): their own classes and names."""

from __future__ import annotations

from lr_grid.anatomy.family import Family
from lr_grid.anatomy.layout import Rule

_FLUX_RULES: tuple[Rule, ...] = (
    (r"\.(img_mod|txt_mod|modulation)\.", "mod"),
    (r"\.txt_(attn|mlp)\.", "cross_attn"),
    (r"\.img_attn\.", "self_attn"),
    (r"\.img_mlp\.", "ffn"),
    (r"\.linear[12]$", "fused"),
)
_FLUX_OUTSIDE: tuple[Rule, ...] = (
    (r"^final_layer\.adaLN_modulation\.|^distilled_guidance_layer\.", "mod"),
    (r"^(img_in|txt_in|time_in|vector_in|guidance_in)(\.|$)", "embed"),
    (r"^final_layer\.", "other"),
)
_DOUBLE_SINGLE = {"double_blocks": "double", "single_blocks": "single"}


FAMILIES: tuple[Family, ...] = (
    Family("flux", ("Flux",), ("double_blocks", "single_blocks"), _FLUX_RULES, _FLUX_OUTSIDE, stacks=_DOUBLE_SINGLE),
    Family(
        "chroma", ("Chroma",), ("double_blocks", "single_blocks"), _FLUX_RULES, _FLUX_OUTSIDE, stacks=_DOUBLE_SINGLE
    ),
)
