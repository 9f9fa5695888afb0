"""Shrinks sd-scripts' hard-coded model widths in memory, so that its real scripts can load tiny models.

Runs in the trainer's process (or the model maker's), with sd-scripts on ``sys.path``; no file of sd-scripts is changed.
Imports are local because each family costs seconds of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

CLIP_VOCABULARY = 520  # >= the tiny tokenizer's 516
T5_VOCABULARY = 128
SD15_CHANNELS = (32, 64, 64, 64)
SDXL_CHANNELS = (32, 64, 128)
FLUX_WIDTH = 64


def sd15() -> None:
    import library.original_unet as unet

    unet.BLOCK_OUT_CHANNELS = SD15_CHANNELS
    unet.TIMESTEP_INPUT_DIM = SD15_CHANNELS[0]
    unet.TIME_EMBED_DIM = 4 * SD15_CHANNELS[0]


def sdxl() -> None:
    # the context width (2048 = 768 + 1280) cannot be shrunk: it is hard-coded in many places
    import library.sdxl_original_unet as unet

    unet.MODEL_CHANNELS = SDXL_CHANNELS[0]
    unet.TIME_EMBED_DIM = 4 * SDXL_CHANNELS[0]


def flux() -> None:
    import library.flux_models as models
    import library.flux_utils as utils
    from networks.lora_flux import LoRANetwork

    text = {"vec_in_dim": 64, "context_in_dim": 64}
    narrow = {"hidden_size": FLUX_WIDTH, "num_heads": 2, "axes_dim": [8, 12, 12], **text}
    for spec in models.configs.values():
        spec.params = dataclasses.replace(spec.params, **narrow)
        spec.ae_params = dataclasses.replace(spec.ae_params, ch=32, ch_mult=[1, 1, 1, 1], num_res_blocks=1)
    utils.CLIPConfig = _with(
        utils.CLIPConfig,
        hidden_size=64,
        intermediate_size=128,
        num_attention_heads=4,
        num_hidden_layers=2,
        projection_dim=64,
        vocab_size=CLIP_VOCABULARY,
    )
    _shrink_t5(width=64)
    LoRANetwork.get_qkv_mlp_split_dims = classmethod(lambda cls: [FLUX_WIDTH] * 3 + [4 * FLUX_WIDTH])


def sd3() -> None:
    # depth and width of the MMDiT are read off the checkpoint; the text features' widths (768, 1280, 4096) stay
    import library.sd3_utils as utils

    utils.CLIPTextConfig = _with(
        utils.CLIPTextConfig, num_hidden_layers=2, intermediate_size=64, vocab_size=CLIP_VOCABULARY
    )
    _shrink_t5(width=4096)


def _shrink_t5(width: int) -> None:
    import library.flux_utils as utils

    utils.T5Config = _with(
        utils.T5Config, d_model=width, d_ff=128, d_kv=16, num_heads=4, num_layers=2, vocab_size=T5_VOCABULARY
    )


def _with(config: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """The config class, but with some values fixed whatever the caller asks for."""
    return lambda **values: config(**(values | fixed))


FAMILIES: dict[str, Callable[[], None]] = {"sd15": sd15, "sdxl": sdxl, "flux": flux, "sd3": sd3}
