"""Per-family tables: the class of the model, what its lists of blocks are called, which path is which component.

Adding a family is adding rows here and a test. Paths are dotted; a rule is a regular expression searched in the path,
first match wins. Modulation comes before attention and feed-forward, because its names often contain theirs.

In double-stream models the text stream counts as cross_attn (attention and feed-forward alike), the image stream as
self_attn and ffn; a Linear that holds attention and feed-forward at once is fused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from lr_grid.anatomy.layout import Rule
from lr_grid.anatomy.unet import number_diffusers_unet, number_ldm_unet
from lr_grid.blocks import Block

Numbering = Callable[[nn.Module], tuple[dict[str, int], dict[str, Block]]]


@dataclass(frozen=True, slots=True)
class Family:
    """One row: how to know the model, where its blocks are, what its modules are."""

    name: str
    classes: tuple[str, ...]
    """Names of the model classes of this family."""
    has: tuple[str, ...]
    """Attributes the model must have (tells families apart that share a class name)."""
    rules: tuple[Rule, ...]
    outside_rules: tuple[Rule, ...]
    stacks: dict[str, str] | None = None
    """Dotted path of a ModuleList -> stack name. None: ``numbering`` tells."""
    numbering: Numbering | None = None


_UNET_RULES: tuple[Rule, ...] = (
    (r"time_emb_proj|emb_layers", "mod"),
    (r"\.attn1\.", "self_attn"),
    (r"\.attn2\.", "cross_attn"),
    (r"\.ff\.", "ffn"),
    (r"^(time_embed|label_emb|conv_in|input_blocks\.0)(\.|$)", "embed"),
    (r"", "other"),
)
_UNET_OUTSIDE: tuple[Rule, ...] = (
    (r"^(conv_in|time_embedding|add_embedding|class_embedding|encoder_hid_proj)(\.|$)", "embed"),
    (r"", "other"),
)
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
    Family(
        "sdxl",
        ("SdxlUNet2DConditionModel",),
        ("input_blocks", "middle_block", "output_blocks"),
        _UNET_RULES,
        _UNET_OUTSIDE,
        numbering=number_ldm_unet,
    ),
    Family(
        "sd",
        ("UNet2DConditionModel",),
        ("down_blocks", "mid_block", "up_blocks"),
        _UNET_RULES,
        _UNET_OUTSIDE,
        numbering=number_diffusers_unet,
    ),
    Family("flux", ("Flux",), ("double_blocks", "single_blocks"), _FLUX_RULES, _FLUX_OUTSIDE, stacks=_DOUBLE_SINGLE),
    Family(
        "chroma", ("Chroma",), ("double_blocks", "single_blocks"), _FLUX_RULES, _FLUX_OUTSIDE, stacks=_DOUBLE_SINGLE
    ),
)
