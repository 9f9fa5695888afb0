"""Smoke tests of the trainer harness itself, with upstream's own network modules (lr-grid is tested elsewhere)."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import pytest
from trainers.sd_scripts import SdScripts

pytestmark = pytest.mark.trainer

# the trainer takes the features of these text encoders before their last layer
NEVER_READ = {"sdxl": "lora_te1_text_model_encoder_layers_11_", "lumina": "lora_te_layers_2_"}
SD15_TENSORS = 408  # 192 modules of the U-Net and 12 of a two-layer text encoder, two tensors each


def test_upstream_lora_trains_and_the_probe_sees_it(sd_scripts: SdScripts, tmp_path: Path) -> None:
    result = sd_scripts.run(
        "train_network.py",
        "sd15",
        workdir=tmp_path,
        network_module="networks.lora",
        network_args=["loraplus_lr_ratio=4"],
        unet_lr=1e-3,
        extra=["--text_encoder_lr=5e-4"],
        steps=2,
    ).expect_success()

    probe = result.probe()
    names = [name for group in probe["groups"] for name in group["names"]]
    assert len(names) == len(set(names)) == SD15_TENSORS
    assert probe["optimizer"] == "AdamW"
    assert probe["network"]["class"] == "networks.lora.LoRANetwork"
    assert probe["network"]["tensors"] == probe["network"]["trainable"] == SD15_TENSORS
    assert len(probe["steps"]) == len(probe["clips"]) == 2
    assert sum(group["tensors"] for group in probe["steps"][0]["groups"]) == SD15_TENSORS

    block = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    lrs = result.learning_rates()
    assert lrs[f"{block}.lora_down.weight"] == pytest.approx(1e-3)
    assert lrs[f"{block}.lora_up.weight"] == pytest.approx(4e-3)
    assert lrs["lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"] == pytest.approx(5e-4)

    first = probe["clips"][0]
    assert first["total_norm"] == pytest.approx(first["optimizer_norm"], rel=1e-4)
    assert first["total_norm"] > 0
    assert (first["outside_norm"], first["outside_with_grad"]) == (0.0, 0)

    assert result.metadata()["ss_network_module"] == "networks.lora"
    assert f"{block}.lora_up.weight" in result.header()


def test_the_probe_sees_gradients_outside_the_optimizer(sd_scripts: SdScripts, tmp_path: Path) -> None:
    # upstream leaves what has LR 0 out of the optimizer, but its gradients are still made, and never zeroed
    result = sd_scripts.run(
        "flux_train_network.py",
        "flux",
        workdir=tmp_path,
        network_module="networks.lora_flux",
        network_args=["network_reg_lrs=double_blocks=0"],
        extra=["--network_train_unet_only"],
        steps=2,
    ).expect_success()
    probe = result.probe()
    first, second = probe["clips"]
    assert 0 < second["outside_with_grad"] < probe["network"]["tensors"]
    assert second["outside_norm"] > first["outside_norm"] > 0
    assert second["total_norm"] == pytest.approx(math.hypot(second["optimizer_norm"], second["outside_norm"]), rel=1e-3)


def test_a_run_without_clipping_on_a_third_party_optimizer(sd_scripts: SdScripts, tmp_path: Path) -> None:
    result = sd_scripts.run(
        "train_network.py",
        "sd15",
        workdir=tmp_path,
        network_module="networks.lora",
        extra=["--optimizer_type=AdamWScheduleFree", "--network_train_unet_only", "--max_grad_norm=0"],
        steps=2,
    ).expect_success()
    assert len(result.probe()["steps"]) == 2
    assert result.probe()["clips"] == []


NESTED_STEP = """
import json, sys
sys.path.append(sys.argv[1])
import torch, probe

class Outer(torch.optim.SGD):
    def step(self, closure=None):
        return super().step(closure)

watch = probe.Probe()
probe.register_optimizer_step_pre_hook(watch.before_step)
probe.register_optimizer_step_post_hook(watch.after_step)
weight = torch.nn.Parameter(torch.ones(2))
torch.optim.SGD([weight], lr=0.1)  # from here on torch's hooks are on SGD.step too, so Outer.step fires them twice
outer = Outer([weight], lr=0.1)
weight.grad = torch.ones(2)
outer.step()
outer.step()
print(json.dumps(watch.report))
"""


def test_the_probe_counts_a_nested_step_once(sd_scripts: SdScripts) -> None:
    command = [sd_scripts.python, "-c", NESTED_STEP, Path(__file__).parent / "trainers"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert [step["groups"][0]["lr"] for step in report["steps"]] == [0.1, 0.1]
    assert report["groups"][0]["names"] == ["(not in the network) (2,)"]


def test_a_failing_run_keeps_the_error_text(sd_scripts: SdScripts, tmp_path: Path) -> None:
    result = sd_scripts.run(
        "train_network.py",
        "sd15",
        workdir=tmp_path,
        network_module="networks.lora",
        network_args=["conv_dim=many"],
        probe=False,
    )
    assert result.returncode != 0
    assert "ValueError: invalid literal for int() with base 10: 'many'" in result.text
    assert not result.probe_path.exists()


@pytest.mark.parametrize(
    ("script_model_module", "network_args", "unet_tensors", "text_encoder_tensors"),
    [
        (("sdxl_train_network.py", "sdxl", "networks.lora"), [], 1444, 168),
        (("flux_train_network.py", "flux", "networks.lora_flux"), [], 52, 24),
        (("flux_train_network.py", "flux_19_38", "networks.lora_flux"), [], 608, 24),
        (("flux_train_network.py", "chroma", "networks.lora_flux"), ["train_t5xxl=True"], 40, 28),
        (("sd3_train_network.py", "sd3", "networks.lora_sd3"), ["train_t5xxl=True"], 38, 76),
        (("lumina_train_network.py", "lumina", "networks.lora_lumina"), [], 84, 42),
        # upstream has no text encoder modules for this one, but its encoders run
        (("hunyuan_image_train_network.py", "hunyuan_image", "networks.lora_hunyuan_image"), [], 58, 0),
        (("anima_train_network.py", "anima", "networks.lora_anima"), ["train_llm_adapter=true"], 100, 28),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_other_families_run(
    sd_scripts: SdScripts,
    tmp_path: Path,
    script_model_module: tuple[str, str, str],
    network_args: list[str],
    unet_tensors: int,
    text_encoder_tensors: int,
) -> None:
    script, model, module = script_model_module
    result = sd_scripts.run(
        script,
        model,
        workdir=tmp_path,
        network_module=module,
        network_args=network_args,
        unet_lr=1e-3,
        extra=["--text_encoder_lr=5e-4"],
        steps=2,
    ).expect_success()
    probe = result.probe()
    lrs = result.learning_rates()
    assert [lr for name, lr in lrs.items() if name.startswith("lora_unet")] == [1e-3] * unet_tensors
    assert [lr for name, lr in lrs.items() if name.startswith("lora_te")] == [5e-4] * text_encoder_tensors
    assert len(lrs) == probe["network"]["tensors"] == unet_tensors + text_encoder_tensors
    # a module whose output nothing reads, or a model that is broken, would leave its LoRA as it was
    idle = [name for name, tensor in result.lora().items() if "lora_up" in name and not 0 < tensor.abs().max() < 1]
    assert [name for name in idle if not name.startswith(NEVER_READ.get(model, "(none)"))] == []


@pytest.mark.parametrize(
    ("script_model_module", "network_args", "held", "tensors"),
    [
        # a tensor for each of the four ranks and each side
        (("train_network.py", "sd15", "networks.dylora"), [], 4 * SD15_TENSORS, 4 * SD15_TENSORS),
        # the optimizer gets one side only
        (("train_network.py", "sd15", "networks.lora_fa"), [], SD15_TENSORS // 2, SD15_TENSORS),
        # these two have no modules for text encoders
        (("train_network.py", "sd15", "networks.oft"), [], 128, 128),
        (("train_network.py", "sd15", "networks.oft"), ["enable_all_linear=True", "enable_conv=True"], 277, 277),
        (("flux_train_network.py", "flux", "networks.oft_flux"), [], 16, 16),
        (("flux_train_network.py", "flux", "networks.oft_flux"), ["enable_all_linear=True"], 40, 40),
    ],
    ids=lambda value: value[2] if isinstance(value, tuple) else "",
)
def test_other_network_modules_run(
    sd_scripts: SdScripts,
    tmp_path: Path,
    script_model_module: tuple[str, str, str],
    network_args: list[str],
    held: int,
    tensors: int,
) -> None:
    script, model, module = script_model_module
    result = sd_scripts.run(
        script, model, workdir=tmp_path, network_module=module, network_args=network_args, steps=2
    ).expect_success()
    assert len(result.learning_rates()) == held
    assert result.probe()["network"]["tensors"] == tensors


def test_a_training_toml_decides_what_the_call_leaves_open(sd_scripts: SdScripts, tmp_path: Path) -> None:
    config = tmp_path / "training.toml"
    config.write_text(
        """
pretrained_model_name_or_path = "replaced-by-the-harness"
[network]
network_module = "networks.lora"
network_dim = 8
network_args = ["loraplus_lr_ratio=2"]
network_train_unet_only = true
[optimizer]
optimizer_type = "AdamW"
learning_rate = 3e-4
""",
        encoding="utf-8",
    )
    dataset = tmp_path / "dataset.toml"
    dataset.write_text(
        f"""
[[datasets]]
resolution = 64
batch_size = 4
  [[datasets.subsets]]
  image_dir = '{sd_scripts.image_dir}'
  caption_extension = '.txt'
""",
        encoding="utf-8",
    )
    result = sd_scripts.run(
        "train_network.py", "sd15", workdir=tmp_path, config_file=config, dataset_config=dataset, steps=1
    ).expect_success()
    assert sorted(set(result.learning_rates().values())) == pytest.approx([3e-4, 6e-4])
    assert result.metadata()["ss_network_dim"] == "8"
    assert json.loads(result.metadata()["ss_datasets"])[0]["batch_size_per_device"] == 4


def test_installing_lr_grid_changes_no_version_of_the_trainer(sd_scripts: SdScripts) -> None:
    assert dict(sd_scripts.version_changes) == {}
    assert list(sd_scripts.added_packages) == ["lr-grid"]
