"""Every sample config is right: its commands, keys and dataset in the real trainer, its grid on the real model; and as
many as there are tiny models for train in the real script, with only paths, sizes and the number of steps the test's."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli
from inventories.config_paths import with_real_paths
from inventories.running import run_inventory

FOLDER = Path(__file__).parent.parent / "sample_configs"


@dataclass(frozen=True)
class Sample:
    """A pair of files, ``name.toml`` and ``name_dataset.toml``: which script they are for, and on which model."""

    folder: str
    script: str
    size: str
    """What the inventories call the model."""
    tiny: str | None = None
    """The tiny model to train on, or None."""
    shallow: bool = False
    """Whether the tiny model has too few blocks for the block numbers in the config."""


def _sd(script: str, size: str, tiny: str, shallow: bool = False) -> Sample:
    return Sample("sd-scripts", f"{script}.py", size, tiny, shallow)


def _musubi(script: str, size: str, tiny: str | None = None, shallow: bool = False) -> Sample:
    return Sample("musubi-tuner", f"src/musubi_tuner/{script}_train_network.py", size, tiny, shallow)


SAMPLES = {
    "sd15": _sd("train_network", "SD 1.5", "sd15", True),
    "sdxl": _sd("sdxl_train_network", "SDXL", "sdxl"),
    "sdxl_lycoris": _sd("sdxl_train_network", "SDXL", "sdxl"),
    "flux": _sd("flux_train_network", "FLUX.1 dev", "flux_19_38"),
    "chroma": _sd("flux_train_network", "Chroma", "chroma", True),
    "sd3": _sd("sd3_train_network", "SD3.5 medium", "sd3", True),
    "lumina": _sd("lumina_train_network", "Lumina-Image 2", "lumina", True),
    "hunyuan_image": _sd("hunyuan_image_train_network", "HunyuanImage 2.1", "hunyuan_image"),
    "anima": _sd("anima_train_network", "Anima", "anima", True),
    "hunyuan_video": _musubi("hv", "HunyuanVideo", "hv_20_40"),
    "hunyuan_video_1_5": _musubi("hv_1_5", "HunyuanVideo 1.5", "hv15"),
    "framepack": _musubi("fpack", "FramePack", "fpack"),
    "wan": _musubi("wan", "Wan 2.1 T2V 1.3B", "wan_30"),
    "wan22": _musubi("wan", "Wan 2.2 T2V A14B"),
    "flux_kontext": _musubi("flux_kontext", "FLUX.1 Kontext", "kontext", True),
    "flux2": _musubi("flux_2", "FLUX.2 Klein 9B", "flux2", True),
    "qwen_image": _musubi("qwen_image", "Qwen-Image", "qwen_60"),
    "qwen_image_edit": _musubi("qwen_image", "Qwen-Image"),
    "zimage": _musubi("zimage", "Z-Image", "zimage_30"),
    "kandinsky5": _musubi("kandinsky5", "Kandinsky 5 Pro video"),
    "krea2": _musubi("krea2", "Krea 2", "krea2", True),
    "hidream_o1": _musubi("hidream_o1", "HiDream-O1 (t2i)"),
    "ideogram4": _musubi("ideogram4", "Ideogram 4"),
}
OTHERS = ("grid.toml", "musubi-tuner/hunyuan_video_grid.toml")
TRAINED = [name for name, sample in SAMPLES.items() if sample.tiny]
KINDS = {"sd_scripts": "sd-scripts", "musubi": "musubi-tuner"}

# What notices of a plan may say: how something came about, never that something sets nothing.
TELLING = (
    r"fused: geometric mean of self_attn \S+ and ffn \S+",
    r"block_lr takes the place of component LR and depth in its blocks",
    r"rank_budget \S+: .+ parameters \(.+%\) in \d+ modules; ranks \d+ to \d+",
    r"module_lr sets \d+ modules; component, depth and block settings do not reach them",
)
# Kinds of settings that the grids show, all together.
SHOWN = (
    "self_attn_lr cross_attn_lr ffn_lr norm_lr mod_lr fused_lr embed_lr other_lr component_lr depth_strategy"
    " min_depth_factor peak_position depth_scope depth_levels block_lr_weight block_lr module_lr loraplus_lr_ratio"
    " loraplus_unet_lr_ratio loraplus_ffn_lr_ratio exclude_components exclude_block_indices"
    " exclude_single_block_indices train_single_block_indices te_train_block_indices te1_min_depth_factor te2_ffn_lr"
    " grid block_dims block_alphas mod_dim mod_alpha module_alphas rank_strategy rank_multiple rank_budget"
).split()
FEATURES = {
    "sd-scripts": (
        "alpha_mask secondary_separator enable_wildcard caption_prefix caption_suffix keep_tokens keep_tokens_separator"
        " shuffle_caption caption_dropout_rate caption_dropout_every_n_epochs caption_tag_dropout_rate token_warmup_min"
        " token_warmup_step random_crop flip_aug color_aug bucket_no_upscale bucket_reso_steps min_bucket_reso"
        " max_bucket_reso class_tokens is_reg metadata_file num_repeats validation_split cache_info"
        " resize_interpolation"
    ).split(),
    "musubi-tuner": (
        "image_directory video_directory image_jsonl_file video_jsonl_file cache_directory control_directory"
        " control_resolution no_resize_control target_frames frame_extraction frame_stride frame_sample max_frames"
        " source_fps fp_latent_window_size num_repeats bucket_no_upscale"
    ).split(),
}


def file_of(name: str, dataset: bool = False) -> Path:
    return FOLDER / SAMPLES[name].folder / f"{name}{'_dataset' if dataset else ''}.toml"


def arguments_of(name: str) -> list[str]:
    return tomli.loads(file_of(name).read_text(encoding="utf-8"))["network"]["network_args"]


# Without a trainer.


def test_every_file_is_in_the_table_and_in_the_readme():
    files = {file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*") if file.is_file()}
    pairs = [file_of(name, dataset).relative_to(FOLDER).as_posix() for name in SAMPLES for dataset in (False, True)]
    assert files == {*pairs, *OTHERS, "README.md"}
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [file for file in (*OTHERS, *map(file_of_readme, SAMPLES)) if f"({file})" not in readme] == []


def file_of_readme(name: str) -> str:
    return file_of(name).relative_to(FOLDER).as_posix()


def test_together_the_grids_show_every_kind_of_setting():
    given = {argument.partition("=")[0] for name in SAMPLES for argument in arguments_of(name)}
    assert [key for key in SHOWN if key not in given] == []


@pytest.mark.parametrize("folder", FEATURES)
def test_together_the_dataset_configs_show_what_the_trainer_can_do(folder):
    shown: set[str] = set()
    for name, sample in SAMPLES.items():
        if sample.folder == folder:
            config = tomli.loads(file_of(name, dataset=True).read_text(encoding="utf-8"))
            tables = [config["general"], *config["datasets"]]
            tables += [subset for dataset in config["datasets"] for subset in dataset.get("subsets", ())]
            shown.update(*tables)
    assert [key for key in FEATURES[folder] if key not in shown] == []


@pytest.mark.parametrize("name", SAMPLES)
def test_every_line_of_a_grid_is_explained_somewhere(name):
    """No two samples have the same grid, and each says what it is in its first line."""
    text = file_of(name).read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert all(arguments_of(name) != arguments_of(other) for other in SAMPLES if other != name)


# In the real trainers, up to the optimizer's groups.

WRONG = {
    # what is wrong: (sample, which of its two files, text, what takes its place, what the finding must hold)
    "an unknown key": ("flux", "", "max_grad_norm =", "max_grad_nrom =", "max_grad_nrom is no argument"),
    "a value of another type": ("chroma", "", "seed = 42", 'seed = "42"', "seed = '42'"),
    "an unknown choice": ("lumina", "", '"nextdit_shift"', '"nextdit"', "timestep_sampling = 'nextdit'"),
    "an option that the script does not have": (
        "anima",
        "",
        "_network.py --config_file",
        "_network.py --config",
        "--config",
    ),
    "a key of no dataset": ("sdxl", "_dataset", "flip_aug =", "flip =", "extra keys not allowed"),
    "caching beside random crops": ("sd15", "", "sdpa = true", "sdpa = true\ncache_latents = true", "random_crop"),
    "cached texts beside shuffling": (
        "flux",
        "_dataset",
        "enable_bucket",
        "shuffle_caption = true\nenable_bucket",
        "shuffle",
    ),
    "a setting of the grid": ("sd3", "", "ffn_lr=", "fnn_lr=", "ffn_lr"),
    "a block that is not there": ("chroma", "", "block_indices=34-37", "block_indices=34-38", "38"),
    "an unknown key in musubi-tuner": ("wan", "", "max_grad_norm =", "max_grad_nrom =", "max_grad_nrom is no argument"),
    "an option that a caching script does not have": ("zimage", "", "--text_encoder ", "--te ", "--text_encoder"),
    "an option that must be on the command line": ("kandinsky5", "", "--task k5-pro-t2v-5s-sd ", "", "--task"),
    "a frame rate without its .0": ("wan", "_dataset", "30.0", "30", "source_fps"),
    "a number of frames": ("hunyuan_video", "_dataset", "[25, 45]", "[25, 44]", "multiple of 4 plus 1"),
    "two = in an argument": ("krea2", "", '"ffn_lr=0.5x"', '"ffn_lr=0.5x=1"', "too many values"),
    "a setting in the grid's file": ("hunyuan_video", "_grid", "cross_attn_lr", "cross_atn_lr", "cross_attn_lr"),
}


@pytest.fixture(scope="module", params=KINDS)
def results(request, tmp_path_factory):
    """What came of the samples of a trainer, and of copies with a mistake in them, by name or by mistake."""
    kind, trainer = request.param, request.getfixturevalue(request.param)
    jobs = {n: (file_of(n), sample.size) for n, sample in SAMPLES.items() if sample.folder == KINDS[kind]}
    for mistake, (name, which, old, new, _) in WRONG.items():
        if name in jobs:
            folder = tmp_path_factory.mktemp("wrong")
            for file in file_of(name).parent.glob(f"{name}*.toml"):
                shutil.copy(file, folder)
            wrong = folder / f"{name}{which}.toml"
            text = wrong.read_text(encoding="utf-8")
            assert old in text
            wrong.write_text(text.replace(old, new), encoding="utf-8")
            jobs[mistake] = (folder / f"{name}.toml", SAMPLES[name].size)
    file = tmp_path_factory.mktemp("jobs") / "jobs.json"
    file.write_text(json.dumps([{"training": str(path), "size": size} for path, size in jobs.values()]))
    return kind, dict(zip(jobs, run_inventory("configs.py", trainer, kind, str(file)), strict=True))


def of_samples(results) -> dict[str, Any]:
    kind, found = results
    return {name: found[name] for name, sample in SAMPLES.items() if sample.folder == KINDS[kind]}


@pytest.mark.trainer
def test_the_trainer_takes_every_command_every_key_and_every_dataset(results):
    found = of_samples(results)
    assert {name: result["problems"] for name, result in found.items() if result["problems"]} == {}
    for name, result in found.items():
        *caching, script = result["scripts"]
        assert script == SAMPLES[name].script
        kinds = [re.search("cache_(latents|pixel|text_encoder_outputs)", command) for command in caching]
        assert len(kinds) == (2 if results[0] == "musubi" else 0)
        assert all(kinds)


@pytest.mark.trainer
def test_the_grid_is_planned_on_the_real_model_and_every_setting_sets_something(results):
    for name, result in of_samples(results).items():
        plan = result["plan"]
        assert len(plan["lrs"]) > 1, name
        assert 0 < plan["lrs"][0] < plan["lrs"][-1] < 1e-3, name
        assert plan["params"] > 1_000_000
        given = {argument.partition("=")[0] for argument in arguments_of(name)}
        assert any(key in given for key in plan["settings"])
        strange = [line for line in plan["notices"] if not any(re.fullmatch(known, line) for known in TELLING)]
        assert strange == [], name


@pytest.mark.trainer
def test_mistakes_are_found(results):
    """The twin of the two tests above: what they would say of a sample that is wrong."""
    found = {mistake: results[1][mistake]["problems"] for mistake in WRONG if mistake in results[1]}
    assert len(found) > 5
    for mistake, problems in found.items():
        assert any(WRONG[mistake][4] in problem for problem in problems), (mistake, problems)


# In the real scripts.

DEEP = re.compile(r"\w*block_\w+=|module_lr=")
"""Arguments that number blocks."""
SMALL = {r"resolution = .*": "resolution = 64", r"min_bucket_reso = \d+": "min_bucket_reso = 64"}
SMALL |= {r"max_bucket_reso = \d+": "max_bucket_reso = 128"}
SHORT = {"flux": ("--t5xxl_max_token_length=16",), "chroma": ("--t5xxl_max_token_length=16",)}
SHORT |= {"sd3": ("--t5xxl_max_token_length=16",), "lumina": ("--gemma2_max_token_length=32",)}
SHORT |= {"anima": ("--qwen3_max_token_length=32", "--t5_max_token_length=16")}


@pytest.mark.trainer
@pytest.mark.parametrize("name", TRAINED)
def test_a_sample_config_trains_under_its_grid(request, tmp_path, name):
    sample = SAMPLES[name]
    trainer = request.getfixturevalue(next(kind for kind, folder in KINDS.items() if folder == sample.folder))
    arguments = [a for a in arguments_of(name) if not (sample.shallow and DEEP.match(a))]
    arguments = [a.replace("/path/to", file_of(name).parent.as_posix()) for a in arguments]
    options: dict[str, Any] = {"config_file": file_of(name), "network_args": arguments, "steps": 2}
    if sample.folder == "sd-scripts":
        dataset = with_real_paths(file_of(name, dataset=True), tmp_path)
        text = dataset.read_text(encoding="utf-8")
        for pattern, small in SMALL.items():
            text = re.sub(pattern, small, text)
        dataset.write_text(text, encoding="utf-8")
        options |= {"dataset_config": dataset, "extra": [*SHORT.get(name, ()), "--max_train_epochs=1"]}

    result = trainer.run(Path(sample.script).name, sample.tiny, workdir=tmp_path, **options).expect_success()

    check(result, dict(argument.split("=", 1) for argument in arguments))


def check(result, arguments: dict[str, str]) -> None:
    """The optimizer's LRs are the plan's, and the plan was made from the config's arguments."""
    plan = json.loads((result.folder / f"{result.name}.lr_grid.json").read_text())
    assert json.loads(result.metadata()["ss_network_args"]).items() >= arguments.items()
    initial = result.initial_rates()
    assert len(set(initial.values())) > 1
    by_module: dict[str, dict[str, float]] = {}
    for name, lr in initial.items():
        module, _, tensor = name.partition(".")
        by_module.setdefault(module, {})[tensor] = lr
    trained = {module["name"]: module for module in plan["modules"] if not module["frozen"]}
    assert by_module.keys() == trained.keys()
    for name, tensors in by_module.items():
        for tensor, lr in tensors.items():
            side = "up" if tensor.startswith("lora_up") else "down"
            assert lr == pytest.approx(trained[name][f"lr_{side}"]), (name, tensor)
