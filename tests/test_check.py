"""lr-grid check: wrong configs with their exact findings beside right twins, and silence on every sample config."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inventories.running import run_inventory

from lr_grid.check import check_dataset_file, check_training
from lr_grid.check.dataset_file import is_dataset_config
from lr_grid.check.dataset_types import fits
from lr_grid.cli.main import main
from lr_grid.keys import KEYS
from lr_grid.training import TomlError, read_training
from lr_grid.training.config_file import parse_toml
from lr_grid.training.tables import options, trainer_of

SAMPLES = Path(__file__).parent.parent / "sample_configs"
FLUX = """\
# accelerate launch flux_train_network.py --config_file config.toml
network_module = "networks.lora_flux_grid"
network_dim = 16
learning_rate = 1e-4
mixed_precision = "bf16"
"""
SDXL = FLUX.replace("flux_train", "sdxl_train").replace("lora_flux", "lora")
WAN = """\
# wan_train_network.py
network_module = "lr_grid.musubi.lora_wan_grid"
task = "t2v-1.3B"
dit = "/path/to/wan.safetensors"
learning_rate = 1e-4
"""
GRID = 'network_args = ["self_attn_lr=1.5x", "depth_strategy=linear"]\n'


def in_line(number: int, old: str, new: str, text: str = FLUX) -> str:
    lines = text.splitlines(keepends=True)
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new)
    return "".join(lines)


# name -> (the config, its findings: severity, line, a telling part). Line 6 is the first after the five above.
WRONG: dict[str, tuple[str, list[tuple[str, int, str]]]] = {
    "misspelt argument": (
        FLUX + GRID + "netwrok_alpha = 8\n",
        [("error", 7, "flux_train_network.py has no netwrok_alpha: it is ignored. Did you mean network_alpha?")],
    ),
    "the other trainer's argument": (
        WAN + GRID + "unet_lr = 1e-4\n",
        [("error", 7, "wan_train_network.py has no unet_lr: it is ignored. It belongs to sd-scripts")],
    ),
    "another script's argument": (
        SDXL + GRID + "t5xxl = 'x'\n",
        [("warning", 7, "sdxl_train_network.py has no t5xxl: it is ignored. It is an option of flux_train_network.py")],
    ),
    "a key of the grid among the trainer's": (
        FLUX + GRID + "cross_attn_lr = 1e-4\n",
        [("error", 7, "It belongs into network_args: cross_attn_lr=...")],
    ),
    "network_args as a section": (
        FLUX + "[network_args]\nffn_lr = '2x'\n",
        [
            ("error", 7, "It belongs into network_args: ffn_lr=..."),
            ("note", 2, "the grid of networks.lora_flux_grid is off"),
        ],
    ),
    "nested tables": (FLUX + GRID + "[a.b]\nseed = 1\n", [("error", 7, "has no b: only one level of tables is read")]),
    "a dash in a key": (FLUX + GRID + "max-train-steps = 5\n", [("error", 7, "Did you mean max_train_steps?")]),
    "text for a number": (
        FLUX + GRID + 'max_train_steps = "100"\n',
        [("error", 7, 'max_train_steps: wants a number, not the text "100"')],
    ),
    "text for a flag": (
        FLUX + GRID + 'cache_latents = "false"\n',
        [("error", 7, 'cache_latents: wants true or false without quotes: any text counts as true, "false" too')],
    ),
    "a number for text": (
        FLUX + GRID + "output_name = 12\n",
        [("error", 7, 'output_name: wants text, not 12: write "12"')],
    ),
    "a fraction of a step": (
        FLUX + GRID + "max_train_steps = 2000.0\n",
        [("warning", 7, "max_train_steps: wants a whole number, not 2000.0")],
    ),
    "network_args as one text": (
        FLUX + 'network_args = "ffn_lr=2x"\n',
        [("error", 6, "network_args: wants a list, not one value ('ffn_lr=2x'): write [\"ffn_lr=2x\"]")],
    ),
    "an array of two types": (
        FLUX + GRID + "text_encoder_lr = [1, 2.0]\n",
        [("error", 7, "text_encoder_lr: an array of several types stops the trainer's TOML reader")],
    ),
    "a bad choice": (
        FLUX + GRID + 'loss_type = "hubber"\n',
        [("error", 7, "loss_type: 'hubber' is none of l1, l2, huber, smooth_l1. Did you mean huber?")],
    ),
    "a key in two sections": (
        FLUX + GRID + "[a]\nseed = 1\n[b]\nseed = 2\n",
        [("warning", 10, "seed stands in line 8, too: sections are flattened, the last one counts")],
    ),
    "not TOML": (
        FLUX + GRID + "v2 = True\n",
        [("error", 7, "not valid TOML: Invalid value (true and false are written small)")],
    ),
    "a Windows path in double quotes": (
        FLUX + GRID + 'ae = "C:\\models\\ae"\n',
        [("error", 7, "a backslash between double quotes is an escape")],
    ),
    "a misspelt network argument": (
        FLUX + 'network_args = [\n  "slef_attn_lr=2x",\n  "ffn_lr=2x",\n]\n',
        [("error", 7, "network_args: slef_attn_lr: neither lr-grid nor networks.lora_flux takes this argument")],
    ),
    "a trainer's option among network_args": (
        FLUX + 'network_args = ["ffn_lr=2x", "max_train_steps=5"]\n',
        [("error", 6, "It is the trainer's own option: give --max_train_steps")],
    ),
    "a pair without =": (
        FLUX + 'network_args = ["ffn_lr=2x", "mod_lr 0"]\n',
        [("error", 6, "network_args: 'mod_lr 0' is no key=value pair, and the trainer stops at it")],
    ),
    "several pairs in one text": (
        FLUX + 'network_args = ["ffn_lr=2x mod_lr=0"]\n',
        [("error", 6, "is one argument with several pairs in it. Quote each pair by itself")],
    ),
    "spaces around =": (
        FLUX + 'network_args = ["ffn_lr = 2x"]\n',
        [("error", 6, "the spaces around = become part of key and value")],
    ),
    "a network argument twice": (
        FLUX + 'network_args = [\n  "ffn_lr=2x",\n  "ffn_lr=3x",\n]\n',
        [("error", 8, "network_args: ffn_lr is given twice: only '3x' counts (the first is at config.toml:7)")],
    ),
    "= inside a value, musubi-tuner": (
        WAN + 'network_args = ["ffn_lr=2x", "exclude_patterns=[\'a=b\']"]\n',
        [("error", 6, "musubi-tuner splits at every = and stops at this")],
    ),
    "a block out of range": (
        FLUX + 'network_args = ["block_lr_weight=double_30:0.5"]\n',
        [("error", 6, "block 30 is out of range, flux has double 0-18")],
    ),
    "a rule that matches nothing": (
        FLUX + 'network_args = ["ffn_lr=2x", "module_lr=img_mpl:1e-4"]\n',
        [("error", 6, "module_lr")],
    ),
    "a component that has no LoRA": (FLUX + 'network_args = ["norm_lr=1e-4"]\n', [("error", 6, "norm_lr")]),
    "a bad value": (
        FLUX + 'network_args = ["depth_strategy=linaer"]\n',
        [("error", 6, "depth_strategy: 'linaer' is unknown; allowed: flat, linear")],
    ),
    "T5 spelt so that it does not train": (
        FLUX + 'network_args = ["ffn_lr=2x", "train_t5xxl=true"]\n',
        [("error", 6, "train_t5xxl: networks.lora_flux takes 'true' for False")],
    ),
    "an argument without effect": (
        FLUX + 'network_args = ["ffn_lr=2x", "ggpo_beta=0.1"]\n',
        [("warning", 6, "ggpo_beta has no effect without ggpo_sigma")],
    ),
    "a forgotten x": (
        FLUX + 'network_args = ["self_attn_lr=1.5"]\n',
        [("warning", 6, "15000 times the base LR (0.0001). A multiple of the trainer's LR has an x: 1.5x")],
    ),
    "a forgotten x of a block": (
        FLUX + 'network_args = ["block_lr=double_0:2,single:1e-4"]\n',
        [("warning", 6, "block_lr=double_0:2 is 20000 times the base LR")],
    ),
    "cells out of proportion": (
        FLUX + 'network_args = ["ffn_lr=4x", "block_lr_weight=double_3:5"]\n',
        [("warning", 6, "double 3, ffn gets 0.002, 20 times the base LR (0.0001)")],
    ),
    "a grid file that is not here": (
        FLUX + 'network_args = ["grid=my_grid.toml", "ffn_lr=2x"]\n',
        [("note", 6, "grid: my_grid.toml: no such file here: its settings are not checked")],
    ),
    "an optimizer of one LR": (
        FLUX + GRID + 'optimizer_type = "Prodigy"\n',
        [("error", 7, "--optimizer_type Prodigy knows one LR for all groups")],
    ),
    "an optimizer that nobody measured": (
        FLUX + GRID + 'optimizer_type = "my.own.Optimizer"\n',
        [("warning", 7, "--optimizer_type my.own.Optimizer was not measured")],
    ),
    "an absolute floor": (
        FLUX + GRID + 'lr_scheduler_type = "CosineAnnealingLR"\nlr_scheduler_args = ["T_max=9", "eta_min=1e-6"]\n',
        [("warning", 7, "eta_min=1e-06 is one absolute LR for all groups")],
    ),
    "an optimizer of one LR, and more": (
        FLUX + 'network_args = [\n  "slef_attn_lr=2x",\n  "ffn_lr=2x",\n]\noptimizer_type = "Prodigy"\n',
        [
            ("error", 7, "Did you mean self_attn_lr?"),
            ("error", 10, "--optimizer_type Prodigy knows one LR for all groups"),
        ],
    ),
    "Adafactor as it comes": (
        FLUX + GRID + 'optimizer_type = "Adafactor"\n',
        [("error", 7, "with relative_step (its default) sets its own LR and ignores the grid's")],
    ),
    "a scheduler that flattens": (
        FLUX + GRID + 'lr_scheduler_type = "OneCycleLR"\nlr_scheduler_args = ["max_lr=1e-3"]\n',
        [("error", 7, "gives all groups one LR and flattens the grid's")],
    ),
    "a module without a grid": (
        in_line(2, "_grid", "") + GRID,
        [
            ("error", 6, "networks.lora_flux ignores self_attn_lr. It needs network_module = networks.lora_flux_grid"),
            ("error", 6, "networks.lora_flux ignores depth_strategy"),
        ],
    ),
    "a grid without a setting": (FLUX, [("note", 2, "the grid of networks.lora_flux_grid is off")]),
    "another script's module": (
        in_line(2, "lora_flux", "lora") + GRID,
        [("error", 2, "sdxl_train_network.py, not for flux_train_network.py. Here it is networks.lora_flux")],
    ),
    "a misspelt module": (
        in_line(2, "lora_flux_grid", "lora_fluks_grid") + GRID,
        [("error", 2, "sd-scripts has no such network module. Did you mean networks.lora_flux_grid?")],
    ),
    "sd-scripts' way to name a grid in musubi-tuner": (
        in_line(2, "lr_grid.musubi.", "networks.", WAN) + GRID,
        [("error", 2, "networks.lora_wan_grid cannot be found by musubi-tuner. Give lr_grid.musubi.lora_wan_grid")],
    ),
    "the other trainer's module": (
        in_line(2, "networks.lora_flux_grid", "lr_grid.musubi.lora_flux_grid") + GRID,
        [("error", 2, "is for musubi-tuner, and this is a config for sd-scripts. Here it is networks.lora_flux_grid")],
    ),
    "cached text encoders that train": (
        SDXL + GRID + "cache_text_encoder_outputs = true\n",
        [("error", 7, "cached text encoder outputs stop this script while text encoders train")],
    ),
    "a cached T5 that trains": (
        FLUX + 'network_args = ["ffn_lr=2x", "train_t5xxl=True"]\ncache_text_encoder_outputs_to_disk = true\n',
        [("error", 7, "cached text encoder outputs stop this script while T5 trains")],
    ),
    "full_bf16 under another precision": (
        in_line(5, "bf16", "fp16") + GRID + "full_bf16 = true\n",
        [("error", 7, "full_bf16 stops the trainer without mixed_precision = bf16")],
    ),
    "fp8 without a precision": (
        in_line(5, "bf16", "no") + GRID + "fp8_base = true\n",
        [("error", 7, "fp8_base stops the trainer with mixed_precision = no")],
    ),
    "Chroma without its mask": (
        FLUX + GRID + 'model_type = "chroma"\n',
        [("error", 7, "model_type = chroma stops the trainer without apply_t5_attn_mask")],
    ),
    "swapping and offloading": (
        FLUX + GRID + "blocks_to_swap = 8\ncpu_offload_checkpointing = true\n",
        [("error", 7, "blocks_to_swap and cpu_offload_checkpointing stop the trainer together")],
    ),
    "split_qkv on double blocks": (
        FLUX + 'network_args = ["ffn_lr=2x", "split_qkv=True"]\n',
        [("error", 6, "split_qkv=True crashes on double blocks (a bug of sd-scripts")],
    ),
    "noise settings that need another": (
        SDXL + GRID + "adaptive_noise_scale = 0.1\n",
        [("error", 7, "adaptive_noise_scale stops the trainer without noise_offset")],
    ),
    "two encoders, a module of one LR": (
        in_line(2, "_grid", "", SDXL) + "text_encoder_lr = [1e-4, 2e-4]\n",
        [("warning", 6, "this network module knows one text_encoder_lr: every text encoder gets the first")],
    ),
    "fp8_scaled alone": (
        WAN + GRID + "fp8_scaled = true\n",
        [("error", 7, "fp8_scaled stops the trainer without fp8_base")],
    ),
    "ranks from a file in musubi-tuner": (
        WAN + GRID + "dim_from_weights = true\nnetwork_weights = 'x'\n",
        [("error", 7, "dim_from_weights is broken in musubi-tuner")],
    ),
    "a dataset config that is not here": (
        FLUX + GRID + 'dataset_config = "nowhere.toml"\n',
        [("note", 7, "dataset_config: nowhere.toml: no such file here, its keys are not checked")],
    ),
    "a model that cannot be told": (
        FLUX.replace("flux_train", "sd3_train").replace("lora_flux", "lora_sd3") + 'network_args = ["ffn_rl=2x"]\n',
        [
            ("note", 0, "which model this trains cannot be told"),
            ("error", 6, "ffn_rl: neither lr-grid nor networks.lora_sd3 takes this argument"),
        ],
    ),
    "LyCORIS, by itself": (
        SDXL.replace("lora_grid", "lycoris_grid") + 'network_args = ["algo=lokr", "ffn_lr=2"]\n',
        [
            ("note", 2, "LyCORIS chooses its modules by presets"),
            ("warning", 6, "ffn_lr=2 is 20000 times the base LR"),
        ],
    ),
}


def findings_of(text: str, folder: Path, **options) -> list[tuple[str, int, str]]:
    file = folder / "config.toml"
    file.write_text(text, encoding="utf-8")
    try:
        found = check_training(read_training("config.toml"), **options)
    except TomlError as error:
        return [("error", error.place.line, error.message)]
    assert all(finding.place.file == "config.toml" for finding in found)
    return [(finding.severity, finding.place.line, finding.text) for finding in found]


def agree(found: list[tuple[str, int, str]], expected: list[tuple[str, int, str]]) -> None:
    found, expected = sorted(found), sorted(expected)
    assert [entry[:2] for entry in found] == [entry[:2] for entry in expected], found
    rest = list(found)
    for severity, line, part in expected:
        match = next((one for one in rest if one[:2] == (severity, line) and part in one[2]), None)
        assert match, f"{part!r} is not in {rest}"
        rest.remove(match)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_config_and_its_findings(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    text, expected = WRONG[name]
    agree(findings_of(text, tmp_path), expected)


RIGHT = {
    "flux": FLUX + GRID,
    "sdxl": SDXL + GRID + "cache_text_encoder_outputs = true\nnetwork_train_unet_only = true\n",
    "wan": WAN + GRID,
    "one LR": FLUX + 'network_args = ["default_lr=1x"]\noptimizer_type = "Prodigy"\n',
    "Adafactor with an LR": FLUX
    + GRID
    + 'optimizer_type = "Adafactor"\noptimizer_args = ["relative_step=False", "scale_parameter=False"]\n',
    "frozen cells": FLUX + 'network_args = ["self_attn_lr=0", "block_lr_weight=double_0:0"]\n',
    "LoRA+": FLUX + 'network_args = ["loraplus_unet_lr_ratio=16"]\n',
    "ten times": FLUX + 'network_args = ["ffn_lr=10x", "mod_lr=0.01x"]\n',
    "ten times, absolute": FLUX + 'network_args = ["ffn_lr=1e-3", "mod_lr=1e-6"]\n',
    "no grid, no grid keys": in_line(2, "_grid", "")
    + 'network_args = ["loraplus_unet_lr_ratio=4", "in_dims=4,4,4,4,4"]\n',
    "one text encoder LR as a number": SDXL + GRID + "text_encoder_lr = 1e-5\n",
    "the same key twice, the same": FLUX + GRID.replace("linear", "cosine"),
    "chroma": FLUX + GRID + 'model_type = "chroma"\napply_t5_attn_mask = true\n',
    "Windows paths": FLUX + GRID + "ae = 'C:\\models\\ae.safetensors'\n",
}


@pytest.mark.parametrize("name", RIGHT)
def test_silence_on_a_right_config(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert findings_of(RIGHT[name], tmp_path) == []


# ---- command lines

COMMANDS: dict[str, tuple[str, list[tuple[str, str, str]]]] = {
    "a flag twice": (
        "flux_train_network.py --network_module networks.lora_flux_grid --learning_rate 1e-4"
        " --network_args self_attn_lr=1.5x --network_args ffn_lr=1x",
        [("error", "--network_args", "is given twice: only the last counts, self_attn_lr=1.5x is dropped")],
    ),
    "an unknown flag": (
        "flux_train_network.py --network_module networks.lora_flux_grid --learning_rate 1e-4"
        " --network_args ffn_lr=2x --learnign_rate 3",
        [("error", "--learnign_rate", "has no --learnign_rate: the parser stops at it. Did you mean learning_rate?")],
    ),
    "a short form": (
        "flux_train_network.py --network_mod networks.lora_flux_grid --learning_rate 1e-4 --network_args ffn_lr=2x",
        [("warning", "--network_mod", "--network_mod is short for --network_module")],
    ),
    "an ambiguous short form": (
        "train_network.py --network_module networks.lora --learning_rate 1e-4 --network_train",
        [("error", "--network_train", "is short for several options")],
    ),
    "a negative LR": (
        "flux_train_network.py --network_module networks.lora_flux_grid --learning_rate 1e-4 --unet_lr -1e-4"
        " --network_args ffn_lr=2x",
        [("error", "--unet_lr", "takes -1e-4 for an option and stops. Write --unet_lr=-1e-4")],
    ),
    "a value for a flag": (
        "flux_train_network.py --network_module networks.lora_flux_grid --learning_rate 1e-4"
        " --network_args ffn_lr=2x --cache_latents true",
        [("error", "--cache_latents", "true: stands alone after --cache_latents")],
    ),
    "a broken continuation": (
        "python flux_train_network.py --network_module networks.lora_flux_grid \\ \n  --learning_rate 1e-4"
        " --network_args ffn_lr=2x",
        [("error", "--learning_rate", "the \\ of line 1 is followed by a space")],
    ),
    "a comment in the middle": (
        "python flux_train_network.py --network_module networks.lora_flux_grid \\\n  # the LR\n  --learning_rate 1e-4"
        " --network_args ffn_lr=2x",
        [("error", "--learning_rate", "or a comment between): --learning_rate and what follows are lost")],
    ),
    "what musubi-tuner requires": (
        "wan_train_network.py --network_module lr_grid.musubi.lora_wan_grid --network_args ffn_lr=2x",
        [
            ("error", "--dataset_config", "dataset_config is required"),
            ("error", "--dit", "dit, the model's file, is required"),
            ("warning", "--learning_rate", "the trainer's default is 2e-06"),
            ("error", "--sdpa", "one of sdpa, flash_attn, flash3 or xformers is required"),
        ],
    ),
    "a required option": (
        "kandinsky5_train_network.py --network_module lr_grid.musubi.lora_kandinsky_grid --learning_rate 1e-4 --sdpa"
        " --dit x --dataset_config /path/to/d.toml --network_args ffn_lr=2x",
        [
            ("error", "--task", "task must stand on the command line, also where the TOML has it"),
            ("note", "", "which model this trains cannot be told"),
        ],
    ),
    "no module": (
        "flux_train_network.py --learning_rate 1e-4",
        [("error", "--network_module", "network_module is not given")],
    ),
    "variables of elsewhere": (
        'flux_train_network.py --network_module networks.lora_flux_grid --learning_rate $LR "$@"'
        ' --network_args ffn_lr=2x "${ARGS[@]}" --seed "${SEED}"',
        [
            ("note", "--learning_rate", "$LR holds what is not set here: it is not checked"),
            ("note", "--learning_rate", "$@ is not set here: it is not checked"),
            ("note", "--network_args", "${ARGS[@]} holds what is not set here"),
            ("note", "--seed", "${SEED} holds what is not set here"),
        ],
    ),
    "no script known": (
        "python my_own_train.py --network_module networks.lora_flux_grid --learning_rate 1e-4 --network_args ffn_lr=2x",
        [("warning", "", "my_own_train.py is no training script of sd-scripts or musubi-tuner")],
    ),
    "a config file that is not here": (
        "flux_train_network.py --config_file nowhere.toml --network_module networks.lora_flux_grid"
        " --learning_rate 1e-4 --network_args ffn_lr=2x",
        [("note", "--config_file", "no such file here (nowhere.toml): what it sets is not checked")],
    ),
    "right": (
        "accelerate launch --mixed_precision bf16 flux_train_network.py --network_module networks.lora_flux_grid"
        " --learning_rate 1e-4 --network_args ffn_lr=2x depth_strategy=linear",
        [],
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_line_and_its_findings(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    command, expected = COMMANDS[name]
    found = [(f.severity, f.place.flag, f.text) for f in check_training(read_training(command, is_text=True))]
    agree(found, expected)


def test_an_optimizer_that_the_text_does_not_name_is_not_judged(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = (
        "flux_train_network.py --network_module networks.lora_flux_grid --learning_rate 1e-4 --network_args ffn_lr=2x"
        " --optimizer_type {}"
    )
    found = {
        name: [f.text for f in check_training(read_training(command.format(name), is_text=True))]
        for name in ("$OPTIMIZER", "a.Class")
    }
    assert not any("was not measured" in text for text in found["$OPTIMIZER"])
    assert any("was not measured" in text for text in found["a.Class"])


def test_the_list_of_a_config_file_that_the_command_line_replaces(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text(FLUX + GRID)
    config = read_training("flux_train_network.py --config_file a.toml --network_args ffn_lr=2x", is_text=True)
    (finding,) = check_training(config)
    assert finding.severity == "warning"
    assert "replaces the whole list of a.toml:6: self_attn_lr=1.5x depth_strategy=linear is dropped" in finding.text


# ---- datasets

SD_DATASET = """\
[general]
resolution = 512
shuffle_caption = true
[[datasets]]
batch_size = 2
  [[datasets.subsets]]
  image_dir = "/path/to/images"
  num_repeats = 2
"""
MUSUBI_DATASET = """\
[general]
resolution = [960, 544]
[[datasets]]
video_directory = "/path/to/videos"
target_frames = [1, 25]
"""
OLD = "flux_kontext_no_resize_control"
DATASETS: dict[str, tuple[str, list[tuple[str, int, str]]]] = {
    "misspelt": (SD_DATASET.replace("batch_size", "batch_sise"), [("error", 5, "batch_sise: no key of [[datasets]]")]),
    "wrong place": (
        SD_DATASET.replace("shuffle_caption", "alpha_mask"),
        [("error", 3, "no key of [general], and the trainer stops at it. It belongs into [[datasets.subsets]]")],
    ),
    "the other trainer's": (
        SD_DATASET.replace("num_repeats = 2", "target_frames = [1]"),
        [("error", 8, "no key of [[datasets.subsets]], and the trainer stops at it. It belongs to musubi-tuner")],
    ),
    "wrong type": (
        SD_DATASET.replace("= true", '= "yes"'),
        [("error", 3, "shuffle_caption: wants true or false, not 'yes'")],
    ),
    "a whole number where a float is wanted": (
        SD_DATASET.replace("batch_size = 2", "validation_split = 0"),
        [("error", 5, "validation_split: wants a number with a point: write 0.0, not 0")],
    ),
    "no image_dir": (
        SD_DATASET.replace("image_dir", "class_tokens"),
        [("error", 6, "image_dir is missing in this subset")],
    ),
    "no subset": (
        SD_DATASET.partition("  [[")[0] + "image_dir = 'x'\n",
        [("error", 4, "no [[datasets.subsets]] in it"), ("error", 6, "image_dir: no key of [[datasets]]")],
    ),
    "two kinds of subsets": (
        SD_DATASET + "  [[datasets.subsets]]\n  image_dir = 'x'\n  metadata_file = 'y'\n",
        [("error", 4, "subsets with and without metadata_file cannot be mixed")],
    ),
    "keys above the tables": ("resolution = 512\n" + SD_DATASET, [("error", 1, "Put it under [general]")]),
    "a table for an array of tables": (
        SD_DATASET.replace("[[datasets]]", "[datasets]"),
        [
            ("error", 4, "datasets is no array of tables: write [[datasets]]"),
        ],
    ),
    "nothing to train on": ("[general]\nresolution = 512\n", [("error", 0, "no [[datasets]] in it")]),
    "video, fps": (
        MUSUBI_DATASET + "source_fps = 30\n",
        [("error", 6, "source_fps: wants a number with a point: write 30.0, not 30")],
    ),
    "images with frames": (
        MUSUBI_DATASET.replace("video_d", "image_d"),
        [("error", 5, "target_frames: no key of [[datasets]], and the trainer stops at it")],
    ),
    "one cache for two": (
        MUSUBI_DATASET + "cache_directory = 'c'\n[[datasets]]\nimage_directory = 'd'\ncache_directory = 'c'\n",
        [("error", 9, "cache_directory c is that of another dataset, too")],
    ),
    "an old name": (
        MUSUBI_DATASET.replace("video_d", "image_d").replace("target_frames = [1, 25]", f"{OLD} = true"),
        [("warning", 5, f"{OLD} is called no_resize_control now")],
    ),
    "no source": (
        MUSUBI_DATASET.replace("video_directory", "cache_directory"),
        [
            ("error", 3, "one of image_directory, image_jsonl_file, video_directory, video_jsonl_file is missing"),
            ("error", 5, "target_frames: no key of [[datasets]]"),
        ],
    ),
    "right, sd-scripts": (SD_DATASET, []),
    "right, musubi-tuner": (MUSUBI_DATASET, []),
    "right, with a metadata file": (SD_DATASET.replace("image_dir =", "metadata_file ="), []),
}


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_config_and_its_findings(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    text, expected = DATASETS[name]
    Path("dataset.toml").write_text(text)
    found = check_dataset_file("dataset.toml", None if is_dataset_config(parse_toml(text, "")) else "sd-scripts")
    agree([(f.severity, f.place.line, f.text) for f in found], expected)


@pytest.mark.parametrize(
    ("training", "dataset", "part"),
    [
        (
            "cache_latents = true\n",
            SD_DATASET.replace("shuffle_caption", "color_aug"),
            "color_aug cannot be used with cache_latents",
        ),
        (
            "cache_text_encoder_outputs = true\n",
            SD_DATASET,
            "shuffle_caption cannot be used with cache_text_encoder_outputs",
        ),
        ("cache_latents = true\n", SD_DATASET, ""),
        ("cache_text_encoder_outputs = true\n", SD_DATASET.replace("= true", "= false"), ""),
        (
            "random_crop = true\ncache_latents_to_disk = true\n",
            SD_DATASET,
            "random_crop cannot be used with cache_latents",
        ),
    ],
)
def test_a_dataset_that_cannot_be_cached(training: str, dataset: str, part: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(FLUX + GRID + training + "dataset_config = 'd.toml'\n")
    Path("d.toml").write_text(dataset)
    found = [finding.text for finding in check_training(read_training("config.toml"))]
    assert len(found) == bool(part)
    assert all(part in text for text in found)


def test_placeholders_pass_unless_paths_are_asked_for(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.toml").write_text(SD_DATASET)
    Path("config.toml").write_text(FLUX + GRID)
    config = read_training("config.toml")
    assert check_training(config, dataset_config="d.toml") == []
    (finding,) = check_training(config, dataset_config="d.toml", paths=True)
    assert (str(finding.place), finding.message) == ("d.toml:7", "image_dir: /path/to/images: no such folder")


@pytest.mark.parametrize(
    ("value", "kinds", "right"),
    [
        (1, ["int"], True),
        (1.0, ["int"], False),
        (1, ["float"], False),
        (1, ["float", "int"], True),
        ([1, 2], ["int", "2 int"], True),
        ([1, 2, 3], ["int", "2 int"], False),
        ([1.0, 2], ["2 float"], False),
        ([], ["list of int"], True),
        (["a"], ["list of int"], False),
        (True, ["bool"], True),
        ("true", ["bool"], False),
    ],
)
def test_types_are_as_strict_as_the_trainers_schema(value: object, kinds: list[str], right: bool) -> None:
    assert fits(value, kinds) is right


# ---- samples


def samples() -> list[Path]:
    return [file for file in sorted(SAMPLES.rglob("*.toml")) if not file.stem.endswith("grid")]


def test_there_are_samples() -> None:
    assert len(samples()) >= 8


@pytest.mark.parametrize("file", samples(), ids=lambda file: str(file.relative_to(SAMPLES)))
def test_silence_on_a_sample_config(file: Path, monkeypatch) -> None:
    monkeypatch.chdir(SAMPLES.parent)
    if is_dataset_config(parse_toml(file.read_text(encoding="utf-8"), file.name)):
        assert check_dataset_file(file) == []
        return
    dataset = file.with_name(f"{file.stem}_dataset.toml")
    found = check_training(read_training(file), dataset_config=str(dataset) if dataset.is_file() else None)
    notes = [finding.message for finding in found if finding.severity == "note"]
    assert len(notes) == len(found)
    known = "LyCORIS" if "lycoris" in file.stem else "whether the model has the grid's blocks"
    expected = "lycoris" in file.stem or (file.stem.startswith("full_") and file.stem != "full_zimage")
    assert [message.startswith(known) for message in notes] == [True] * expected


# ---- the command


def test_the_command_prints_and_returns(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("right.toml").write_text(FLUX + GRID)
    Path("wrong.toml").write_text(FLUX + 'network_args = [\n  "slef_attn_lr=1x",\n]\n')
    Path("note.toml").write_text(FLUX)
    assert main(["check", "right.toml"]) == 0
    assert capsys.readouterr().out == "nothing found\n"
    assert main(["check", "note.toml"]) == 0
    assert main(["check", "wrong.toml"]) == 1
    out = capsys.readouterr().out
    assert "wrong.toml:7  error  network_args: slef_attn_lr: neither" in out
    assert "Did you mean self_attn_lr?" in out
    assert main(["check", "wrong.toml", "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["severity"], finding["file"], finding["line"]) == ("error", "wrong.toml", 7)
    assert main(["check", "missing.toml"]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main(["check", "right.toml", "--model", "no-such"]) == 2


def test_the_command_takes_a_command_line_in_three_ways(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    command = (
        "python flux_train_network.py --network_module networks.lora_flux_grid"
        " --learning_rate 1e-4 --network_args ffn_lr=2"
    )
    assert main(["check", command]) == 1
    first = capsys.readouterr().out
    assert "command line --network_args  warning  network_args: ffn_lr=2 is 20000 times" in first
    assert main(["check", "--", *command.split()]) == 1
    assert capsys.readouterr().out == first
    monkeypatch.setattr(sys, "stdin", open_text(tmp_path, command))
    assert main(["check", "-"]) == 1
    assert capsys.readouterr().out == first


def open_text(folder: Path, text: str):
    file = folder / "stdin.txt"
    file.write_text(text)
    return file.open(encoding="utf-8")


def test_a_named_model_takes_the_place_of_what_the_config_tells(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = WAN + 'network_args = ["block_lr_weight=35:0.5"]\n'
    agree(findings_of(text, tmp_path), [("error", 6, "block 35 is out of range")])
    assert findings_of(text, tmp_path, model="wan-14b") == []


def test_checking_needs_no_torch(tmp_path) -> None:
    (tmp_path / "a.toml").write_text(FLUX + GRID)
    code = (
        "import sys; from lr_grid.cli.main import main; main(['check', 'a.toml']);"
        "print([m for m in ('torch', 'numpy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == ["nothing found", "[]"]


# ---- the trainers as judges

# What comes after the schema: the trainers look at these when they make the datasets.
_LATER = ("one cache for two", "nothing to train on")


@pytest.mark.trainer
@pytest.mark.parametrize(("trainer", "fixture"), [("sd-scripts", "sd_scripts"), ("musubi-tuner", "musubi")])
def test_the_trainers_refuse_the_dataset_configs_that_are_found_wrong(request, tmp_path, trainer, fixture) -> None:
    cases = {name: case for name, case in DATASETS.items() if name not in _LATER}
    theirs = "musubi-tuner" if trainer == "sd-scripts" else "sd-scripts"
    cases = {name: (text, found) for name, (text, found) in cases.items() if trainer_of_text(text) != theirs}
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps([text for text, _ in cases.values()]))
    verdicts = run_inventory("dataset_verdicts.py", request.getfixturevalue(fixture), trainer, str(texts))
    ours = {name: any(severity == "error" for severity, _, _ in found) for name, (_, found) in cases.items()}
    assert {name: verdict is not None for name, verdict in zip(cases, verdicts, strict=True)} == ours


def trainer_of_text(text: str) -> str:
    return "musubi-tuner" if text.startswith(MUSUBI_DATASET.partition("[[")[0]) else "sd-scripts"


# ---- nothing that is written in a config stops the check itself

wild = st.recursive(
    st.one_of(
        st.booleans(), st.integers(-3, 3), st.sampled_from([1e-4, -0.5, float("inf"), float("nan")]), st.text("ax=,: 1")
    ),
    lambda of: st.one_of(st.lists(of, max_size=2), st.dictionaries(st.text("ab", min_size=1), of, max_size=2)),
    max_leaves=3,
)
pairs = st.tuples(st.sampled_from(sorted(KEYS)), st.text("0123456789.-:,xaeflst_", max_size=8)).map("=".join)


@settings(deadline=None, max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_value_stops_the_check(tmp_path, data) -> None:
    script = data.draw(st.sampled_from(["flux_train_network.py", "sdxl_train_network.py", "wan_train_network.py", ""]))
    table = options(trainer_of(script) if script else None, script or None)
    given_values = data.draw(st.dictionaries(st.sampled_from(sorted(table)), wild, max_size=5))
    given_values["network_args"] = data.draw(st.one_of(st.lists(pairs, max_size=3), wild))
    if data.draw(st.booleans()):
        given_values["network_module"] = data.draw(
            st.sampled_from(["networks.lora_flux_grid", "lr_grid.musubi.lora_wan_grid"])
        )
    text = f"# {script}\n" + "".join(f"{key} = {as_toml(value)}\n" for key, value in given_values.items())
    file = tmp_path / "config.toml"
    file.write_text(text, encoding="utf-8")
    for finding in check_training(read_training(file)):
        assert finding.message
        assert 0 <= finding.place.line <= text.count("\n")


def as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {as_toml(item)}" for key, item in value.items()) + "}"
    return (
        f"[{', '.join(map(as_toml, value))}]"
        if isinstance(value, list)
        else json.dumps(value)
        if isinstance(value, str)
        else str(value)
    )
