"""lr_grid.optim in the real scripts: the LoRA of many groups under torch's AdamW, bit by bit, from one group."""

from __future__ import annotations

import json

import pytest
import torch

pytestmark = pytest.mark.trainer

GRID = ["self_attn_lr=2x", "depth_strategy=linear", "loraplus_lr_ratio=4"]
ARGUMENTS = ["--lr_scheduler=cosine", "--optimizer_args", "betas=(0.9,0.99)", "weight_decay=0.1"]
OURS = ["--optimizer_type=lr_grid.optim.AdamW"]


def assert_same_lora(one, other):
    a, b = one.lora(), other.lora()
    assert a.keys() == b.keys()
    assert [key for key in a if not torch.equal(a[key], b[key])] == []
    assert any(float(t.abs().max()) > 0 for key, t in a.items() if "lora_up" in key)  # it did train


def groups_of(result):
    plan = json.loads((result.folder / f"{result.name}.lr_grid.json").read_text(encoding="utf-8"))
    return plan["groups"]


def lr_by_name(groups):
    return {
        n: lr for g in groups for n, lr in zip(g["params"], g.get("lrs", [g["lr"]] * len(g["params"])), strict=True)
    }


def assert_folded(many, one, parts):
    assert len(groups_of(many)) > 5
    assert [group["description"] for group in groups_of(one)] == parts
    assert lr_by_name(groups_of(one)) == pytest.approx(lr_by_name(groups_of(many)), rel=1e-15)
    assert f"in {len(parts)} groups, at the plan's LRs" in one.text


def test_sd_scripts_saves_the_lora_of_torchs_adamw(sd_scripts, tmp_path):
    def train(name, *extra):
        return sd_scripts.run(
            "train_network.py", "sd15", workdir=tmp_path, name=name, network_module="networks.lora_grid",
            network_args=GRID, steps=4, extra=[*ARGUMENTS, *extra],
        ).expect_success()  # fmt: skip

    logs = tmp_path / "logs"
    many, one = train("many"), train("one", *OURS, f"--logging_dir={logs}", "--log_with=tensorboard")
    assert_same_lora(many, one)
    assert_folded(many, one, ["te1", "unet"])
    assert one.metadata()["ss_optimizer"].startswith("lr_grid.optim.adamw.AdamW(betas=(0.9, 0.99),weight_decay=0.1")
    tags = lr_tags(logs)
    assert 0 < len(tags) <= 4, tags


def lr_tags(logs):
    """What is logged of LRs."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tags = set()
    for file in logs.rglob("events.out.tfevents.*"):
        events = accumulator.EventAccumulator(str(file))
        events.Reload()
        tags |= {tag for tag in events.Tags()["scalars"] if tag.startswith("lr")}
    return tags


def test_musubi_tuner_saves_the_lora_of_torchs_adamw(musubi, tmp_path):
    def train(name, *extra):
        return musubi.run(
            "wan_train_network.py", "wan", workdir=tmp_path, name=name, network_module="lr_grid.musubi.lora_wan_grid",
            network_args=GRID, steps=3, extra=[*ARGUMENTS, *extra],
        ).expect_success()  # fmt: skip

    many, one = train("many"), train("one", *OURS)
    assert_same_lora(many, one)
    assert_folded(many, one, ["unet"])
