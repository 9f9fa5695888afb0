"""Makes the tiny random models, in the layouts sd-scripts loads. Runs in the trainer's venv, through make_tiny.py."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import shrink
import tiny_checkpoints
import tiny_dit_models
import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from library import chroma_models, flux_models, flux_utils, sd3_models, sd3_utils
from tiny_weights import save_random, shrunk
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

FLUX_BLOCKS = {"flux": (2, 2), "flux_19_38": (19, 38)}  # file name -> double and single blocks


def make_sd15(folder: Path) -> None:
    context = shrink.SD15_TEXT_WIDTH
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
    tiny_checkpoints.save_sd15(folder, folder / "sd15.safetensors")


def make_sdxl(folder: Path) -> None:
    text, text2 = (
        {"hidden_size": width, "projection_dim": width, "num_hidden_layers": layers, "num_attention_heads": width // 64}
        for width, layers in shrink.SDXL_TEXT_LAYERS.items()
    )
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
    tiny_checkpoints.save_sdxl(folder, folder / "sdxl.safetensors")


def make_flux(folder: Path) -> None:
    with shrunk("flux"), torch.device("meta"):
        config = flux_models.configs["dev"]
        parts: dict[str, Any] = {"ae": flux_models.AutoEncoder(config.ae_params)}
        for name, (double, single) in FLUX_BLOCKS.items():
            parts[name] = flux_models.Flux(dataclasses.replace(config.params, depth=double, depth_single_blocks=single))
        parts["clip_l"] = flux_utils.load_clip_l(None, torch.bfloat16, "cpu", state_dict={})
        parts["t5xxl"] = flux_utils.load_t5xxl("", torch.bfloat16, "cpu", state_dict={})
    for name, model in parts.items():
        save_random(model, folder / f"{name}.safetensors")


def make_chroma(folder: Path) -> None:
    """The transformer only: the T5 and the autoencoder are FLUX's."""
    with shrunk("chroma"), torch.device("meta"):
        model = chroma_models.Chroma(chroma_models.chroma_params)
    save_random(model, folder / "chroma.safetensors")


def make_sd3(folder: Path) -> None:
    def widths(width: int) -> dict[str, int]:
        return {"hidden_size": width, "projection_dim": width, "max_position_embeddings": 77}

    with shrunk("sd3"), torch.device("meta"):
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
        save_random(model, folder / f"{name}.safetensors")
    mmdit = sd3_models.create_sd3_mmdit(params, "torch")
    vae = sd3_models.SDVAE(torch.float32, "cpu")
    save_random(mmdit, folder / "sd3.safetensors", "model.diffusion_model.", (vae, "first_stage_model."))


def _clip_options() -> dict[str, int]:
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}  # the values in the published configs
    return {"max_position_embeddings": 77, **shrink.CLIP_SIZES, **ids}


def _tiny_vae() -> Any:
    return AutoencoderKL(
        block_out_channels=(shrink.VAE_CHANNELS,) * 4,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        latent_channels=4,
        layers_per_block=1,
    )


MAKERS: dict[str, Callable[[Path], None]] = {
    "sd15": make_sd15,
    "sdxl": make_sdxl,
    "flux": make_flux,
    "chroma": make_chroma,
    "sd3": make_sd3,
    "lumina": tiny_dit_models.make_lumina,
    "hunyuan_image": tiny_dit_models.make_hunyuan_image,
    "anima": tiny_dit_models.make_anima,
}


def make_all(output: Path) -> None:
    for name, make in MAKERS.items():
        torch.manual_seed(0)
        (output / name).mkdir()
        make(output / name)
