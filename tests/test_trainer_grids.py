"""Grids in the real scripts: every parameter's LR by the formula, from the first step to the last."""

from __future__ import annotations

import json

import pytest
from oracle import flux_place, inverted_u, is_up, linear, sd15_place, sdxl_place

pytestmark = pytest.mark.trainer

WARMUP_COSINE = ["--lr_scheduler=cosine", "--lr_warmup_steps=2"]
BASE, TE = 1e-3, 2e-4


def sd15_lr(name: str) -> float:
    if name.startswith("lora_te"):
        return TE
    block, component = sd15_place(name)
    lr = {"self_attn": 2e-3, "cross_attn": 0.5 * BASE}.get(component, 8e-4)
    return lr if component == "other" else lr * inverted_u(block, 25, 0.3, 0.4)


def sdxl_lr(name: str) -> float:
    if name.startswith("lora_te"):
        return {"1": 1e-4, "2": 3e-4}[name[len("lora_te")]]
    block, component = sdxl_place(name)
    lr = {"self_attn": 4e-4, "cross_attn": 2e-4, "ffn": 3e-4}.get(component, BASE)
    return lr if component == "other" else lr * linear(block, 23, 0.35)


FLUX_WEIGHTS = {("double", i): 0.3 for i in range(7)} | {("single", i): 0.8 for i in range(38)} | {("single", 7): 2.0}


def flux_lr(name: str) -> float:
    if name.startswith("lora_te"):
        return TE
    stack, block, component = flux_place(name)
    attention, ffn = 1.5 * BASE, 0.5 * BASE
    lr = {"self_attn": attention, "ffn": ffn, "fused": (attention * ffn) ** 0.5, "cross_attn": 0.25 * BASE}.get(
        component, BASE
    )
    lr *= linear(block, {"double": 19, "single": 38}[stack], 0.3) * FLUX_WEIGHTS.get((stack, block), 1.0)
    return lr * 16 if is_up(name) else lr


GRIDS = {
    "sd15": (
        "train_network.py",
        "networks.lora_grid",
        [
            "depth_strategy=inverted_u",
            "peak_position=0.4",
            "self_attn_lr=2e-3",
            "cross_attn_lr=0.5x",
            "default_lr=8e-4",
            "conv_dim=4",
            "conv_alpha=1",
        ],
        [f"--text_encoder_lr={TE}"],
        sd15_lr,
        578,
    ),
    "sdxl": (
        "sdxl_train_network.py",
        "networks.lora_grid",
        ["depth_strategy=linear", "min_depth_factor=0.35", "component_lr=self_attn:4e-4,cross_attn:2e-4,ffn:3e-4"],
        ["--text_encoder_lr", "1e-4", "3e-4"],
        sdxl_lr,
        1612,
    ),
    "flux_19_38": (
        "flux_train_network.py",
        "networks.lora_flux_grid",
        [
            "depth_strategy=linear",
            "self_attn_lr=1.5x",
            "ffn_lr=0.5x",
            "cross_attn_lr=0.25x",
            "block_lr_weight=double_0-6:0.3,single:0.8,single_7:2",
            "loraplus_unet_lr_ratio=16",
        ],
        [f"--text_encoder_lr={TE}"],
        flux_lr,
        632,
    ),
}


@pytest.fixture(scope="module", params=GRIDS)
def grid_run(request, sd_scripts, tmp_path_factory):
    """(one run under a grid, its formula, its number of tensors), five steps under warmup and cosine."""
    script, module, network_args, extra, formula, tensors = GRIDS[request.param]
    result = sd_scripts.run(
        script,
        request.param,
        workdir=tmp_path_factory.mktemp(request.param),
        network_module=module,
        network_args=network_args,
        unet_lr=BASE,
        learning_rate=5e-4,
        extra=[*extra, *WARMUP_COSINE],
        steps=5,
    )
    return result.expect_success(), formula, tensors


def test_every_parameter_has_the_formulas_lr_at_the_first_step(grid_run):
    result, formula, tensors = grid_run
    probe = result.probe()
    initial = {
        name: at["initial_lr"]
        for group, at in zip(probe["groups"], probe["steps"][0]["groups"], strict=True)
        for name in group["names"]
    }
    assert len(initial) == probe["network"]["tensors"] == tensors
    wrong = {name: (lr, formula(name)) for name, lr in initial.items() if lr != pytest.approx(formula(name), rel=1e-6)}
    assert wrong == {}


def test_ratios_between_groups_hold_through_warmup_and_cosine(grid_run):
    result, formula, _ = grid_run
    positions = []
    for step in range(1, 5):  # at step 0 of a warmup every LR is 0
        ratios = {name: lr / formula(name) for name, lr in result.learning_rates(step).items()}
        assert max(ratios.values()) == pytest.approx(min(ratios.values()), rel=1e-6)
        positions.append(next(iter(ratios.values())))
    assert positions[0] == pytest.approx(0.5)  # the schedule did move
    assert positions[1] == pytest.approx(1.0)
    assert positions[3] < positions[2] < 1


def test_groups_carry_the_names_of_their_parameters(grid_run):
    for group in grid_run[0].probe()["groups"]:
        assert group["param_names"] == group["names"]


def test_the_clip_measures_the_optimizers_parameters_and_nothing_else(grid_run):
    clips = grid_run[0].probe()["clips"]
    assert len(clips) == 5
    for clip in clips:
        assert clip["total_norm"] == pytest.approx(clip["optimizer_norm"], rel=1e-4)
        assert (clip["outside_norm"], clip["outside_with_grad"]) == (0, 0)


def test_the_plan_beside_the_lora_says_the_same(grid_run):
    result, formula, _ = grid_run
    plan = json.loads((result.folder / f"{result.name}.lr_grid.json").read_text())
    for module in plan["modules"]:
        for side in ("down", "up"):
            assert module[f"lr_{side}"] == pytest.approx(formula(f"{module['name']}.lora_{side}.weight"), rel=1e-6)
        assert module["rank"] == 4
        assert module["why"]


def test_the_lora_is_a_standard_kohya_file_that_says_how_it_was_made(grid_run):
    result = grid_run[0]
    metadata = result.metadata()
    assert metadata["ss_network_module"].startswith("networks.lora")
    assert metadata["ss_network_module"].endswith("_grid")
    assert json.loads(metadata["ss_network_args"])["depth_strategy"] in ("linear", "inverted_u")
    suffixes = {key.split(".", 1)[1] for key in result.lora()}
    assert suffixes == {"lora_down.weight", "lora_up.weight", "alpha"}


def test_the_grid_is_printed_before_the_first_step(grid_run):
    text = grid_run[0].text
    assert 0 < text.index("[lr_grid] model=") < text.index("running training")
