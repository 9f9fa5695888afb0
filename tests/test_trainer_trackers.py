"""The plan's picture in the log that the real trainers write: once, whole, and without a trace in what is trained."""

from __future__ import annotations

import json
import subprocess

import pytest
import torch
from trainers.environment import clean_environment
from trainers.lend import lend

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.trainer

READ_IMAGES = """
import json, sys
from pathlib import Path
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = []
for folder in sorted({file.parent for file in Path(sys.argv[1]).rglob("events.out.tfevents.*")}):
    events = EventAccumulator(str(folder), size_guidance={"images": 0})
    events.Reload()
    for tag in events.Tags()["images"]:
        found += [[tag, e.step, e.width, e.height, len(e.encoded_image_string)] for e in events.Images(tag)]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def plotting(tmp_path_factory):
    """The environment of a trainer whose user has matplotlib."""
    folder = lend(tmp_path_factory.mktemp("lent"), "matplotlib", without=("numpy", "pillow"))
    return {"PYTHONPATH": str(folder)}


@pytest.fixture(params=["sd_scripts", "musubi"])
def train(request, tmp_path):
    """(the trainer, run(name, env, *extra)): four steps in two epochs."""
    trainer = request.getfixturevalue(request.param)
    script, model, module = {
        "sd_scripts": ("train_network.py", "sd15", "networks.lora_grid"),
        "musubi": ("wan_train_network.py", "wan", "lr_grid.musubi.lora_wan_grid"),
    }[request.param]

    def run(name, env, *extra):
        return trainer.run(
            script, model, workdir=tmp_path, name=name, network_module=module,
            network_args=["self_attn_lr=2x", "depth_strategy=linear"], steps=4, env=env, extra=extra,
        ).expect_success()  # fmt: skip

    return trainer, run


def images(trainer, folder):
    """(tag, step, width, height, bytes) of every image in the event files of a folder."""
    command = [str(trainer.python), "-c", READ_IMAGES, str(folder)]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout.splitlines()[-1])


def test_the_picture_is_logged_once_and_nothing_else_changes(train, plotting, tmp_path):
    trainer, run = train
    logged = run("logged", plotting, f"--logging_dir={tmp_path / 'logs'}")
    assert (logged.folder / "logged.lr_grid.png").exists()
    ((tag, step, width, height, size),) = images(trainer, tmp_path / "logs")
    assert (tag, step) == ("lr_grid", 0)
    assert width > 400
    assert height > 300
    assert size > 10_000
    plain = run("plain", None)
    kept, same = logged.lora(), plain.lora()
    assert kept.keys() == same.keys()
    assert all(torch.equal(kept[key], value) for key, value in same.items())


def test_without_matplotlib_the_log_has_no_picture_and_the_run_goes_on(train, tmp_path):
    trainer, run = train
    logged = run("logged", None, f"--logging_dir={tmp_path / 'logs'}")
    assert list((tmp_path / "logs").rglob("events.out.tfevents.*"))
    assert images(trainer, tmp_path / "logs") == []
    assert "could not be" not in logged.text
