"""Without a grid argument a run is upstream's own, to the bit."""

import pytest
import torch
from trainers.every import chosen

pytestmark = pytest.mark.trainer

RUNS = [
    ("train_network.py", "sd15", "networks.lora"),
    ("sdxl_train_network.py", "sdxl", "networks.lora"),
    ("flux_train_network.py", "flux", "networks.lora_flux"),
    ("sd3_train_network.py", "sd3", "networks.lora_sd3"),
    ("lumina_train_network.py", "lumina", "networks.lora_lumina"),
    ("hunyuan_image_train_network.py", "hunyuan_image", "networks.lora_hunyuan_image"),
    ("anima_train_network.py", "anima", "networks.lora_anima"),
]
OTHERS = [
    ("train_network.py", "sd15", "networks.dylora", ["loraplus_lr_ratio=4"]),
    ("train_network.py", "sd15", "networks.lora_fa", []),
    ("train_network.py", "sd15", "networks.oft", ["enable_all_linear=True"]),
    ("flux_train_network.py", "flux", "networks.oft_flux", []),
]
OF_DIFFERENT_TE_LRS = {"sd3": ["--text_encoder_lr", "1e-3", "2e-3", "3e-3"]}


def assert_same(one, other):
    a, b = one.lora(), other.lora()
    assert a.keys() == b.keys()
    assert [key for key in a if not torch.equal(a[key], b[key])] == []


def upstream_and_grid(sd_scripts, tmp_path, script, model, module, network_args):
    extra = OF_DIFFERENT_TE_LRS.get(model, [])
    common = {"workdir": tmp_path, "network_args": network_args, "steps": 3, "extra": extra}
    upstream = sd_scripts.run(script, model, name="upstream", network_module=module, **common).expect_success()
    grid = sd_scripts.run(script, model, name="grid", network_module=f"{module}_grid", **common).expect_success()
    assert_same(upstream, grid)
    assert grid.probe()["network"]["class"].startswith("lr_grid.grid_network.Grid")
    assert "[lr_grid] model=" in grid.text
    return upstream, grid


PLAIN, LORAPLUS = [], ["loraplus_lr_ratio=4"]
CASES = [(*run, args) for run in RUNS for args in ([PLAIN, LORAPLUS] if run[1] in ("sd15", "flux") else [LORAPLUS])]
CASES = chosen(CASES, lambda case: case[1:] in [(*RUNS[2][1:], PLAIN), (*RUNS[1][1:], LORAPLUS)], of=4)
OTHERS = chosen(OTHERS, lambda case: case[2] == "networks.dylora")


@pytest.mark.parametrize(
    ("script", "model", "module", "network_args"),
    CASES,
    ids=[f"{c[1]}-{'loraplus' if c[3] else 'plain'}" for c in CASES],
)
def test_the_saved_lora_is_upstreams(sd_scripts, tmp_path, script, model, module, network_args):
    upstream, _ = upstream_and_grid(sd_scripts, tmp_path, script, model, module, network_args)
    assert any(float(t.abs().max()) > 0 for key, t in upstream.lora().items() if "lora_up" in key)  # it did train


@pytest.mark.parametrize(("script", "model", "module", "network_args"), OTHERS, ids=[run[2] for run in OTHERS])
def test_what_other_network_modules_save_is_upstreams(sd_scripts, tmp_path, script, model, module, network_args):
    upstream, grid = upstream_and_grid(sd_scripts, tmp_path, script, model, module, network_args)
    assert upstream.learning_rates() == grid.learning_rates()


def test_one_lr_everywhere_through_the_grids_own_groups_is_upstreams_too(sd_scripts, tmp_path):
    common = {"workdir": tmp_path, "steps": 3}
    upstream = sd_scripts.run(
        "train_network.py", "sd15", name="a", network_module="networks.lora", **common
    ).expect_success()
    grid = sd_scripts.run(
        "train_network.py",
        "sd15",
        name="b",
        network_module="networks.lora_grid",
        network_args=["depth_strategy=flat"],
        **common,
    ).expect_success()
    assert_same(upstream, grid)


def test_upstreams_own_lr_arguments_alone_are_upstreams_run(sd_scripts, tmp_path):
    for script, model, module, args in (
        (
            "train_network.py",
            "sd15",
            "networks.lora",
            ["down_lr_weight=sine+.5", "mid_lr_weight=1", "up_lr_weight=cosine", "block_lr_zero_threshold=0.1"],
        ),
        (
            "flux_train_network.py",
            "flux",
            "networks.lora_flux",
            [
                "network_reg_lrs=double_blocks_0=3e-4,single=5e-4",
                "network_reg_dims=single=2",
                "img_mod_dim=0",
                "train_double_block_indices=0",
                "loraplus_unet_lr_ratio=4",
            ],
        ),
    ):
        common = {"workdir": tmp_path, "network_args": args, "steps": 3}
        upstream = sd_scripts.run(script, model, name=f"{model}_a", network_module=module, **common).expect_success()
        grid = sd_scripts.run(
            script, model, name=f"{model}_b", network_module=f"{module}_grid", **common
        ).expect_success()
        assert_same(upstream, grid)
        assert upstream.learning_rates() == grid.learning_rates()
        told = {m["name"]: m for m in plan(grid)["modules"]}
        for name, lr in grid.learning_rates().items():
            module_name, side = name.split(".")[0], "lr_up" if "lora_up" in name else "lr_down"
            assert told[module_name][side] == pytest.approx(lr, rel=1e-9)  # the printed grid is true here, too


def plan(result):
    import json

    return json.loads((result.folder / f"{result.name}.lr_grid.json").read_text(encoding="utf-8"))
