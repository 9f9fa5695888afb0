"""What is special about sd-scripts' network modules beside LoRA, in the real scripts: DyLoRA, LoRA-FA, OFT, LyCORIS."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from trainers.every import chosen

pytestmark = pytest.mark.trainer

ROOT = Path(__file__).parent.parent

UNET_ONLY = "--network_train_unet_only"


def network_modules(folder: Path, function: str) -> set[str]:
    """The trainer's files that make networks to train."""
    return {file.stem for file in folder.glob("*.py") if f"\ndef {function}(" in file.read_text(encoding="utf-8")}


def test_every_network_module_of_sd_scripts_has_a_grid(sd_scripts):
    found = network_modules(sd_scripts.folder / "networks", "create_network")
    assert len(found) == 10
    assert {f"{name}_grid" for name in found} | {"lycoris_grid"} == {file.stem for file in ROOT.glob("networks/*.py")}


def test_every_network_module_of_musubi_tuner_has_a_grid(musubi):
    found = network_modules(musubi.folder / "src" / "musubi_tuner" / "networks", "create_arch_network")
    assert len(found) == 14
    ours = {file.stem for file in ROOT.glob("lr_grid/musubi/*_grid.py")}
    assert {f"{name}_grid" for name in found} | {"lycoris_grid"} == ours


@pytest.fixture
def sd15(sd_scripts, tmp_path):
    def run(name, module, *network_args, extra=(), steps=2, **options):
        return sd_scripts.run(
            options.pop("script", "train_network.py"),
            options.pop("model", "sd15"),
            workdir=tmp_path,
            name=name,
            network_module=f"networks.{module}_grid",
            network_args=network_args,
            extra=[UNET_ONLY, *extra],
            steps=steps,
            **options,
        )

    return run


_FROZEN = [("dylora", 2), ("lora_fa", 2), ("oft", 1e-3)]


@pytest.mark.parametrize(("module", "alpha"), chosen(_FROZEN, lambda case: case[0] == "dylora"))
def test_trained_weights_of_frozen_modules_are_kept_without_a_gradient(sd15, module, alpha):
    first = sd15("first", module, "self_attn_lr=2x", network_alpha=alpha, learning_rate=0.02).expect_success()
    weights = [f"--network_weights={first.lora_path}"]
    second = sd15("second", module, "self_attn_lr=0", network_alpha=alpha, extra=weights, steps=3).expect_success()
    before, after = first.lora(), second.lora()
    assert before.keys() == after.keys()
    moved = {key for key in after if not torch.equal(before[key], after[key])}
    assert not any("attn1" in key for key in moved)
    assert any("attn2" in key for key in moved)
    assert any(before[key].abs().max() > 0 for key in before if "attn1" in key and "alpha" not in key)
    for clip in second.probe()["clips"]:
        assert (clip["outside_norm"], clip["outside_with_grad"]) == (0, 0)


def test_lora_fa_trains_the_up_side_alone(sd15):
    one = sd15("one", "lora_fa", "ffn_lr=3x", steps=1).expect_success()
    three = sd15("three", "lora_fa", "ffn_lr=3x", steps=3).expect_success()
    a, b = one.lora(), three.lora()
    moved = {key.rpartition(".")[0].rpartition(".")[2] for key in a if not torch.equal(a[key], b[key])}
    assert moved == {"lora_up"}
    assert "trains the up side of each pair only" in one.text


def test_ranks_from_weights_keep_the_grid_in_oft(sd15):
    first = sd15("first", "oft", "self_attn_lr=2x", network_alpha=1e-3).expect_success()
    extra = [f"--network_weights={first.lora_path}", "--dim_from_weights"]
    second = sd15("second", "oft", "self_attn_lr=2x", network_alpha=1e-3, extra=extra).expect_success()
    assert first.learning_rates() == second.learning_rates()


def test_lycoris_without_a_grid_argument_is_upstreams(sd_scripts, tmp_path):
    args = ["algo=lokr", "preset=attn-mlp", "factor=4", "dora_wd=True", "train_norm=True"]
    saved = [
        sd_scripts.run(
            "train_network.py", "sd15", workdir=tmp_path, name=name, network_module=module, network_args=args, steps=3
        )
        .expect_success()
        .lora()
        for name, module in (("upstream", "lycoris.kohya"), ("grid", "networks.lycoris_grid"))
    ]
    assert saved[0].keys() == saved[1].keys()
    assert all(torch.equal(saved[0][key], saved[1][key]) for key in saved[0])


@pytest.mark.parametrize(
    ("module", "network_args", "said"),
    [
        (
            "oft",
            ["enable_all_linear=False", "self_attn_lr=2x"],
            "enable_all_linear: networks.oft takes every text for true",
        ),
        ("oft", ["loraplus_lr_ratio=4"], "no module of this network has an up side"),
        ("oft", ["te_ffn_lr=2x"], "te_ffn_lr: this network has no module of a text encoder"),
        ("oft", ["ffn_lr=2x"], "ffn_lr: this network has no ffn module in sd; it has self_attn"),
        (
            "dylora",
            ["unit=3", "ffn_lr=2x"],
            "networks.dylora refuses its arguments: AssertionError: rank must be a multiple",
        ),
        ("lora_fa", ["te_ffn_lr=2x"], "te_ffn_lr: te1 is not trained in this run"),
    ],
)
def test_bad_input_is_told(sd15, module, network_args, said):
    result = sd15("bad", module, *network_args, probe=False)
    assert result.returncode != 0
    assert said in result.text


def test_dylora_of_two_text_encoders_is_refused(sd_scripts, tmp_path):
    result = sd_scripts.run(
        "sdxl_train_network.py",
        "sdxl",
        workdir=tmp_path,
        network_module="networks.dylora_grid",
        network_args=["ffn_lr=2x"],
        steps=1,
        probe=False,
    )
    assert result.returncode != 0
    assert "networks.dylora gives the modules of all text encoders the same names" in result.text
