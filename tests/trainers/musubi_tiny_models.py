"""Makes the tiny random models that musubi-tuner loads. Runs in the trainer's venv, through make_tiny_musubi.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import musubi_shrink
import torch
from safetensors.torch import save_file

STD = 0.05
FP32 = ("wan", "hv15")  # a CPU has no autocast to float32, in which these compute


def wan() -> Any:
    from musubi_tuner.wan.configs import WAN_CONFIGS
    from musubi_tuner.wan.modules.model import WanModel

    config = WAN_CONFIGS["t2v-1.3B"]
    names = ("dim", "eps", "ffn_dim", "freq_dim", "in_dim", "num_heads", "num_layers", "out_dim", "text_len")
    sizes = {name: getattr(config, name) for name in names}
    return WanModel(model_type="t2v", model_version="2.1", attn_mode="torch", **sizes)


def flux2() -> Any:
    from musubi_tuner.flux_2.flux2_models import Flux2
    from musubi_tuner.flux_2.flux2_utils import FLUX2_MODEL_INFO

    return Flux2(FLUX2_MODEL_INFO["klein-base-4b"].params, "torch", False)


def kontext() -> Any:
    from musubi_tuner.flux.flux_models import Flux, configs_flux_dev_context

    return Flux(configs_flux_dev_context.params, "torch", False)


def qwen() -> Any:
    from musubi_tuner.qwen_image.qwen_image_model import create_model

    return create_model("torch", False, False, False, False, torch.bfloat16)


def zimage() -> Any:
    from musubi_tuner.zimage.zimage_model import create_model

    return create_model("torch", False, torch.bfloat16)


def hv() -> Any:
    from musubi_tuner.hunyuan_model.models import load_dit_model

    options = {"device": "meta", "dtype": torch.bfloat16, "attn_mode": "torch", "split_attn": False}
    return load_dit_model(4096, 768, 16, 16, options)


def hv15() -> Any:
    from musubi_tuner.hunyuan_video_1_5.hunyuan_video_1_5_models import create_model

    return create_model("t2v", "torch", False, torch.bfloat16)


def krea2() -> Any:
    from musubi_tuner.krea2.krea2_utils import SingleStreamDiT, single_mmdit_large_wide

    return SingleStreamDiT(single_mmdit_large_wide)


def fpack() -> Any:
    from musubi_tuner.frame_pack.hunyuan_video_packed import HunyuanVideoTransformer3DModelPacked

    return HunyuanVideoTransformer3DModelPacked(attn_mode="torch", has_image_proj=True, has_clean_x_embedder=True)


def hidream() -> Any:
    from musubi_tuner.hidream_o1.qwen3_vl_transformers import Qwen3VLForConditionalGeneration
    from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLConfig

    model = Qwen3VLForConditionalGeneration(Qwen3VLConfig.from_pretrained("full"))
    model.lm_head = torch.nn.Identity()  # a checkpoint in one file has none
    return model


BUILDERS: dict[str, Callable[[], Any]] = {
    "wan": wan,
    "flux2": flux2,
    "qwen": qwen,
    "zimage": zimage,
    "hv": hv,
    "hv15": hv15,
    "kontext": kontext,
    "krea2": krea2,
    "fpack": fpack,
    "hidream": hidream,
}


def make_all(output: Path) -> None:
    """One checkpoint per family: shrinking does not overlap between architectures, and is done anew for each depth."""
    for family, shrink in musubi_shrink.FAMILIES.items():
        architecture = family.partition("_")[0]
        shrink()
        torch.manual_seed(0)
        with torch.device("meta"):
            model = BUILDERS[architecture]()
        weights = _random_weights(model, torch.float32 if architecture in FP32 else torch.bfloat16)
        save_file(weights, output / architecture / f"{family}.safetensors")


def _random_weights(model: Any, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Weights for every entry of a model's state dict, of which only names and shapes are read."""
    weights = {}
    for name, entry in model.state_dict().items():
        if name.endswith("scale") or (name.endswith("weight") and "norm" in name and entry.ndim == 1):
            tensor = torch.ones(entry.shape)
        elif name.endswith("bias"):
            tensor = torch.zeros(entry.shape)
        else:
            tensor = torch.randn(entry.shape) * STD
        weights[name] = tensor.to(dtype)
    return weights
