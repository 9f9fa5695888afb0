"""Smoke tests of the harness for musubi-tuner, with upstream's own network modules (lr-grid is tested elsewhere)."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from trainers.musubi import Musubi
from trainers.musubi_models import MODELS

pytestmark = pytest.mark.trainer

# architecture -> its training script and upstream's network module for it
UPSTREAM = {
    "wan": ("wan_train_network.py", "networks.lora_wan"),
    "flux2": ("flux_2_train_network.py", "networks.lora_flux_2"),
    "qwen": ("qwen_image_train_network.py", "networks.lora_qwen_image"),
    "zimage": ("zimage_train_network.py", "networks.lora_zimage"),
    "hv": ("hv_train_network.py", "networks.lora"),
    "hv15": ("hv_1_5_train_network.py", "networks.lora_hv_1_5"),
    "kontext": ("flux_kontext_train_network.py", "networks.lora_flux"),
    "krea2": ("krea2_train_network.py", "networks.lora_krea2"),
    "fpack": ("fpack_train_network.py", "networks.lora_framepack"),
    "hidream": ("hidream_o1_train_network.py", "networks.lora_hidream_o1"),
}
TENSORS = {
    "wan": 2 * 2 * 10,  # two tensors for each linear layer of each block
    "wan_30": 2 * 30 * 10,
    "flux2": 2 * (2 * 8 + 2 * 2),  # two tensors for each layer of the double and the single blocks
    "flux2_5_20": 2 * (5 * 8 + 20 * 2),
    "qwen": 2 * 2 * 14,
    "qwen_60": 2 * 60 * 14,
    "zimage": 2 * 2 * 7,
    "zimage_30": 2 * 30 * 7,
    "hv": 2 * (2 * 8 + 2 * 2),
    "hv_20_40": 2 * (20 * 8 + 40 * 2),
    "hv15": 2 * 2 * 14,
    "kontext": 2 * (2 * 8 + 2 * 2),
    "krea2": 112,  # the whole model, not only its blocks
    "fpack": 2 * (2 * 12 + 2 * 5),
    "hidream": 2 * (3 * 7 + 3),  # and three layers outside the blocks
}


def test_upstream_lora_trains_and_the_probe_sees_it(musubi: Musubi, tmp_path: Path) -> None:
    result = musubi.run(
        "wan_train_network.py",
        "wan",
        workdir=tmp_path,
        network_module="networks.lora_wan",
        network_args=["loraplus_lr_ratio=4"],
        extra=["--save_state"],
        steps=2,
    ).expect_success()

    probe = result.probe()
    names = [name for group in probe["groups"] for name in group["names"]]
    assert len(names) == len(set(names)) == TENSORS["wan"]
    assert probe["optimizer"] == "AdamW"
    assert probe["network"]["class"] == "musubi_tuner.networks.lora.LoRANetwork"
    assert probe["network"]["tensors"] == probe["network"]["trainable"] == TENSORS["wan"]
    assert len(probe["steps"]) == len(probe["clips"]) == 2
    assert sum(group["tensors"] for group in probe["steps"][0]["groups"]) == TENSORS["wan"]

    layer = "lora_unet_blocks_1_self_attn_q"
    lrs = result.learning_rates()
    assert lrs[f"{layer}.lora_down.weight"] == pytest.approx(1e-3)
    assert lrs[f"{layer}.lora_up.weight"] == pytest.approx(4e-3)

    first = probe["clips"][0]
    assert first["total_norm"] == pytest.approx(first["optimizer_norm"], rel=1e-4)
    assert first["total_norm"] > 0
    assert (first["outside_norm"], first["outside_with_grad"]) == (0.0, 0)

    assert result.metadata()["ss_network_module"] == "networks.lora_wan"
    assert f"{layer}.lora_up.weight" in result.header()
    assert (result.state_folder / "optimizer.bin").is_file()


def test_every_tiny_model_is_known() -> None:
    assert TENSORS.keys() == MODELS.keys()


@pytest.mark.parametrize("model", ["qwen_60", "zimage_30", "hv_20_40"])  # those that no other test trains
def test_a_tiny_model_trains(musubi: Musubi, tmp_path: Path, model: str) -> None:
    script, module = UPSTREAM[model.partition("_")[0]]
    result = musubi.run(
        script, model, workdir=tmp_path, network_module=module, network_args=["loraplus_lr_ratio=4"], steps=2
    ).expect_success()
    assert len(result.probe()["steps"]) == 2
    assert result.probe()["network"]["tensors"] == TENSORS[model]
    lrs = result.learning_rates()
    assert len(lrs) == TENSORS[model]
    assert {lr for name, lr in lrs.items() if "lora_down" in name} == {1e-3}
    assert {lr for name, lr in lrs.items() if "lora_up" in name} == {4e-3}


def test_the_probe_sees_gradients_outside_the_optimizer(musubi: Musubi, tmp_path: Path) -> None:
    # upstream leaves what has LR 0 out of the optimizer, but its gradients are still made, and never zeroed
    result = musubi.run(
        "wan_train_network.py",
        "wan",
        workdir=tmp_path,
        network_module="networks.lora_wan",
        network_args=["loraplus_lr_ratio=0"],
        steps=2,
    ).expect_success()
    probe = result.probe()
    first, second = probe["clips"]
    assert second["outside_with_grad"] == TENSORS["wan"] / 2
    assert second["outside_norm"] > first["outside_norm"] > 0
    assert second["total_norm"] == pytest.approx(math.hypot(second["optimizer_norm"], second["outside_norm"]), rel=1e-3)


def test_lycoris_runs_on_a_third_party_optimizer(musubi: Musubi, tmp_path: Path) -> None:
    result = musubi.run(
        "wan_train_network.py",
        "wan",
        workdir=tmp_path,
        network_module="lycoris.kohya",
        network_args=["algo=lokr"],
        extra=["--optimizer_type=schedulefree.AdamWScheduleFree", "--max_grad_norm=0"],
        steps=2,
    ).expect_success()
    assert result.probe()["network"]["class"] == "lycoris.kohya.LycorisNetworkKohya"
    assert len(result.probe()["steps"]) == 2
    assert result.probe()["clips"] == []


def test_a_failing_run_keeps_the_error_text(musubi: Musubi, tmp_path: Path) -> None:
    result = musubi.run(
        "wan_train_network.py",
        "wan",
        workdir=tmp_path,
        network_module="networks.lora_wan",
        network_args=["loraplus_lr_ratio=many"],
        probe=False,
    )
    assert result.returncode != 0
    assert "ValueError: could not convert string to float: 'many'" in result.text
    assert not result.probe_path.exists()


def test_a_training_toml_decides_what_the_call_leaves_open(musubi: Musubi, tmp_path: Path) -> None:
    config = tmp_path / "training.toml"
    config.write_text(
        """
dit = "replaced-by-the-harness"
mixed_precision = "bf16"
[network]
network_module = "networks.lora_wan"
network_dim = 8
network_args = ["loraplus_lr_ratio=2"]
[optimizer]
optimizer_type = "AdamW"
learning_rate = 3e-4
""",
        encoding="utf-8",
    )
    dataset = tmp_path / "dataset.toml"
    dataset.write_text(
        f"""
[general]
resolution = [64, 64]
batch_size = 4
[[datasets]]
image_jsonl_file = '{musubi.items}'
cache_directory = '{musubi.cache_directory("wan")}'
""",
        encoding="utf-8",
    )
    result = musubi.run(
        "wan_train_network.py", "wan", workdir=tmp_path, config_file=config, dataset_config=dataset, steps=1
    ).expect_success()
    assert sorted(set(result.learning_rates().values())) == pytest.approx([3e-4, 6e-4])
    assert result.metadata()["ss_network_dim"] == "8"
    assert "batch size per device / バッチサイズ: 4" in result.text


def test_installing_lr_grid_changes_no_version_of_the_trainer(musubi: Musubi) -> None:
    assert dict(musubi.version_changes) == {}
    assert list(musubi.added_packages) == ["lr-grid"]
