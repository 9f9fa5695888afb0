"""Presets in the real scripts: style by the formula, small_file on networks whose components differ."""

from __future__ import annotations

import json

import pytest
from oracle import inverted_u, sd15_place
from trainers.every import chosen

pytestmark = pytest.mark.trainer

BASE = 1e-3
STYLE = {"self_attn": 5e-4 / 4e-4, "cross_attn": 2e-4 / 4e-4, "ffn": 3e-4 / 4e-4}
"""The published LRs over the page's learning_rate; what has none takes the published default_lr, 3e-4."""


def style_lr(name: str) -> float:
    block, component = sd15_place(name)
    if component == "other":
        return BASE * 3e-4 / 4e-4
    return BASE * STYLE.get(component, 3e-4 / 4e-4) * inverted_u(block, 25, 0.3, 0.5)


def test_style_trains_sd15_at_its_published_shape(sd_scripts, tmp_path):
    result = sd_scripts.run(
        "train_network.py",
        "sd15",
        workdir=tmp_path,
        network_module="networks.lora_grid",
        network_args=["preset=style", "conv_dim=4", "conv_alpha=1"],
        learning_rate=BASE,
        extra=["--network_train_unet_only"],
        steps=2,
    ).expect_success()
    initial = result.initial_rates()
    assert {name: lr for name, lr in initial.items() if lr != pytest.approx(style_lr(name), rel=1e-6)} == {}
    assert len({sd15_place(name)[1] for name in initial}) == 5
    assert "preset=style strategy=inverted_u" in result.text
    assert "preset style: a recipe, not a measurement" in result.text
    plan = json.loads((result.folder / f"{result.name}.lr_grid.json").read_text())
    assert plan["settings"]["preset"] == plan["arguments"]["preset"] == "style"
    assert json.loads(result.metadata()["ss_network_args"])["preset"] == "style"


SD_SCRIPTS = {
    "sdxl": ("sdxl_train_network.py", "networks.lora_grid"),
    "flux": ("flux_train_network.py", "networks.lora_flux_grid"),
    "sd3": ("sd3_train_network.py", "networks.lora_sd3_grid"),
}
MUSUBI = {
    "wan": ("wan_train_network.py", "lora_wan"),
    "wan_lokr": ("wan_train_network.py", "lokr"),
    "zimage": ("zimage_train_network.py", "lora_zimage"),
}


def check_small_file(result):
    """Rank and alpha 4 in every module of the U-Net or DiT that trains; attention and feed-forward only."""
    plan = json.loads((result.folder / f"{result.name}.lr_grid.json").read_text())
    trained = [m for m in plan["modules"] if m["part"] == "unet" and not m["frozen"]]
    assert {m["component"] for m in trained} <= {"self_attn", "cross_attn", "ffn", "fused"}
    assert {(m["rank"], m["alpha"]) for m in trained} == {(4, 4.0)}
    held = {key.partition(".")[0] for key in result.lora() if not key.startswith("lora_te")}
    assert held == {m["name"] for m in trained}


@pytest.mark.parametrize("model", chosen(SD_SCRIPTS, always="flux".__eq__))
def test_small_file_in_sd_scripts(sd_scripts, tmp_path, model):
    script, module = SD_SCRIPTS[model]
    result = sd_scripts.run(
        script, model, workdir=tmp_path, network_module=module, network_args=["preset=small_file"], steps=1
    )
    check_small_file(result.expect_success())


@pytest.mark.parametrize("model", chosen(MUSUBI, always="wan_lokr".__eq__))
def test_small_file_in_musubi_tuner(musubi, tmp_path, model):
    script, module = MUSUBI[model]
    result = musubi.run(
        script,
        model.partition("_")[0],
        workdir=tmp_path,
        network_module=f"lr_grid.musubi.{module}_grid",
        network_args=["preset=small_file"],
        steps=1,
    )
    check_small_file(result.expect_success())
