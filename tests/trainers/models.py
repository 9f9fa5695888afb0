"""The tiny models by name: which files and command line options make sd-scripts load each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """A tiny model: the constants to shrink, its files by command line option, and options a user would give for it."""

    family: str
    files: Mapping[str, str]
    options: tuple[str, ...] = ("--mixed_precision=no",)
    in_one_file: str | None = None  # the same model, for scripts that read no Diffusers folder

    @property
    def checkpoint(self) -> str:
        return self.in_one_file or self.files["pretrained_model_name_or_path"]


def _flux(checkpoint: str) -> Model:
    return Model(
        "flux",
        {
            "pretrained_model_name_or_path": f"flux/{checkpoint}.safetensors",
            "clip_l": "flux/clip_l.safetensors",
            "t5xxl": "flux/t5xxl.safetensors",
            "ae": "flux/ae.safetensors",
        },
        (
            "--mixed_precision=bf16",
            "--t5xxl_max_token_length=16",
            "--timestep_sampling=sigmoid",
            "--model_prediction_type=raw",
            "--guidance_scale=1.0",
            "--sdpa",
        ),
    )


MODELS: dict[str, Model] = {
    "sd15": Model("sd15", {"pretrained_model_name_or_path": "sd15"}, in_one_file="sd15/sd15.safetensors"),
    "sdxl": Model("sdxl", {"pretrained_model_name_or_path": "sdxl"}, in_one_file="sdxl/sdxl.safetensors"),
    "flux": _flux("flux"),
    "flux_19_38": _flux("flux_19_38"),
    "sd3": Model(
        "sd3",
        {
            "pretrained_model_name_or_path": "sd3/sd3.safetensors",
            "clip_l": "sd3/clip_l.safetensors",
            "clip_g": "sd3/clip_g.safetensors",
            "t5xxl": "sd3/t5xxl.safetensors",
        },
        ("--mixed_precision=bf16", "--t5xxl_max_token_length=16"),
    ),
    "chroma": Model(
        "chroma",
        {
            "pretrained_model_name_or_path": "chroma/chroma.safetensors",
            "t5xxl": "flux/t5xxl.safetensors",
            "ae": "flux/ae.safetensors",
        },
        (
            "--model_type=chroma",
            "--apply_t5_attn_mask",
            "--mixed_precision=bf16",
            "--t5xxl_max_token_length=16",
            "--timestep_sampling=sigmoid",
            "--model_prediction_type=raw",
            "--guidance_scale=0.0",
            "--sdpa",
        ),
    ),
    "lumina": Model(
        "lumina",
        {
            "pretrained_model_name_or_path": "lumina/lumina.safetensors",
            "gemma2": "lumina/gemma2.safetensors",
            "ae": "lumina/ae.safetensors",
        },
        (
            "--mixed_precision=bf16",
            "--gemma2_max_token_length=32",
            "--timestep_sampling=nextdit_shift",
            "--model_prediction_type=raw",
            "--sdpa",
        ),
    ),
    "hunyuan_image": Model(
        "hunyuan_image",
        {
            "pretrained_model_name_or_path": "hunyuan_image/hunyuan_image.safetensors",
            "text_encoder": "hunyuan_image/qwen2_5_vl.safetensors",
            "byt5": "hunyuan_image/byt5.safetensors",
            "vae": "hunyuan_image/vae.safetensors",
        },
        ("--mixed_precision=bf16", "--timestep_sampling=sigmoid", "--attn_mode=torch"),
    ),
    "anima": Model(
        "anima",
        {
            "pretrained_model_name_or_path": "anima/anima.safetensors",
            "qwen3": "anima/qwen3",
            "vae": "anima/vae.safetensors",
        },
        (
            "--mixed_precision=bf16",
            "--qwen3_max_token_length=32",
            "--t5_max_token_length=16",
            "--timestep_sampling=sigmoid",
        ),
    ),
}
