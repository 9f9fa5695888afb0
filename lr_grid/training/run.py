"""What a training config says to the plan: which model it trains, at which LRs and rank."""

from __future__ import annotations

import re
from typing import Any

from lr_grid.own_optimizers import takes_scales
from lr_grid.plan import TrainerLrs
from lr_grid.preview import Run
from lr_grid.training.config import TrainingConfig

_BY_SCRIPT = {
    "sdxl_train_network.py": "sdxl",
    "lumina_train_network.py": "lumina2",
    "hunyuan_image_train_network.py": "hunyuan-image",
    "anima_train_network.py": "anima",
    "flux_kontext_train_network.py": "flux-kontext",
    "hv_train_network.py": "hunyuan-video",
    "hv_1_5_train_network.py": "hunyuan-video-1.5",
    "fpack_train_network.py": "framepack",
    "qwen_image_train_network.py": "qwen-image",
    "zimage_train_network.py": "z-image",
    "krea2_train_network.py": "krea2",
    "ideogram4_train_network.py": "ideogram4",
}
_WAN = {
    "t2v-1.3B": "wan-1.3b",
    "t2v-14B": "wan-14b",
    "t2i-14B": "wan-14b",
    "i2v-14B": "wan-i2v-14b",
    "flf2v-14B": "wan-flf2v-14b",
    "t2v-A14B": "wan22-t2v-14b",
    "i2v-A14B": "wan22-i2v-14b",
}
_FLUX2 = {"dev": "flux2-dev", "klein-9b": "flux2-klein-9b", "klein-base-9b": "flux2-klein-9b"}
_FLUX2 |= {"klein-4b": "flux2-klein-4b", "klein-base-4b": "flux2-klein-4b"}


def model_of(config: TrainingConfig) -> str | None:
    """The catalogue's name of the model; None where script, arguments and file names do not tell."""
    values = config.defaults()
    by_script = _BY_SCRIPT.get(config.script or "")
    if by_script == "qwen-image" and values.get("num_layers"):  # a cut-down model of the user's own
        return None
    if by_script:
        return by_script
    tell = _TELLING.get(config.script or "")
    return tell(values) if tell else None


def _sd(values: dict[str, Any]) -> str:
    return "sd21" if values.get("v2") else "sd15"


def _flux(values: dict[str, Any]) -> str:
    if values.get("model_type") == "chroma":
        return "chroma"
    return "flux-schnell" if "schnell" in _file(values, "pretrained_model_name_or_path") else "flux-dev"


def _sd3(values: dict[str, Any]) -> str | None:
    name = re.sub(r"[^a-z0-9]", "", _file(values, "pretrained_model_name_or_path"))
    if "sd35" in name or "diffusion35" in name:
        return "sd35-medium" if "medium" in name else "sd35-large" if "large" in name else None
    return "sd3-medium" if "sd3" in name and "medium" in name else None


def _kandinsky(values: dict[str, Any]) -> str | None:
    task = str(values.get("task") or "")
    if "pro" in task:
        return "kandinsky5-pro-video" if "2v" in task else None
    if "lite" not in task:
        return None
    return "kandinsky5-lite-video" if "2v" in task else "kandinsky5-lite-image" if "2i" in task else None


def _file(values: dict[str, Any], dest: str) -> str:
    return re.split(r"[/\\]", str(values.get(dest) or ""))[-1].lower()


_TELLING: dict[str, Any] = {
    "train_network.py": _sd,
    "flux_train_network.py": _flux,
    "sd3_train_network.py": _sd3,
    "wan_train_network.py": lambda values: _WAN.get(str(values.get("task"))),
    "flux_2_train_network.py": lambda values: _FLUX2.get(str(values.get("model_version"))),
    "kandinsky5_train_network.py": _kandinsky,
    "hidream_o1_train_network.py": lambda values: "hidream-o1-i2i" if values.get("task") == "i2i" else "hidream-o1",
}


def trainer_lrs(config: TrainingConfig) -> TrainerLrs:
    """The LRs of the config (absolute), the parser's default where none is given."""
    values = config.defaults()
    default, unet, encoders = values["learning_rate"], values.get("unet_lr"), values.get("text_encoder_lr")
    several = encoders if isinstance(encoders, list) else [] if encoders is None else [encoders]
    return TrainerLrs(float(default), None if unet is None else float(unet), tuple(float(lr) for lr in several))


def run_of(config: TrainingConfig) -> Run:
    """What of the config bears on the plan."""
    values = config.defaults()
    unet_only = config.trainer != "sd-scripts" or bool(values.get("network_train_unet_only"))
    half = values.get("full_fp16") or values.get("full_bf16")
    return Run(
        trainer_lrs(config),
        str(values.get("network_module") or ""),
        values.get("network_dim"),
        values.get("network_alpha"),
        trains_unet=not values.get("network_train_text_encoder_only"),
        trains_text_encoders=not unet_only,
        element_size=2 if half else 4,
        folded=takes_scales(values.get("optimizer_type")),
    )
