"""A LoRA of many ranks and alphas in upstream's own scripts: merged, resized, loaded, continued."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from trainers.every import chosen
from trainers.forward_cases import Case
from trainers.result import RunResult
from trainers.sd_scripts import SdScripts

pytestmark = pytest.mark.trainer


@dataclass(frozen=True)
class Mixed:
    """How a LoRA of mixed ranks is trained on a model, and how upstream merges it."""

    model: str
    script: str
    module: str
    network_args: tuple[str, ...]
    """The grid's own keys of ranks and alphas."""
    ranks: frozenset[int]  # what the file must hold, so that the test is one of mixed ranks
    alphas: frozenset[float]
    merge: str
    merge_model: str  # the merge script's option for the model

    @property
    def base(self) -> str:
        """Upstream's module, which knows nothing of the grid."""
        return self.module.removesuffix("_grid")

    def __str__(self) -> str:
        return self.model


MIXED = [
    Mixed(
        "sd15", "train_network.py", "networks.lora_grid",
        ("block_dims=1-8:2,12:5", "self_attn_dim=3", "block_alphas=16-20:1", "conv_block_dims=1-3:1,16-24:6",
         "conv_block_alphas=1-3:2.5", "ffn_alpha=1x"),
        frozenset({1, 2, 3, 4, 5, 6}), frozenset({1, 2, 2.5, 4, 5}),
        "networks/merge_lora.py", "--sd_model",
    ),
    Mixed(
        "sdxl", "sdxl_train_network.py", "networks.lora_grid",
        ("rank_strategy=reverse_linear", "min_rank_factor=0.25", "cross_attn_dim=6", "conv_block_dims=4-9:1,13-21:3",
         "self_attn_alpha=0.5x", "conv_block_alphas=13-21:4"),
        frozenset({1, 2, 3, 4, 5}), frozenset({1, 1.5, 2, 4}),
        "networks/sdxl_merge_lora.py", "--sd_model",
    ),
    Mixed(
        "flux", "flux_train_network.py", "networks.lora_flux_grid",
        ("self_attn_dim=2", "cross_attn_dim=6", "ffn_dim=5", "fused_dim=3", "block_dims=single_0:1",
         "module_alphas=.:0.5x"),
        frozenset({1, 2, 3, 4, 5, 6}), frozenset({0.5, 1, 1.5, 2, 2.5, 3}),
        "networks/flux_merge_lora.py", "--flux_model",
    ),
]  # fmt: skip
DIM, ALPHA = 4, 2


@pytest.fixture(scope="module")
def trained(sd_scripts, tmp_path_factory) -> Callable[[Mixed], RunResult]:
    """The LoRA of a row, trained once: two steps at an LR that takes every up side well away from zero."""
    done: dict[str, RunResult] = {}

    def train(mixed: Mixed) -> RunResult:
        if mixed.model not in done:
            folder = tmp_path_factory.mktemp(mixed.model)
            done[mixed.model] = train_on(sd_scripts, mixed, folder, "lora", mixed.network_args, learning_rate=0.02)
        return done[mixed.model].expect_success()

    return train


def train_on(sd_scripts: SdScripts, mixed: Mixed, workdir: Path, name: str, network_args=(), extra=(), **options):
    return sd_scripts.run(
        mixed.script, mixed.model, workdir=workdir, name=name, steps=2, network_module=mixed.module,
        network_args=network_args, extra=["--network_train_unet_only", *extra], network_dim=DIM, network_alpha=ALPHA,
        **options,
    ).expect_success()  # fmt: skip


def sizes(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, float]]:
    """(rank, alpha) of every module."""
    names = [key.removesuffix(".alpha") for key in tensors if key.endswith(".alpha")]
    return {name: (len(tensors[f"{name}.lora_down.weight"]), float(tensors[f"{name}.alpha"])) for name in names}


def other_alphas(mixed: Mixed) -> tuple[str, ...]:
    return tuple(argument for argument in mixed.network_args if "alpha" not in argument.partition("=")[0])


def assert_one_model(outputs: Mapping[str, torch.Tensor], *names: str, unlike: tuple[str, ...] = ("base",)) -> None:
    """The named cases agree as far as float32 goes, measured by what the LoRA changes; those of ``unlike`` do not."""
    first = outputs[names[0]]
    change = float((first - outputs["base"]).abs().max())
    assert change > 1e-4 * float(first.abs().max())
    away = {name: float((first - outputs[name]).abs().max()) / change for name in (*names, *unlike)}
    assert {name: far for name, far in away.items() if (far < 1e-3) != (name in names)} == {}, away
    assert all(away[name] > 0.02 for name in unlike), away


@pytest.mark.parametrize("mixed", chosen(MIXED, lambda mixed: mixed.model == "flux"), ids=str)
def test_trained_loaded_and_merged_are_one_model(sd_scripts, trained, tmp_path, mixed):
    lora = trained(mixed)
    held = sizes(lora.lora()).values()
    assert ({rank for rank, _ in held}, {alpha for _, alpha in held}) == (mixed.ranks, mixed.alphas)
    merged = sd_scripts.tool(
        mixed.merge,
        [
            f"{mixed.merge_model}={sd_scripts.checkpoint(mixed.model)}",
            *("--models", lora.lora_path, "--ratios", "1", "--precision=float", "--save_precision=float"),
        ],
        model=mixed.model,
        workdir=tmp_path,
        name="merged",
    ).expect_success()
    assert "no module found" not in merged.text
    network = {"weights": lora.lora_path, "network_dim": DIM}
    outputs = sd_scripts.forward(
        mixed.model,
        {
            "base": Case(),
            "trained": Case(**network, module=mixed.module, network_args=mixed.network_args, network_alpha=ALPHA),
            "loaded": Case(**network, module=mixed.base),
            "merged": Case(checkpoint=merged.lora_path),
            "merged in memory": Case(merged=lora.lora_path),
            "other alphas": Case(
                **network, module=mixed.module, network_args=other_alphas(mixed), network_alpha=3 * ALPHA
            ),
        },
        workdir=tmp_path,
    )
    assert_one_model(outputs, "trained", "loaded", "merged", "merged in memory", unlike=("base", "other alphas"))


@pytest.mark.parametrize("mixed", chosen(MIXED, lambda mixed: mixed.model == "sd15"), ids=str)
def test_upstreams_module_goes_on_from_the_file_with_its_ranks_and_alphas(sd_scripts, trained, tmp_path, mixed):
    first = trained(mixed)
    second = train_on(
        sd_scripts, replace(mixed, module=mixed.base), tmp_path, "second",
        extra=["--dim_from_weights", f"--network_weights={first.lora_path}"], learning_rate=1e-6,
    )  # fmt: skip
    assert_it_went_on(first, second)


def test_the_grid_goes_on_from_the_file_with_the_same_settings_and_with_its_ranks(sd_scripts, trained, tmp_path):
    mixed, first = MIXED[0], trained(MIXED[0])
    weights = f"--network_weights={first.lora_path}"
    same = train_on(sd_scripts, mixed, tmp_path, "same", mixed.network_args, [weights], learning_rate=1e-6)
    assert_it_went_on(first, same)
    extra = [weights, "--dim_from_weights"]
    from_file = train_on(sd_scripts, mixed, tmp_path, "file", mixed.network_args, extra, learning_rate=1e-6)
    assert_it_went_on(first, from_file)
    assert "--dim_from_weights: the ranks are the file's: block_alphas, block_dims" in from_file.text


def assert_it_went_on(first: RunResult, second: RunResult) -> None:
    before, after = first.lora(), second.lora()
    assert sizes(after) == sizes(before)
    assert after.keys() == before.keys()
    moved = [float((after[key] - before[key]).abs().max()) for key in before if not key.endswith(".alpha")]
    assert max(moved) < 1e-5  # it began at the weights of the file,
    assert sum(step > 0 for step in moved) > len(moved) / 4  # and trained them


def resize(
    sd_scripts: SdScripts, mixed: Mixed, lora: RunResult, workdir: Path, name: str, *arguments: str
) -> RunResult:
    return sd_scripts.tool(
        "networks/resize_lora.py",
        [f"--model={lora.lora_path}", "--save_precision=float", *arguments],
        model=mixed.model,
        workdir=workdir,
        name=name,
    ).expect_success()


@pytest.mark.parametrize("mixed", [MIXED[0], MIXED[2]], ids=str)
def test_resize_to_one_rank_keeps_the_scale_of_every_module(sd_scripts, trained, tmp_path, mixed):
    lora = trained(mixed)
    before, tensors = sizes(lora.lora()), lora.lora()
    after = sizes(resize(sd_scripts, mixed, lora, tmp_path, "small", "--new_rank=2").lora())
    assert after.keys() == before.keys()
    for name, (rank, alpha) in after.items():
        assert rank == (2 if tensors[f"{name}.lora_up.weight"].any() else 1)  # the script's rank for what is all zero
        assert alpha / rank == pytest.approx(before[name][1] / before[name][0])


def test_resize_above_every_rank_changes_nothing_and_a_dynamic_one_gives_many_ranks(sd_scripts, trained, tmp_path):
    mixed = MIXED[0]
    lora = trained(mixed)
    arguments = ["--new_rank=8", "--dynamic_method=sv_fro", "--dynamic_param=0.9"]
    dynamic = sizes(resize(sd_scripts, mixed, lora, tmp_path, "dynamic", *arguments).lora())
    assert len({rank for rank, _ in dynamic.values()}) > 1
    large = resize(sd_scripts, mixed, lora, tmp_path, "large", "--new_rank=8")
    outputs = sd_scripts.forward(
        mixed.model,
        {
            "base": Case(),
            "before": Case(module=mixed.base, weights=lora.lora_path),
            "large": Case(module=mixed.base, weights=large.lora_path),
        },
        workdir=tmp_path,
    )
    assert_one_model(outputs, "before", "large")


def test_check_lora_weights_lists_every_tensor(sd_scripts, trained, tmp_path):
    lora = trained(MIXED[0])
    result = sd_scripts.tool(
        "networks/check_lora_weights.py", [lora.lora_path],
        model=MIXED[0].model, workdir=tmp_path, name="listed", saves_with=None,
    ).expect_success()  # fmt: skip
    for key, tensor in lora.lora().items():
        if not key.endswith(".alpha"):
            assert f"{key},{str(tuple(tensor.shape)).replace(', ', '-')}," in result.text


# --- musubi-tuner ---

WAN = ("block_dims=1:2", "ffn_dim=6", "cross_attn_dim=3", "self_attn_alpha=1x", "module_alphas=ffn:2.5")


def cut(lora: Mapping[str, torch.Tensor], file: Path) -> Path:
    tensors = {}
    for number, name in enumerate(sizes(lora)):
        rank = number % 6 + 1
        tensors[f"{name}.lora_down.weight"] = lora[f"{name}.lora_down.weight"][:rank].clone()
        tensors[f"{name}.lora_up.weight"] = lora[f"{name}.lora_up.weight"][:, :rank].clone()
        tensors[f"{name}.alpha"] = torch.tensor((1.0, 4.0, 2.5, 8.0)[number % 4])
    save_file(tensors, file, {"ss_network_dim": "Dynamic"})
    return file


def train_and_cut(musubi, workdir: Path, script: str, model: str, module: str) -> Path:
    whole = musubi.run(
        script, model, workdir=workdir, name="lora", network_module=module, network_dim=6, network_alpha=6,
        learning_rate=0.02, steps=2,
    ).expect_success()  # fmt: skip
    file = cut(whole.lora(), workdir / "mixed.safetensors")
    held = sizes(load_file(file)).values()
    assert {rank for rank, _ in held} == {1, 2, 3, 4, 5, 6}
    assert len({alpha for _, alpha in held}) == 4
    return file


def test_wan_trained_loaded_merged_and_converted_are_one_model(musubi, tmp_path):
    module = "lr_grid.musubi.lora_wan_grid"
    file = (
        musubi.run(
            "wan_train_network.py", "wan", workdir=tmp_path, name="lora", network_module=module, network_args=WAN,
            network_dim=DIM, network_alpha=ALPHA, learning_rate=0.02, steps=2,
        )
        .expect_success()
        .lora_path
    )  # fmt: skip
    held = sizes(load_file(file)).values()
    assert {rank for rank, _ in held} == {2, 3, 4, 6}
    assert len({alpha for _, alpha in held}) == 3

    def convert(source: Path, target: str) -> Path:
        return (
            musubi.tool(
                "convert_lora.py", [f"--input={source}", f"--target={target}"],
                model="wan", workdir=tmp_path, name=f"to_{target}", saves_with="--output",
            )
            .expect_success()
            .lora_path
        )  # fmt: skip

    there = convert(file, "other")  # without alphas: sqrt(alpha / rank) goes into both sides
    assert not [key for key in load_file(there) if key.endswith("alpha")]
    back = convert(there, "default")
    assert {name: rank for name, (rank, _) in sizes(load_file(back)).items()} == {
        name: rank for name, (rank, _) in sizes(load_file(file)).items()
    }
    network = {"module": "networks.lora_wan"}
    outputs = musubi.forward(
        "wan",
        {
            "base": Case(),
            "trained": Case(module=module, weights=file, network_args=WAN, network_dim=DIM, network_alpha=ALPHA),
            "loaded": Case(**network, weights=file),
            "merged": Case(merged=file),
            "there and back": Case(**network, weights=back),
        },
        workdir=tmp_path,
    )
    assert_one_model(outputs, "trained", "loaded", "merged", "there and back")


def test_merge_lora_of_musubi_adds_every_module_at_its_own_scale(musubi, tmp_path):
    file = train_and_cut(musubi, tmp_path, "hv_train_network.py", "hv", "networks.lora")
    merged = musubi.tool(
        "merge_lora.py", [f"--dit={musubi.checkpoint('hv')}", "--device=cpu", "--lora_weight", file],
        model="hv", workdir=tmp_path, name="merged", saves_with="--save_merged_model",
    ).expect_success()  # fmt: skip
    base, after, lora = load_file(musubi.checkpoint("hv")), merged.lora(), load_file(file)
    assert after.keys() == base.keys()
    modules = {"lora_unet_" + key.removesuffix(".weight").replace(".", "_"): key for key in base}
    held = sizes(lora)
    for name, (rank, alpha) in held.items():
        product = lora[f"{name}.lora_up.weight"].float() @ lora[f"{name}.lora_down.weight"].float()
        change = after[modules[name]].float() - base[modules[name]].float()
        # the script saves bf16: rounding is no small part of a weight's change, but averages out over the module
        scale = float((change * product).sum() / product.square().sum())
        assert scale == pytest.approx(alpha / rank, rel=0.02)
    untouched = base.keys() - {modules[name] for name in held}
    assert all(torch.equal(after[key], base[key]) for key in untouched)
