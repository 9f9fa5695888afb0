"""The tiny SD1.5 and SDXL in one file each, saved by sd-scripts itself: its merge scripts read no Diffusers folder."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import torch
from library import model_util, sdxl_model_util, sdxl_train_util, train_util
from tiny_weights import shrunk


def save_sd15(folder: Path, file: Path) -> None:
    with shrunk("sd15"):
        source = Namespace(pretrained_model_name_or_path=str(folder), vae=None)
        text_encoder, vae, unet, _ = train_util._load_target_model(source, torch.float32)
    model_util.save_stable_diffusion_checkpoint(
        False, str(file), text_encoder, unet, None, 0, 0, None, torch.float32, vae
    )


def save_sdxl(folder: Path, file: Path) -> None:
    version = sdxl_model_util.MODEL_VERSION_SDXL_BASE_V1_0
    with shrunk("sdxl"):
        _, text1, text2, vae, unet, logit_scale, _ = sdxl_train_util._load_target_model(
            str(folder), None, version, torch.float32
        )
    sdxl_model_util.save_stable_diffusion_checkpoint(
        str(file), text1, text2, unet, 0, 0, None, vae, logit_scale, None, torch.float32
    )
