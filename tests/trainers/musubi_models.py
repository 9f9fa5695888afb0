"""The tiny models by name: which options a user gives musubi-tuner for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Model:
    family: str  # the sizes to shrink to: the name of an architecture, or of one with blocks as many as published
    options: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return Path(self.family.partition("_")[0])

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.family}.safetensors"


OPTIONS: dict[str, tuple[str, ...]] = {
    "wan": ("--task=t2v-1.3B",),
    "wan_30": ("--task=t2v-1.3B",),
    "flux2": ("--model_version=klein-base-4b",),
    "flux2_5_20": ("--model_version=klein-base-4b",),
    "qwen": (),
    "qwen_60": (),
    "zimage": (),
    "zimage_30": (),
    "hv": ("--guidance_scale=1.0",),
    "hv_20_40": ("--guidance_scale=1.0",),
    "hv15": ("--task=t2v", "--dit_dtype=float32"),
    "kontext": (),
    "krea2": (),
    "hidream": (),
    "fpack": ("--split_attn",),  # without it, its attention takes no batch on a CPU
}
MODELS: dict[str, Model] = {family: Model(family, options) for family, options in OPTIONS.items()}
