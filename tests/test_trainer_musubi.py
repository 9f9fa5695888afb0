"""musubi-tuner's real scripts under lr_grid.musubi: upstream's bits without a grid, the formula's LRs with one."""

from __future__ import annotations

import json

import pytest
import torch
from oracle import flux_place, is_up, linear, qwen_place, wan_place
from trainers.every import chosen

pytestmark = pytest.mark.trainer

BASE = 1e-3
SCRIPTS = {
    "wan": "wan_train_network.py",
    "wan_30": "wan_train_network.py",
    "flux2": "flux_2_train_network.py",
    "flux2_5_20": "flux_2_train_network.py",
    "qwen": "qwen_image_train_network.py",
    "zimage": "zimage_train_network.py",
    "hv": "hv_train_network.py",
    "hv15": "hv_1_5_train_network.py",
    "kontext": "flux_kontext_train_network.py",
    "krea2": "krea2_train_network.py",
    "fpack": "fpack_train_network.py",
}
RUNS = [
    ("wan", "lora_wan", []),
    ("wan", "loha", []),
    ("wan", "lokr", ["factor=4"]),
    ("flux2", "lora_flux_2", ["loraplus_lr_ratio=4"]),
    ("qwen", "lora_qwen_image", ["loraplus_lr_ratio=4"]),
    ("hv", "lora", ["loraplus_lr_ratio=4"]),
    ("zimage", "lora_zimage", []),
]
RUNS = chosen(RUNS, lambda run: run[:2] in (("wan", "lora_wan"), ("wan", "lokr"), ("flux2", "lora_flux_2")), of=2)


def train(musubi, tmp_path, model, module, network_args, name="tiny", steps=3, **options):
    return musubi.run(
        SCRIPTS[model],
        model,
        workdir=tmp_path,
        network_module=module,
        network_args=network_args,
        learning_rate=BASE,
        steps=steps,
        name=name,
        **options,
    )


@pytest.mark.parametrize(("model", "module", "network_args"), RUNS, ids=[f"{run[0]}-{run[1]}" for run in RUNS])
def test_without_a_grid_argument_the_saved_lora_is_upstreams(musubi, tmp_path, model, module, network_args):
    upstream = train(musubi, tmp_path, model, f"networks.{module}", network_args, "upstream").expect_success()
    grid = train(musubi, tmp_path, model, f"lr_grid.musubi.{module}_grid", network_args, "grid").expect_success()
    a, b = upstream.lora(), grid.lora()
    assert a.keys() == b.keys()
    assert [key for key in a if not torch.equal(a[key], b[key])] == []
    assert any(
        float(t.abs().max()) > 0 for key, t in a.items() if key.endswith(("lora_up.weight", "w2_a", "w2", "w2_b"))
    )
    assert grid.probe()["network"]["class"] == "lr_grid.grid_network.GridLoRANetwork"
    assert "[lr_grid] model=" in grid.text


def wan_lr(name: str) -> float:
    block, component = wan_place(name)
    lr = {"self_attn": 2, "cross_attn": 0.5, "ffn": 1}[component] * BASE * linear(block, 30, 0.3)
    lr *= {29: 0.1}.get(block, 1)
    return lr * 4 if is_up(name) else lr


def flux2_lr(name: str) -> float:
    stack, block, component = flux_place(name)
    lr = {"self_attn": 2 * BASE, "ffn": 0.5 * BASE, "fused": BASE, "cross_attn": 3e-4}[component]
    return lr * linear(block, {"double": 5, "single": 20}[stack], 0.4)


def qwen_lr(name: str) -> float:
    block, component = qwen_place(name)
    return {"self_attn": 2, "cross_attn": 0.5, "ffn": 1, "mod": 0.1}[component] * BASE * (1 if block == 0 else 0.2)


def lokr_lr(name: str) -> float:
    block, component = wan_place(name)
    lr = BASE * (2 if component == "ffn" else 1) * linear(block, 2, 0.3)
    return lr * 8 if "lokr_w1" in name else lr


GRIDS = {
    "wan": (
        "wan_30",
        "lora_wan",
        [
            *("depth_strategy=linear", "self_attn_lr=2x", "cross_attn_lr=0.5x", "block_lr_weight=29:0.1"),
            "loraplus_ffn_lr_ratio=4",
            *("loraplus_self_attn_lr_ratio=4", "loraplus_cross_attn_lr_ratio=4"),
        ],
        wan_lr,
        600,
    ),
    "flux2": (
        "flux2_5_20",
        "lora_flux_2",
        ["depth_strategy=linear", "min_depth_factor=0.4", "self_attn_lr=2x", "ffn_lr=0.5x", "cross_attn_lr=3e-4"],
        flux2_lr,
        160,
    ),
    "qwen": (
        "qwen",
        "lora_qwen_image",
        ["component_lr=self_attn:2x,cross_attn:0.5x,mod:0.1x", "block_lr_weight=1:0.2"],
        qwen_lr,
        56,
    ),
    "lokr": ("wan", "lokr", ["depth_strategy=linear", "ffn_lr=2x", "loraplus_lr_ratio=8"], lokr_lr, 44),
    "lycoris": (
        "wan",
        "lycoris",
        ["algo=lokr", "factor=4", "depth_strategy=linear", "ffn_lr=2x", "loraplus_unet_lr_ratio=8"],
        lokr_lr,
        60,
    ),
}


@pytest.fixture(scope="module", params=GRIDS)
def grid_run(request, musubi, tmp_path_factory):
    """(one run under a grid, its formula, its number of tensors), four steps under warmup and cosine."""
    model, module, network_args, formula, tensors = GRIDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    schedule = ["--lr_scheduler=cosine", "--lr_warmup_steps=1"]
    result = train(musubi, folder, model, f"lr_grid.musubi.{module}_grid", network_args, steps=4, extra=schedule)
    return result.expect_success(), formula, tensors


def test_every_parameter_has_the_formulas_lr(grid_run):
    result, formula, tensors = grid_run
    probe, initial = result.probe(), result.initial_rates()
    assert len(initial) == probe["network"]["tensors"] == tensors
    assert {name: lr for name, lr in initial.items() if lr != pytest.approx(formula(name), rel=1e-6)} == {}
    for step in (1, 2, 3):
        ratios = [lr / formula(name) for name, lr in result.learning_rates(step).items()]
        assert max(ratios) == pytest.approx(min(ratios), rel=1e-6)
    assert [group["param_names"] for group in probe["groups"]] == [group["names"] for group in probe["groups"]]


def test_the_clip_measures_the_optimizers_parameters_and_nothing_else(grid_run):
    for clip in grid_run[0].probe()["clips"]:
        assert clip["total_norm"] == pytest.approx(clip["optimizer_norm"], rel=1e-4)
        assert (clip["outside_norm"], clip["outside_with_grad"]) == (0, 0)


def test_the_plan_is_printed_before_the_first_step_and_written_beside_the_lora(grid_run):
    result, formula, _ = grid_run
    assert 0 < result.text.index("[lr_grid] model=") < result.text.index("running training")
    plan = json.loads((result.folder / f"{result.name}.lr_grid.json").read_text(encoding="utf-8"))
    lrs = {module["name"]: module for module in plan["modules"]}
    for name in result.learning_rates():
        module = lrs[name.partition(".")[0]]
        up = is_up(name) or "lokr_w1" in name
        assert module["lr_up" if up else "lr_down"] == pytest.approx(formula(name), rel=1e-6)
    assert result.metadata()["ss_network_module"].startswith("lr_grid.musubi.")


def test_frozen_blocks_keep_their_trained_weights_and_get_no_gradient(musubi, tmp_path):
    module = "lr_grid.musubi.lora_wan_grid"
    first = train(musubi, tmp_path, "wan", module, ["ffn_lr=2x"], "first", extra=["--save_state"]).expect_success()
    second = train(
        musubi,
        tmp_path,
        "wan",
        module,
        ["train_block_indices=1", "ffn_lr=0"],
        "second",
        extra=[f"--network_weights={first.lora_path}"],
    ).expect_success()
    before, after = first.lora(), second.lora()
    assert before.keys() == after.keys()
    moved = {key for key in after if not torch.equal(before[key], after[key])}
    assert {key.partition(".")[0] for key in moved} == {
        f"lora_unet_blocks_1_{kind}_attn_{name}" for kind in ("self", "cross") for name in "qkvo"
    }
    assert all(clip["outside_with_grad"] == 0 for clip in second.probe()["clips"])

    # A state saved under a grid goes on under the same one, and is carried over to another.
    resume = [f"--resume={first.state_folder}"]
    same = train(musubi, tmp_path, "wan", module, ["ffn_lr=2x"], "same", extra=resume).expect_success()
    other = train(musubi, tmp_path, "wan", module, ["ffn_lr=3x", "loraplus_lr_ratio=2"], "other", extra=resume)
    assert other.expect_success().probe()["moments"] == same.probe()["moments"] != {}
    assert "carried over by name" in other.text
    assert {round(lr, 9) for name, lr in other.learning_rates().items() if "_ffn_" in name} == {3e-3, 6e-3}


def test_base_weights_are_merged_as_upstream_does(musubi, tmp_path):
    module = "lr_grid.musubi.lora_wan_grid"
    base = train(musubi, tmp_path, "wan", module, ["ffn_lr=2x"], "base").expect_success()
    result = train(musubi, tmp_path, "wan", module, ["ffn_lr=2x"], "on_top", extra=[f"--base_weights={base.lora_path}"])
    assert "all weights merged" in result.expect_success().text


@pytest.mark.parametrize(
    ("module", "network_args", "extra", "said"),
    [
        (
            "lora_wan",
            ["sef_attn_lr=2x"],
            [],
            ["sef_attn_lr: neither lr-grid nor musubi_tuner.networks.lora_wan", "self_attn_lr?"],
        ),
        ("lora_wan", ["dora_wd=True"], [], ["It belongs to LyCORIS: use --network_module lr_grid.musubi.lycoris_grid"]),
        (
            "lora_wan",
            ["fused_lr=2x", "block_lr=7:1e-4"],
            [],
            ["2 problems", "no fused module in wan", "block 7 is out of range"],
        ),
        ("lora_wan", ["te_ffn_lr=2x"], [], ["te_ffn_lr: this network has no module of a text encoder"]),
        ("lora_wan", ["ffn_lr=2x"], ["--optimizer_type=prodigyopt.Prodigy"], ["knows one LR for all groups"]),
        ("lora_wan", ["ffn_lr=2x"], ["--optimizer_type=adafactor"], ["relative_step"]),
        ("lora_wan", ["ffn_lr=2x"], ["--lr_scheduler=rex", "--lr_warmup_steps=2"], ["--lr_scheduler rex"]),
        ("loha", ["ffn_lr=2x", "factor=4"], [], ["factor: neither lr-grid nor musubi_tuner.networks.loha"]),
    ],
)
def test_bad_input_is_told_before_training(musubi, tmp_path, module, network_args, extra, said):
    result = train(musubi, tmp_path, "wan", f"lr_grid.musubi.{module}_grid", network_args, extra=extra, probe=False)
    assert result.returncode != 0
    assert "GridError" in result.text
    assert [text for text in said if text not in result.text] == []
    assert not result.lora_path.exists()


@pytest.mark.parametrize(
    ("model", "module"),
    [("hv15", "lora_hv_1_5"), ("kontext", "lora_flux"), ("krea2", "lora_krea2"), ("fpack", "lora_framepack")],
)
def test_other_architectures_train_under_a_grid(musubi, tmp_path, model, module):
    name = f"lr_grid.musubi.{module}_grid"
    result = train(
        musubi, tmp_path, model, name, ["self_attn_lr=2x", "depth_strategy=linear"], steps=2
    ).expect_success()
    lrs = result.learning_rates()
    assert len(lrs) == result.probe()["network"]["tensors"]
    assert max(lrs.values()) == pytest.approx(2 * BASE)
    assert min(lrs.values()) == pytest.approx(0.3 * BASE)
    assert "no rule names" not in result.text
