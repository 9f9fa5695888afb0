"""log_grad_norms in the real trainers: file and log agree with the trainer's steps, and nothing else changes."""

from __future__ import annotations

import json
import subprocess

import pytest
import torch
from trainers.environment import clean_environment

from lr_grid.cli.main import main

pytestmark = pytest.mark.trainer

READ_SCALARS = """
import json, sys
from pathlib import Path
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = {}
for folder in sorted({file.parent for file in Path(sys.argv[1]).rglob("events.out.tfevents.*")}):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    for tag in events.Tags()["scalars"]:
        found.setdefault(tag, []).extend([e.step, e.value] for e in events.Scalars(tag))
print(json.dumps(found))
"""


def scalars(trainer, folder):
    """Tag -> [step, value] of every scalar in the event files of a folder."""
    command = [str(trainer.python), "-c", READ_SCALARS, str(folder)]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout.splitlines()[-1])


def norms(run, capsys):
    """What ``lr-grid norms --json`` says of a run."""
    capsys.readouterr()
    assert main(["norms", str(run.folder / f"{run.name}.lr_grid.norms"), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def agree(data, logged, steps):
    """Whether file and log hold the same numbers of the same steps."""
    rows = {row["name"]: row for row in data["components"]}
    assert {tag.partition("/")[2] for tag in logged if tag.startswith("grad_norm/")} == set(rows)
    for name, row in rows.items():
        for what, tag in (("grad", "grad_norm"), ("weight", "weight_norm"), ("update", "update_ratio")):
            in_file = [(one["first_step"], one["mean"]) for one in row[what]["over_time"]]
            in_log = logged[f"{tag}/{name}"]
            assert [step for step, _ in in_file] == [step for step, _ in in_log] == steps
            assert [value for _, value in in_file] == pytest.approx([value for _, value in in_log], rel=0.02)


def test_sd_scripts_logs_and_writes_norms_and_trains_the_same_lora(sd_scripts, tmp_path, capsys):
    def run(name, *network_args):
        return sd_scripts.run(
            "train_network.py", "sd15", workdir=tmp_path, name=name, network_module="networks.lora_grid",
            network_args=network_args, steps=4, extra=[f"--logging_dir={tmp_path / name}"],
        ).expect_success()  # fmt: skip

    on, off = run("on", "log_grad_norms=true"), run("off")
    kept, same = on.lora(), off.lora()
    assert kept.keys() == same.keys()
    assert all(torch.equal(kept[key], value) for key, value in same.items())
    assert "these are networks.lora's groups, untouched" in on.text
    data = norms(on, capsys)
    assert (data["model"], data["steps"]) == ("sd", {"count": 4, "first": 1, "last": 4})
    assert all(cell["grad"]["steps"] == 4 for cell in data["cells"])
    logged = scalars(sd_scripts, tmp_path / "on")
    agree(data, logged, [1, 2, 3, 4])
    assert {name.partition(".")[0] for name in (row["name"] for row in data["components"])} >= {"unet", "te1"}
    plain = scalars(sd_scripts, tmp_path / "off")
    assert plain.keys() == {
        tag for tag in logged if not tag.startswith(("grad_norm/", "weight_norm/", "update_ratio/"))
    }
    assert plain["loss/current"] == logged["loss/current"]


def test_musubi_logs_norms_once_a_step_of_the_optimizer(musubi, tmp_path, capsys):
    run = musubi.run(
        "wan_train_network.py", "wan", workdir=tmp_path, name="on", network_module="lr_grid.musubi.lora_wan_grid",
        network_args=["self_attn_lr=2x", "log_grad_norms=true"], steps=3,
        extra=[f"--logging_dir={tmp_path / 'logs'}", "--gradient_accumulation_steps=2"],
    ).expect_success()  # fmt: skip
    data = norms(run, capsys)
    agree(data, scalars(musubi, tmp_path / "logs"), [1, 2, 3])
    assert data["cells"][0]["lr"]["down"] != data["cells"][-1]["lr"]["down"]
