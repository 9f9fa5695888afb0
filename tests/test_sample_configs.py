"""Every sample config trains in the real script; only paths, sizes and the number of steps are the test's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.trainer

FOLDER = Path(__file__).parent.parent / "sample_configs"
SCRIPTS = {
    "sd15": ("train_network.py", "sd15", ()),
    "sdxl": ("sdxl_train_network.py", "sdxl", ()),
    "flux": ("flux_train_network.py", "flux", ("--t5xxl_max_token_length=16",)),
}


def test_every_config_is_in_the_table():
    names = (*SCRIPTS, "wan")
    assert {file.stem for file in FOLDER.glob("*.toml")} - {"grid"} == {*names, *(f"{name}_dataset" for name in names)}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_sample_config_trains_under_its_grid(sd_scripts, tmp_path, name):
    script, model, extra = SCRIPTS[name]
    dataset = (FOLDER / f"{name}_dataset.toml").read_text(encoding="utf-8")
    small = {"/path/to/images": str(sd_scripts.image_dir), "resolution = (512|1024)": "resolution = 64"}
    small |= {r"min_bucket_reso = \d+": "min_bucket_reso = 64", r"max_bucket_reso = \d+": "max_bucket_reso = 128"}
    for pattern, text in small.items():
        dataset, count = re.subn(pattern, text.replace("\\", "/"), dataset)
        assert count
    (tmp_path / "dataset.toml").write_text(dataset, encoding="utf-8")

    result = sd_scripts.run(
        script, model, workdir=tmp_path, config_file=FOLDER / f"{name}.toml", dataset_config=tmp_path / "dataset.toml",
        extra=[*extra, "--max_train_epochs=1"], steps=2,
    ).expect_success()  # fmt: skip

    check(result, name)


def test_the_wan_config_trains_under_its_grid(musubi, tmp_path):
    result = musubi.run(
        "wan_train_network.py", "wan_30", workdir=tmp_path, config_file=FOLDER / "wan.toml", steps=2
    ).expect_success()
    check(result, "wan")


def check(result, name) -> None:
    """The optimizer's LRs are the plan's, and the plan was made from the config's arguments."""
    plan = json.loads((result.folder / f"{result.name}.lr_grid.json").read_text())
    wanted = re.findall(r'^\s*"(\w+)=(.*?)"', (FOLDER / f"{name}.toml").read_text(), re.M)
    assert plan["arguments"].items() >= {k: v for k, v in wanted if k != "component_lr"}.items()
    assert json.loads(result.metadata()["ss_network_args"]).items() >= dict(wanted).items()
    initial = result.initial_rates()
    assert len(set(initial.values())) > 4
    for module in plan["modules"]:
        for side in ("down", "up"):
            lr = initial.get(f"{module['name']}.lora_{side}.weight")
            assert lr == (None if module["frozen"] else pytest.approx(module[f"lr_{side}"]))
