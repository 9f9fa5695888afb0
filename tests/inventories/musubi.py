"""Every model musubi-tuner trains, on torch's meta device, with its own network modules: printed as JSON.

Runs in the trainer's venv, with lr-grid importable: python musubi.py MUSUBI_TUNER_FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from typing import Any
from unittest import mock

import inventory
import torch
from inventory import Case, Models
from torch import nn

READS_WEIGHTS = "load_safetensors_with_lora_and_fp8"


def of(path: str, *args: Any, **kwargs: Any) -> Callable[[], Models]:
    """A model that one call builds: ``of("package.module:callable", ...)``."""

    def build() -> Models:
        module, _, name = path.partition(":")
        return getattr(import_module(f"musubi_tuner.{module}"), name)(*args, **kwargs), None

    return build


def kontext() -> Models:
    models = import_module("musubi_tuner.flux.flux_models")
    return models.Flux(models.configs_flux_dev_context.params), None


def flux2(version: str) -> Callable[[], Models]:
    def build() -> Models:
        info = import_module("musubi_tuner.flux_2.flux2_utils").FLUX2_MODEL_INFO[version]
        return import_module("musubi_tuner.flux_2.flux2_models").Flux2(info.params), None

    return build


def hunyuan_video() -> Models:
    on_meta = {"device": "meta", "dtype": torch.bfloat16, "attn_mode": "torch", "split_attn": False}
    return import_module("musubi_tuner.hunyuan_model.models").load_dit_model(4096, 768, 16, 16, on_meta), None


def framepack() -> Models:
    """The configuration stands in the middle of the trainer's loader: take the model before weights are read."""
    loader = import_module("musubi_tuner.frame_pack.hunyuan_video_packed").load_packed_model
    return inventory.built_by(loader, READS_WEIGHTS, "cpu", "", "torch", "cpu"), None


def wan(task: str) -> Callable[[], Models]:
    def build() -> Models:
        config = import_module("musubi_tuner.wan.configs").WAN_CONFIGS[task]
        loader = import_module("musubi_tuner.wan.modules.model").load_wan_model
        return inventory.built_by(loader, READS_WEIGHTS, config, "cpu", "", "torch", False, "cpu", None, True), None

    return build


def kandinsky5(task: str) -> Callable[[], Models]:
    def build() -> Models:
        params = import_module("musubi_tuner.kandinsky5.configs").TASK_CONFIGS[task].dit_params
        return import_module("musubi_tuner.kandinsky5.models.dit").get_dit(asdict(params)), None

    return build


def krea2() -> Models:
    config = import_module("musubi_tuner.krea2.krea2_utils").single_mmdit_large_wide
    return import_module("musubi_tuner.krea2.krea2_mmdit").SingleStreamDiT(config), None


def hidream_o1(task: str) -> Callable[[], Models]:
    """The repository has no configuration: the sizes are those of Qwen3-VL-8B, which the model derives from."""

    def build() -> Models:
        from transformers import Qwen3VLConfig

        text = {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "vocab_size": 151936}
        text |= {"num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128}
        vision = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "out_hidden_size": 4096}
        vision |= {"deepstack_visual_indexes": [8, 16, 24]}
        rope = {"rope_type": "default", "mrope_section": [24, 20, 20], "mrope_interleaved": True}
        config = Qwen3VLConfig(text_config={**text, "rope_scaling": rope}, vision_config=vision)
        models = import_module("musubi_tuner.hidream_o1.qwen3_vl_transformers")
        model = models.Qwen3VLForConditionalGeneration(config)
        model.hidream_o1_task = task
        return model, None

    return build


def ideogram4() -> Models:
    models = import_module("musubi_tuner.ideogram4.ideogram4_model")
    return models.Ideogram4Transformer(models.Ideogram4Config()), None


hv15 = of("hunyuan_video_1_5.hunyuan_video_1_5_models:create_model", "t2v", "torch", False, None)
qwen_image = of("qwen_image.qwen_image_model:create_model", "torch", False, False, False, False, None)
zimage = of("zimage.zimage_model:create_model", "torch", False, None)

ANY = ("networks.loha", "networks.lokr")  # they know these models by themselves, others not

CASES: tuple[Case, ...] = (
    Case("FLUX.1 Kontext", "networks.lora_flux", kontext, also=ANY),
    Case("FLUX.2 dev", "networks.lora_flux_2", flux2("dev"), also=ANY),
    Case("FLUX.2 Klein 9B", "networks.lora_flux_2", flux2("klein-9b"), also=ANY),
    Case("FLUX.2 Klein 4B", "networks.lora_flux_2", flux2("klein-4b"), also=ANY),
    Case("HunyuanVideo", "networks.lora", hunyuan_video, also=ANY),
    Case("HunyuanVideo 1.5", "networks.lora_hv_1_5", hv15, also=ANY),
    Case("FramePack", "networks.lora_framepack", framepack, also=ANY),
    Case("Wan 2.1 T2V 1.3B", "networks.lora_wan", wan("t2v-1.3B"), also=ANY),
    Case("Wan 2.1 T2V 14B", "networks.lora_wan", wan("t2v-14B"), also=ANY),
    Case("Wan 2.1 I2V 14B", "networks.lora_wan", wan("i2v-14B"), also=ANY),
    Case("Wan 2.1 FLF2V 14B", "networks.lora_wan", wan("flf2v-14B"), also=ANY),
    Case("Wan 2.2 T2V A14B", "networks.lora_wan", wan("t2v-A14B"), also=ANY),
    Case("Wan 2.2 I2V A14B", "networks.lora_wan", wan("i2v-A14B"), also=ANY),
    Case("Qwen-Image", "networks.lora_qwen_image", qwen_image, also=ANY),
    Case("Z-Image", "networks.lora_zimage", zimage, also=ANY),
    Case("Z-Image", "networks.lora_zimage", zimage, {"include_patterns": "['.*(_modulation|_refiner).*']"}),
    Case("Kandinsky 5 Lite video", "networks.lora_kandinsky", kandinsky5("k5-lite-t2v-5s-sd")),
    Case("Kandinsky 5 Lite image", "networks.lora_kandinsky", kandinsky5("k5-lite-t2i-hd")),
    Case("Kandinsky 5 Pro video", "networks.lora_kandinsky", kandinsky5("k5-pro-t2v-5s-sd")),
    Case("Krea 2", "networks.lora_krea2", krea2),
    Case("HiDream-O1 (t2i)", "networks.lora_hidream_o1", hidream_o1("t2i")),
    Case("HiDream-O1 (i2i)", "networks.lora_hidream_o1", hidream_o1("i2i")),
    Case("HiDream-O1 (i2i)", "networks.lora_hidream_o1", hidream_o1("i2i"), {"conv_dim": "4"}),
    Case("Ideogram 4", "networks.lora_ideogram4", ideogram4),
)

NAMES = {
    "flux-kontext": "FLUX.1 Kontext",
    "flux2-dev": "FLUX.2 dev",
    "flux2-klein-9b": "FLUX.2 Klein 9B",
    "flux2-klein-4b": "FLUX.2 Klein 4B",
    "hunyuan-video": "HunyuanVideo",
    "hunyuan-video-1.5": "HunyuanVideo 1.5",
    "framepack": "FramePack",
    "wan-1.3b": "Wan 2.1 T2V 1.3B",
    "wan-14b": "Wan 2.1 T2V 14B",
    "wan-i2v-14b": "Wan 2.1 I2V 14B",
    "wan-flf2v-14b": "Wan 2.1 FLF2V 14B",
    "wan22-t2v-14b": "Wan 2.2 T2V A14B",
    "wan22-i2v-14b": "Wan 2.2 I2V A14B",
    "qwen-image": "Qwen-Image",
    "z-image": "Z-Image",
    "kandinsky5-lite-video": "Kandinsky 5 Lite video",
    "kandinsky5-lite-image": "Kandinsky 5 Lite image",
    "kandinsky5-pro-video": "Kandinsky 5 Pro video",
    "krea2": "Krea 2",
    "hidream-o1": "HiDream-O1 (t2i)",
    "hidream-o1-i2i": "HiDream-O1 (i2i)",
    "ideogram4": "Ideogram 4",
}
BLUEPRINTS: dict[str, tuple[str, tuple[Case, ...]]] = {
    name: (title, (next(case for case in CASES if case.size == title and not case.args),))
    for name, title in NAMES.items()
}
"""Name of a model in lr-grid -> its title and the network modules that adapt it."""


def make_network(module: str, unet: nn.Module, encoders: Any, args: Mapping[str, str]) -> nn.Module:
    create = import_module(f"musubi_tuner.{module}").create_arch_network
    network: nn.Module = create(1.0, 4, 1, None, encoders, unet, neuron_dropout=None, **args)
    return network


if __name__ == "__main__":
    sys.path.append(f"{sys.argv[1]}/src")
    inventory.prepare()
    # a default argument of the trainer's asks for the current GPU at import, and here may be none
    with mock.patch.object(torch.cuda, "current_device", return_value=0):
        import_module("musubi_tuner.wan.modules.t5")
    inventory.main(CASES, make_network)
