"""Makes the tiny random models, in the layouts sd-scripts loads. Runs in the trainer's venv, through make_tiny.py."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import shrink
import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from library import flux_models, flux_utils, sd3_models, sd3_utils
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

FLUX_BLOCKS = {"flux": (2, 2), "flux_19_38": (19, 38)}  # file name -> double and single blocks
STD = 0.02


def make_sd15(folder: Path) -> None:
    context = 32
    text = CLIPTextConfig(hidden_size=context, num_hidden_layers=2, num_attention_heads=4, **_clip_options())
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=shrink.SD15_CHANNELS, cross_attention_dim=context, attention_head_dim=8
    )
    StableDiffusionPipeline(
        vae=_tiny_vae(),
        text_encoder=CLIPTextModel(text),
        tokenizer=None,
        unet=unet,
        scheduler=PNDMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def make_sdxl(folder: Path) -> None:
    # sd-scripts reads the eleventh layer of the first text encoder; the widths 768 + 1280 are hard-coded
    text = {"hidden_size": 768, "projection_dim": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
    text2 = {"hidden_size": 1280, "projection_dim": 1280, "num_hidden_layers": 2, "num_attention_heads": 20}
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=shrink.SDXL_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=2,
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(1, 1, 2),
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )
    StableDiffusionXLPipeline(
        vae=_tiny_vae(),
        text_encoder=CLIPTextModel(CLIPTextConfig(**text, **_clip_options())),
        text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig(**text2, **_clip_options())),
        tokenizer=None,
        tokenizer_2=None,
        unet=unet,
        scheduler=EulerDiscreteScheduler(),
    ).save_pretrained(folder)


def make_flux(folder: Path) -> None:
    with _shrunk("flux"), torch.device("meta"):
        config = flux_models.configs["dev"]
        parts: dict[str, Any] = {"ae": flux_models.AutoEncoder(config.ae_params)}
        for name, (double, single) in FLUX_BLOCKS.items():
            parts[name] = flux_models.Flux(dataclasses.replace(config.params, depth=double, depth_single_blocks=single))
        parts["clip_l"] = flux_utils.load_clip_l(None, torch.bfloat16, "cpu", state_dict={})
        parts["t5xxl"] = flux_utils.load_t5xxl("", torch.bfloat16, "cpu", state_dict={})
    for name, model in parts.items():
        _save_random(model, folder / f"{name}.safetensors")


def make_sd3(folder: Path) -> None:
    def widths(width: int) -> dict[str, int]:
        return {"hidden_size": width, "projection_dim": width, "max_position_embeddings": 77}

    with _shrunk("sd3"), torch.device("meta"):
        # hidden size = 64 * depth, read off the checkpoint's keys
        params = sd3_models.SD3Params(
            patch_size=2,
            depth=2,
            num_patches=64,
            pos_embed_max_size=8,
            adm_in_channels=2048,
            qk_norm="rms",
            x_block_self_attn_layers=[0],
            context_embedder_in_features=4096,
            context_embedder_out_features=128,
            model_type="5-medium",
        )
        parts = {
            "clip_l": CLIPTextModelWithProjection(sd3_utils.CLIPTextConfig(**widths(768), num_attention_heads=12)),
            "clip_g": CLIPTextModelWithProjection(sd3_utils.CLIPTextConfig(**widths(1280), num_attention_heads=20)),
            "t5xxl": flux_utils.load_t5xxl("", torch.bfloat16, "cpu", state_dict={}),
        }
    for name, model in parts.items():
        _save_random(model, folder / f"{name}.safetensors")
    mmdit = sd3_models.create_sd3_mmdit(params, "torch")
    vae = sd3_models.SDVAE(torch.float32, "cpu")
    _save_random(mmdit, folder / "sd3.safetensors", "model.diffusion_model.", (vae, "first_stage_model."))


def _clip_options() -> dict[str, int]:
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}  # the values in the published configs
    return {"vocab_size": shrink.CLIP_VOCABULARY, "intermediate_size": 64, "max_position_embeddings": 77, **ids}


def _tiny_vae() -> Any:
    return AutoencoderKL(
        block_out_channels=(32,) * 4,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        latent_channels=4,
        layers_per_block=1,
    )


def _random_weights(model: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Weights for every entry of a model's state dict (of which only names and shapes are read: it may be on meta)."""
    for name, entry in model.state_dict().items():
        is_norm = name.endswith("weight") and ("norm" in name or "ln_" in name)
        if name.endswith("scale") or is_norm:
            tensor = torch.ones(entry.shape)
        elif name.endswith("bias"):
            tensor = torch.zeros(entry.shape)
        else:
            tensor = torch.randn(entry.shape) * STD
        yield prefix + name, tensor.to(torch.bfloat16)


def _save_random(model: Any, file: Path, prefix: str = "", *more: tuple[Any, str]) -> None:
    weights: dict[str, Any] = {}
    for part, start in ((model, prefix), *more):
        weights.update(_random_weights(part, start))
    save_file(weights, file)


@contextmanager
def _shrunk(family: str) -> Iterator[None]:
    """Shrink a family's constants for a while: families share some of them (flux and sd3 have one T5 config)."""
    t5 = flux_utils.T5Config
    shrink.FAMILIES[family]()
    try:
        yield
    finally:
        flux_utils.T5Config = t5


MAKERS: dict[str, Callable[[Path], None]] = {
    "sd15": make_sd15,
    "sdxl": make_sdxl,
    "flux": make_flux,
    "sd3": make_sd3,
}


def make_all(output: Path) -> None:
    for name, make in MAKERS.items():
        torch.manual_seed(0)
        (output / name).mkdir()
        make(output / name)
