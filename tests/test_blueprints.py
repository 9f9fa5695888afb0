"""The shipped models are what the trainers' and diffusers' own classes say.

LR_GRID_WRITE_PAGES=1 pytest tests/test_blueprints.py writes the data anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from inventories.running import HERE, run_inventory

import lr_grid

DATA = Path(lr_grid.__file__).parent / "models" / "data"


def dumped(data: object) -> str:
    """JSON with one segment's layer a line: a change of the data is a readable diff."""
    text = json.dumps(data, indent=None, separators=(",", ":"))
    return text.replace('{"stack":', '\n{"stack":').replace(',["', ',\n["') + "\n"


def write(files: dict[str, object]) -> None:
    for name, data in files.items():
        path = DATA / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dumped(data), encoding="utf-8")


def compare(files: dict[str, object]) -> None:
    if os.environ.get("LR_GRID_WRITE_PAGES"):
        write(files)
    for name, data in files.items():
        assert json.loads((DATA / f"{name}.json").read_text(encoding="utf-8")) == data, name


@pytest.mark.trainer
def test_the_trainers_models_are_theirs(sd_scripts, musubi):
    found = {trainer: run_inventory("blueprints.py", fixture, trainer) for trainer, fixture in
             (("sd_scripts", sd_scripts), ("musubi", musubi))}  # fmt: skip
    keys = {}
    for trainer, files in found.items():
        keys |= files.pop(f"network_modules/{trainer}")
        compare(files)
    compare({"modules": keys})
    shipped = {str(path.relative_to(DATA).with_suffix("")) for path in DATA.rglob("*.json")}
    assert {name for name in shipped if not name.startswith("diffusers/")} == {"modules"}.union(*found.values())


def test_diffusers_models_are_diffusers_own():
    run = subprocess.run(
        [sys.executable, str(HERE / "blueprints.py"), "diffusers"], capture_output=True, text=True, check=True,
    )  # fmt: skip
    files = json.loads(run.stdout.splitlines()[-1])
    compare(files)
    assert {f"diffusers/{path.stem}" for path in (DATA / "diffusers").glob("*.json")} == set(files)
