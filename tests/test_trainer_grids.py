"""Grids in the real scripts: every parameter's LR by the formula, from the first step to the last."""

from __future__ import annotations

import json
import re

import pytest
from oracle import anima_place, flux_place, inverted_u, is_up, linear, lumina_place, sd3_place, sd15_place, sdxl_place
from trainers.every import chosen

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


def sd3_lr(name: str) -> float:
    if name.startswith("lora_te"):
        encoder, layer = re.match(r"lora_te(\d)_.*?(?:layers|block)_(\d)", name).groups()
        lr = {"1": 1e-4, "2": 2e-4, "3": 3e-4}[encoder]
        if not re.search("mlp|DenseReluDense", name):
            lr *= 2
        return lr * linear(int(layer), 2, 0.5)
    block, component = sd3_place(name)
    return {"self_attn": 2 * BASE, "ffn": 3e-4}.get(component, 4e-4) * linear(block, 2, 0.3)


LUMINA_STACKS = {"context_refiner": 2, "noise_refiner": 2, "layers": 3}


def lumina_lr(name: str) -> float:
    if name.startswith("lora_te"):
        return TE * (0.5 if "mlp" in name else 1)
    stack, block, component = lumina_place(name)
    lr = {"self_attn": 2 * BASE, "ffn": 0.5 * BASE}.get(component, BASE)
    if stack:
        lr *= linear(block, LUMINA_STACKS[stack], 0.2) * (0.1 if stack == "noise_refiner" else 1)
    return lr * 4 if is_up(name) else lr


def hunyuan_image_lr(name: str) -> float:
    stack, block, component = flux_place(name)
    lr = {"self_attn": 2 * BASE, "cross_attn": 0.5 * BASE, "fused": 1.5 * BASE}.get(component, BASE)
    return lr * linear(block, {"double": 2, "single": 3}[stack], 0.3)


def anima_lr(name: str) -> float:
    if name.startswith("lora_te"):
        return TE * (2 if "self_attn" in name else 1) * (0.1 if "layers_1" in name else 1)
    stack, block, component = anima_place(name)
    if (block, component) == (1, "ffn") and stack == "blocks":
        return 7e-5
    return {"self_attn": 2 * BASE, "cross_attn": 0.5 * BASE}.get(component, BASE) * (3 if stack == "llm_adapter" else 1)


def of_sd15(ratio: float = 1):
    """A grid on the other modules of SD1.x."""

    def formula(name: str) -> float:
        if name.startswith("lora_te"):
            return TE * (ratio if is_up(name) else 1)
        block, component = sd15_place(name)
        lr = {"self_attn": 2 * BASE}.get(component, BASE)
        lr = lr if component == "other" else lr * linear(block, 25, 0.3)
        return lr * (ratio if is_up(name) else 1)

    return formula


def oft_flux_lr(name: str) -> float:
    stack, block, component = flux_place(name)
    return (
        BASE
        * {"self_attn": 2, "cross_attn": 3, "fused": 0.5, "ffn": 1, "mod": 1}[component]
        * (0.1 if (stack, block) == ("single", 1) else 1)
    )


OF_SD15 = ["self_attn_lr=2x", "depth_strategy=linear"]

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
    "sd3": (
        "sd3_train_network.py",
        "networks.lora_sd3_grid",
        [
            "depth_strategy=linear",
            "self_attn_lr=2x",
            "ffn_lr=3e-4",
            "default_lr=4e-4",
            "te_self_attn_lr=2x",
            "te_depth_strategy=linear",
            "te_min_depth_factor=0.5",
            "train_t5xxl=True",
        ],
        ["--text_encoder_lr", "1e-4", "2e-4", "3e-4"],
        sd3_lr,
        114,
    ),
    "lumina": (
        "lumina_train_network.py",
        "networks.lora_lumina_grid",
        [
            *("depth_strategy=linear", "min_depth_factor=0.2", "self_attn_lr=2x", "ffn_lr=0.5x"),
            *("block_lr_weight=noise_refiner:0.1", "loraplus_unet_lr_ratio=4", "te_ffn_lr=0.5x"),
        ],
        [f"--text_encoder_lr={TE}"],
        lumina_lr,
        126,
    ),
    "hunyuan_image": (
        "hunyuan_image_train_network.py",
        "networks.lora_hunyuan_image_grid",
        ["depth_strategy=linear", "self_attn_lr=2x", "cross_attn_lr=0.5x", "fused_lr=1.5x"],
        [],
        hunyuan_image_lr,
        58,
    ),
    "anima": (
        "anima_train_network.py",
        "networks.lora_anima_grid",
        [
            *("self_attn_lr=2x", "cross_attn_lr=0.5x", "train_llm_adapter=true", "block_lr_weight=llm_adapter:3"),
            r"network_reg_lrs=blocks\.1\.mlp\..*=7e-5",
            *("te_self_attn_lr=2x", "te_block_lr_weight=1:0.1"),
        ],
        [f"--text_encoder_lr={TE}"],
        anima_lr,
        128,
    ),
    "dylora": (
        "train_network.py",
        "networks.dylora_grid",
        [*OF_SD15, "loraplus_lr_ratio=8"],
        [f"--text_encoder_lr={TE}"],
        of_sd15(8),
        1632,
    ),
    "lora_fa": (
        "train_network.py",
        "networks.lora_fa_grid",
        OF_SD15,
        [f"--text_encoder_lr={TE}"],
        of_sd15(),
        204,
    ),
    "oft": (
        "train_network.py",
        "networks.oft_grid",
        [*OF_SD15, "enable_all_linear=True"],
        ["--network_alpha=1e-3"],
        of_sd15(),
        192,
    ),
    "oft_flux": (
        "flux_train_network.py",
        "networks.oft_flux_grid",
        [
            "enable_all_linear=True",
            "self_attn_lr=2x",
            "cross_attn_lr=3x",
            "fused_lr=0.5x",
            "block_lr_weight=single_1:0.1",
        ],
        ["--network_alpha=1e-3"],
        oft_flux_lr,
        40,
    ),
}
# Runs that do not have their own name's model.
MODEL_OF = {"dylora": "sd15", "lora_fa": "sd15", "oft": "sd15", "oft_flux": "flux"}


_EACH_RUN = ("sd15", "sdxl", "flux_19_38", "sd3", "lumina", "anima", "dylora", "oft_flux")


@pytest.fixture(scope="module", params=chosen(GRIDS, _EACH_RUN.__contains__))
def grid_run(request, sd_scripts, tmp_path_factory):
    """(one run under a grid, its formula, its number of tensors), five steps under warmup and cosine."""
    script, module, network_args, extra, formula, tensors = GRIDS[request.param]
    result = sd_scripts.run(
        script,
        MODEL_OF.get(request.param, request.param),
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
    probe, initial = result.probe(), result.initial_rates()
    assert len(initial) == tensors
    one_side = all("lora_up" in name for name in initial)  # LoRA-FA
    assert probe["network"]["tensors"] == (2 if one_side else 1) * tensors
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
    names = [name for group in result.probe()["groups"] for name in group["names"]]
    modules = {module["name"]: module for module in plan["modules"]}
    assert modules.keys() == {name.partition(".")[0] for name in names}
    for name in names:
        module = modules[name.partition(".")[0]]
        assert module["lr_up" if is_up(name) else "lr_down"] == pytest.approx(formula(name), rel=1e-6)
        assert module["rank"] == 4
        assert module["why"]


def test_the_lora_is_a_standard_kohya_file_that_says_how_it_was_made(grid_run):
    result = grid_run[0]
    metadata = result.metadata()
    module = metadata["ss_network_module"]
    assert module.startswith("networks.")
    assert module.endswith("_grid")
    assert {"self_attn_lr", "component_lr"} & json.loads(metadata["ss_network_args"]).keys()
    suffixes = {re.sub(r"\.\d+$", "", key.split(".", 1)[1]) for key in result.lora()}
    assert suffixes == {"alpha"} | ({"oft_blocks"} if "oft" in module else {"lora_down.weight", "lora_up.weight"})


def test_the_grid_is_printed_before_the_first_step(grid_run):
    text = grid_run[0].text
    assert 0 < text.index("[lr_grid] model=") < text.index("running training")
