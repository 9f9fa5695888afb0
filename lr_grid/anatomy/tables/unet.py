"""U-Nets: SD1.x, SD2.x, SDXL, numbered as kohya does (one stack, ``unet``)."""

from __future__ import annotations

from lr_grid.anatomy.family import Family
from lr_grid.anatomy.layout import Rule
from lr_grid.anatomy.unet import number_diffusers_sdxl_unet, number_diffusers_unet, number_ldm_unet

_UNET_RULES: tuple[Rule, ...] = (
    (r"\.(time_emb_proj|emb_layers)(\.|$)", "mod"),
    (r"\.attn1\.", "self_attn"),
    (r"\.attn2\.", "cross_attn"),
    (r"\.ff\.", "ffn"),
    (r"^(time_embed|label_emb|time_embedding|add_embedding|conv_in|input_blocks\.0)(\.|$)", "embed"),
    (r"", "other"),
)
_UNET_OUTSIDE: tuple[Rule, ...] = (
    (r"^(conv_in|time_embedding|add_embedding|class_embedding|encoder_hid_proj)(\.|$)", "embed"),
    (r"", "other"),
)

FAMILIES: tuple[Family, ...] = (
    Family(
        "sdxl",
        ("SdxlUNet2DConditionModel",),
        ("input_blocks", "middle_block", "output_blocks"),
        _UNET_RULES,
        _UNET_OUTSIDE,
        numbering=number_ldm_unet,
    ),
    # SDXL's refiner has add_embedding too, but four down blocks: it is counted as SD is.
    Family(
        "sd",
        ("UNet2DConditionModel",),
        ("down_blocks.3", "mid_block", "up_blocks"),
        _UNET_RULES,
        _UNET_OUTSIDE,
        numbering=number_diffusers_unet,
    ),
    Family(
        "sdxl",
        ("UNet2DConditionModel",),
        ("add_embedding", "down_blocks.2", "up_blocks.2"),
        _UNET_RULES,
        _UNET_OUTSIDE,
        numbering=number_diffusers_sdxl_unet,
    ),
    Family(
        "sd",
        ("UNet2DConditionModel",),
        ("down_blocks", "mid_block", "up_blocks"),
        _UNET_RULES,
        _UNET_OUTSIDE,
        numbering=number_diffusers_unet,
    ),
)
