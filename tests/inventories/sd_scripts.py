"""Every model sd-scripts trains, on torch's meta device, with its own network modules: printed as JSON.

Runs in the trainer's venv, with lr-grid importable: python sd_scripts.py SD_SCRIPTS_FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module, reload
from typing import Any

import inventory
from inventory import Case, Models
from torch import nn


@cache
def clip(cls: str, width: int, layers: int) -> nn.Module:
    """A CLIP text model as the loaders configure it."""
    import transformers

    config = transformers.CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        projection_dim=width,
    )
    model: nn.Module = getattr(transformers, cls)(config)
    return model


def clip_l() -> nn.Module:
    return clip("CLIPTextModel", 768, 12)


def clip_g() -> nn.Module:
    return clip("CLIPTextModelWithProjection", 1280, 32)


@cache
def t5xxl() -> nn.Module:
    import torch

    model: nn.Module = import_module("library.flux_utils").load_t5xxl(None, torch.float32, "meta", state_dict={})
    return model


def gemma2() -> nn.Module:
    import torch

    model: nn.Module = import_module("library.lumina_util").load_gemma2(None, torch.float32, "meta", state_dict={})
    return model


def qwen3() -> nn.Module:
    """Qwen3-0.6B, Anima's text encoder: the trainer keeps the ``.model`` of the language model."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    sizes = {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28}
    heads = {"num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128}
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=151936, **sizes, **heads)).model


def sd15() -> Models:
    sd = import_module("library.model_util")
    unet = import_module("library.original_unet").UNet2DConditionModel(**sd.create_unet_diffusers_config(False))
    return unet, clip_l()


def sd21() -> Models:
    sd = import_module("library.model_util")
    unet = import_module("library.original_unet").UNet2DConditionModel(**sd.create_unet_diffusers_config(True))
    return unet, clip("CLIPTextModel", 1024, 23)


def sdxl() -> Models:
    return import_module("library.sdxl_original_unet").SdxlUNet2DConditionModel(), [clip_l(), clip_g()]


def flux(name: str) -> Callable[[], Models]:
    def build() -> Models:
        models = import_module("library.flux_models")
        return models.Flux(models.configs[name].params), [clip_l(), t5xxl()]

    return build


def chroma() -> Models:
    models = import_module("library.chroma_models")
    return models.Chroma(models.chroma_params), [None, t5xxl()]


def sd3(model_type: str, depth: int, patches: int, attn2: range = range(0)) -> Callable[[], Models]:
    """The sizes the trainer reads off the released checkpoints."""

    def build() -> Models:
        models = import_module("library.sd3_models")
        params = models.SD3Params(
            patch_size=2,
            depth=depth,
            num_patches=patches**2,
            pos_embed_max_size=patches,
            adm_in_channels=2048,
            qk_norm=None if model_type == "medium" else "rms",
            x_block_self_attn_layers=list(attn2),
            context_embedder_in_features=4096,
            context_embedder_out_features=64 * depth,
            model_type=model_type,
        )
        encoders = [clip("CLIPTextModelWithProjection", 768, 12), clip_g(), t5xxl()]
        return models.create_sd3_mmdit(params), encoders

    return build


def lumina() -> Models:
    return import_module("library.lumina_models").NextDiT_2B_GQA_patch2_Adaln_Refiner(), [gemma2()]


def hunyuan_image() -> Models:
    return import_module("library.hunyuan_image_models").HYImageDiffusionTransformer(), [None, None]


def anima() -> Models:
    """The configuration stands in the middle of the trainer's loader: take the model before weights are read."""
    loader = import_module("library.anima_utils").load_anima_model
    reader = "load_safetensors_with_lora_and_fp8"
    return inventory.built_by(loader, reader, "cpu", "", "torch", False, "cpu", None, True), [qwen3()]


ALL_OF_SD3 = ("CLIP-L", "CLIP-G", "T5-XXL")
SD_TOO = ("networks.lora_fa", "networks.dylora")
T5_TOO = {"train_t5xxl": "True"}
ALL_LINEAR = {"enable_all_linear": "True"}

CASES: tuple[Case, ...] = (
    Case("SD 1.5", "networks.lora", sd15, encoders=("CLIP-L",), also=SD_TOO),
    Case("SD 1.5", "networks.lora", sd15, {"conv_dim": "4"}, ("CLIP-L",)),
    Case("SD 1.5", "networks.oft", sd15),
    Case("SD 1.5", "networks.oft", sd15, ALL_LINEAR),
    Case("SDXL", "networks.lora", sdxl, encoders=("CLIP-L", "CLIP-G"), also=SD_TOO),
    Case("SDXL", "networks.lora", sdxl, {"conv_dim": "4"}, ("CLIP-L", "CLIP-G")),
    Case("SDXL", "networks.oft", sdxl),
    Case("SDXL", "networks.oft", sdxl, ALL_LINEAR),
    Case("FLUX.1 dev", "networks.lora_flux", flux("dev"), encoders=("CLIP-L", "T5-XXL")),
    Case("FLUX.1 dev", "networks.oft_flux", flux("dev")),
    Case("FLUX.1 dev", "networks.oft_flux", flux("dev"), ALL_LINEAR),
    Case("FLUX.1 dev", "networks.lora_flux", flux("dev"), T5_TOO, ("CLIP-L", "T5-XXL")),
    Case("FLUX.1 schnell", "networks.lora_flux", flux("schnell"), encoders=("CLIP-L", "T5-XXL")),
    Case("Chroma", "networks.lora_flux", chroma, encoders=("", "T5-XXL")),
    Case("SD3 medium", "networks.lora_sd3", sd3("medium", 24, 192), encoders=ALL_OF_SD3),
    Case("SD3.5 medium", "networks.lora_sd3", sd3("5-medium", 24, 384, range(13)), encoders=ALL_OF_SD3),
    Case("SD3.5 large", "networks.lora_sd3", sd3("5-large", 38, 192), encoders=ALL_OF_SD3),
    Case("SD3.5 large", "networks.lora_sd3", sd3("5-large", 38, 192), T5_TOO, ALL_OF_SD3),
    Case("Lumina-Image 2", "networks.lora_lumina", lumina, encoders=("Gemma 2 2B",)),
    Case("HunyuanImage 2.1", "networks.lora_hunyuan_image", hunyuan_image),
    Case("Anima", "networks.lora_anima", anima, encoders=("Qwen3 0.6B",)),
    Case("Anima", "networks.lora_anima", anima, {"train_llm_adapter": "True"}, ("Qwen3 0.6B",)),
)

FLUX_ENCODERS = ("CLIP-L", "T5-XXL")
BLUEPRINTS: dict[str, tuple[str, tuple[Case, ...]]] = {
    "sd15": (
        "SD 1.5",
        (Case("", "networks.lora", sd15, {}, ("CLIP-L",), SD_TOO), Case("", "networks.oft", sd15)),
    ),
    "sd21": (
        "SD 2.1",
        (Case("", "networks.lora", sd21, {}, ("OpenCLIP-H",), SD_TOO), Case("", "networks.oft", sd21)),
    ),
    "sdxl": (
        "SDXL",
        (Case("", "networks.lora", sdxl, {}, ("CLIP-L", "CLIP-G"), SD_TOO), Case("", "networks.oft", sdxl)),
    ),
    "flux-dev": (
        "FLUX.1 dev",
        (
            Case("", "networks.lora_flux", flux("dev"), {}, FLUX_ENCODERS),
            Case("", "networks.oft_flux", flux("dev"), {}, FLUX_ENCODERS),
        ),
    ),
    "flux-schnell": (
        "FLUX.1 schnell",
        (
            Case("", "networks.lora_flux", flux("schnell"), {}, FLUX_ENCODERS),
            Case("", "networks.oft_flux", flux("schnell"), {}, FLUX_ENCODERS),
        ),
    ),
    "chroma": ("Chroma", (Case("", "networks.lora_flux", chroma, {}, ("", "T5-XXL")),)),
    "sd3-medium": ("SD3 medium", (Case("", "networks.lora_sd3", sd3("medium", 24, 192), {}, ALL_OF_SD3),)),
    "sd35-medium": (
        "SD3.5 medium",
        (Case("", "networks.lora_sd3", sd3("5-medium", 24, 384, range(13)), {}, ALL_OF_SD3),),
    ),
    "sd35-large": ("SD3.5 large", (Case("", "networks.lora_sd3", sd3("5-large", 38, 192), {}, ALL_OF_SD3),)),
    "lumina2": ("Lumina-Image 2", (Case("", "networks.lora_lumina", lumina, {}, ("Gemma 2 2B",)),)),
    "hunyuan-image": ("HunyuanImage 2.1", (Case("", "networks.lora_hunyuan_image", hunyuan_image),)),
    "anima": ("Anima", (Case("", "networks.lora_anima", anima, {}, ("Qwen3 0.6B",)),)),
}
"""Name of a model in lr-grid -> its title and the network modules that adapt it."""


def make_network(module: str, unet: nn.Module, encoders: Any, args: Mapping[str, str]) -> nn.Module:
    # made anew each time: a network with conv_dim leaves its targets in the class for all that follow
    network: nn.Module = reload(import_module(module)).create_network(
        1.0, 4, 1, None, encoders, unet, neuron_dropout=None, **args
    )
    return network


if __name__ == "__main__":
    sys.path.append(sys.argv[1])
    inventory.prepare()
    inventory.main(CASES, make_network)
