"""Kohya's families as the trainers have them: real model classes and network modules on torch's meta device."""

from __future__ import annotations

import os
from typing import Any

import pytest
from inventories import kohya_page
from inventories.running import run_inventory

pytestmark = pytest.mark.trainer

# (size, arguments) -> how many modules of the U-Net or DiT the trainer's network module takes
SD_SCRIPTS = {
    ("SD 1.5", ""): 192,
    ("SD 1.5", "conv_dim"): 278,
    ("SDXL", ""): 722,
    ("SDXL", "conv_dim"): 788,
    ("FLUX.1 dev", ""): 304,
    ("FLUX.1 dev", "train_t5xxl"): 304,
    ("FLUX.1 schnell", ""): 304,
    ("Chroma", ""): 228,
    ("SD3 medium", ""): 237,
    ("SD3.5 medium", ""): 263,
    ("SD3.5 large", ""): 377,
    ("SD3.5 large", "train_t5xxl"): 377,
    ("Lumina-Image 2", ""): 180,
    ("HunyuanImage 2.1", ""): 320,
    ("Anima", ""): 280,
    ("Anima", "train_llm_adapter"): 340,
}
OFT = {
    ("SD 1.5", "networks.oft", ""): 128,
    ("SD 1.5", "networks.oft", "enable_all_linear"): 192,
    ("SDXL", "networks.oft", ""): 560,
    ("SDXL", "networks.oft", "enable_all_linear"): 722,
    ("FLUX.1 dev", "networks.oft_flux", ""): 76,
    ("FLUX.1 dev", "networks.oft_flux", "enable_all_linear"): 304,
}
MUSUBI = {
    ("FLUX.1 Kontext", ""): 228,
    ("FLUX.2 dev", ""): 160,
    ("FLUX.2 Klein 9B", ""): 112,
    ("FLUX.2 Klein 4B", ""): 80,
    ("HunyuanVideo", ""): 240,
    ("HunyuanVideo 1.5", ""): 756,
    ("FramePack", ""): 440,
    ("Wan 2.1 T2V 1.3B", ""): 300,
    ("Wan 2.1 T2V 14B", ""): 400,
    ("Wan 2.1 I2V 14B", ""): 480,
    ("Wan 2.1 FLF2V 14B", ""): 480,
    ("Wan 2.2 T2V A14B", ""): 400,
    ("Wan 2.2 I2V A14B", ""): 400,
    ("Qwen-Image", ""): 840,
    ("Z-Image", ""): 210,
    ("Z-Image", "include_patterns"): 270,
    ("Kandinsky 5 Lite video", ""): 332,
    ("Kandinsky 5 Lite image", ""): 512,
    ("Kandinsky 5 Pro video", ""): 624,
    ("Krea 2", ""): 264,
    ("HiDream-O1 (t2i)", ""): 255,
    ("HiDream-O1 (i2i)", ""): 371,
    ("HiDream-O1 (i2i)", "conv_dim"): 372,
    ("Ideogram 4", ""): 170,
}
ENCODERS = {"CLIP-L": 72, "CLIP-G": 192, "T5-XXL": 168, "Gemma 2 2B": 182, "Qwen3 0.6B": 196}

STACKS = {
    "SD 1.5": {"unet": 25},
    "SDXL": {"unet": 23},
    "FLUX.1 dev": {"double": 19, "single": 38},
    "FLUX.1 schnell": {"double": 19, "single": 38},
    "Chroma": {"double": 19, "single": 38},
    "SD3 medium": {"joint": 24},
    "SD3.5 medium": {"joint": 24},
    "SD3.5 large": {"joint": 38},
    "Lumina-Image 2": {"context_refiner": 2, "noise_refiner": 2, "layers": 26},
    "HunyuanImage 2.1": {"refiner": 2, "double": 20, "single": 40},
    "Anima": {"llm_adapter": 6, "blocks": 28},
    "FLUX.1 Kontext": {"double": 19, "single": 38},
    "FLUX.2 dev": {"double": 8, "single": 48},
    "FLUX.2 Klein 9B": {"double": 8, "single": 24},
    "FLUX.2 Klein 4B": {"double": 5, "single": 20},
    "HunyuanVideo": {"refiner": 2, "double": 20, "single": 40},
    "HunyuanVideo 1.5": {"refiner": 2, "double": 54},
    "FramePack": {"refiner": 2, "double": 20, "single": 40},
    "Wan 2.1 T2V 1.3B": {"blocks": 30},
    "Wan 2.1 T2V 14B": {"blocks": 40},
    "Wan 2.1 I2V 14B": {"blocks": 40},
    "Wan 2.1 FLF2V 14B": {"blocks": 40},
    "Wan 2.2 T2V A14B": {"blocks": 40},
    "Wan 2.2 I2V A14B": {"blocks": 40},
    "Qwen-Image": {"blocks": 60},
    "Z-Image": {"noise_refiner": 2, "context_refiner": 2, "layers": 30},
    "Kandinsky 5 Lite video": {"text": 2, "visual": 32},
    "Kandinsky 5 Lite image": {"text": 2, "visual": 50},
    "Kandinsky 5 Pro video": {"text": 4, "visual": 60},
    "Krea 2": {"txtfusion_layerwise": 2, "txtfusion_refiner": 2, "blocks": 28},
    "HiDream-O1 (t2i)": {"visual": 27, "layers": 36},
    "HiDream-O1 (i2i)": {"visual": 27, "layers": 36},
    "Ideogram 4": {"layers": 34},
}

Results = list[dict[str, Any]]


@pytest.fixture(scope="module")
def of_sd_scripts(sd_scripts: Any) -> Results:
    return run_inventory("sd_scripts.py", sd_scripts)


@pytest.fixture(scope="module")
def of_musubi(musubi: Any) -> Results:
    return run_inventory("musubi.py", musubi)


def assert_read_as_decided(results: Results, expected: dict[tuple[str, str], int]) -> None:
    assert {(r["size"], ",".join(r["args"])): r["model"]["count"] for r in results} == expected
    assert {r["size"]: list(r["model"]["stacks"].items()) for r in results} == {
        size: list(STACKS[size].items()) for size, _ in expected
    }
    for result in results:
        assert result["notices"] == []
        assert all(result["also"].values()), f"{result['size']}: not the same modules: {result['also']}"
        for part in (result["model"], *result["encoders"].values()):
            assert part["unmatched"] == [], f"{result['size']}: no rule knows these"
            in_blocks = [components for stack, components in part["anatomy"].items() if stack]
            if "unet" not in part["stacks"]:  # a U-Net's blocks hold convolutions that have no component of their own
                assert all("other" not in components for components in in_blocks), result["size"]


def test_every_module_of_every_model_in_sd_scripts_has_its_place(of_sd_scripts: Results) -> None:
    oft = [result for result in of_sd_scripts if ".oft" in result["module"]]
    assert_read_as_decided([result for result in of_sd_scripts if result not in oft], SD_SCRIPTS)
    assert {(r["size"], r["module"], ",".join(r["args"])): r["model"]["count"] for r in oft} == OFT
    assert all(result["notices"] == [] for result in oft)


def test_every_module_of_every_model_in_musubi_tuner_has_its_place(of_musubi: Results) -> None:
    assert_read_as_decided(of_musubi, MUSUBI)


def test_text_encoders_are_one_stack_of_layers(of_sd_scripts: Results) -> None:
    found = {name: part for result in of_sd_scripts for name, part in result["encoders"].items()}
    assert {name: part["count"] for name, part in found.items()} == ENCODERS
    assert {tuple(part["stacks"]) for part in found.values()} == {("layers",)}


def test_the_page_shows_what_the_trainers_have(of_sd_scripts: Results, of_musubi: Results) -> None:
    text = kohya_page.page({"sd-scripts": of_sd_scripts, "musubi-tuner": of_musubi})
    if os.environ.get("LR_GRID_WRITE_PAGES"):
        kohya_page.PAGE.write_text(text, encoding="utf-8")
    assert kohya_page.PAGE.read_text(encoding="utf-8") == text, "LR_GRID_WRITE_PAGES=1 writes the page anew"
