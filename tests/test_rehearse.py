"""``lr-grid rehearse`` on the trainers' own scripts and models of real size: good commands pass, mistakes are found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from trainers.every import chosen
from trainers.musubi import Musubi
from trainers.rehearsals import DATASET, TRAINING, Stage
from trainers.sd_scripts import SdScripts

pytestmark = pytest.mark.trainer

UNET = "--network_train_unet_only"


@pytest.fixture(scope="module")
def sd(sd_scripts: SdScripts, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(sd_scripts, tmp_path_factory.mktemp("hollow_sd"))


@pytest.fixture(scope="module")
def mu(musubi: Musubi, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(musubi, tmp_path_factory.mktemp("hollow_musubi"))


@pytest.fixture(scope="module")
def user(sd_scripts: SdScripts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: images, a dataset config (with cache_info, which writes beside the images), an empty output."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copytree(sd_scripts.image_dir, folder / "images")
    (folder / "dataset.toml").write_text(DATASET.format(images=folder / "images"), encoding="utf-8")
    return folder


def seen(folder: Path) -> list[tuple[str, int, int]]:
    """All that is in a folder, with sizes and times of change."""
    return sorted((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in (folder, *folder.rglob("*")))


def files(stage: Stage, model: str) -> list[str]:
    """The options that name a model's files."""
    folder = stage.model(model)
    if model == "sd15":
        return [f"--pretrained_model_name_or_path={folder / 'sd15.safetensors'}"]
    t5 = [f"--t5xxl={stage.model('flux') / 't5xxl.safetensors'}"] if model in ("chroma", "sd3") else []
    beside = {
        "flux": ("clip_l", "t5xxl", "ae"),
        "sd3": ("clip_l", "clip_g"),
        "lumina": ("gemma2", "ae"),
        "anima": ("vae",),
        "hunyuan_image": ("byt5", "vae"),
    }.get(model, ())
    options = [f"--{name}={folder / name}.safetensors" for name in beside]
    if model == "chroma":
        options.append(f"--ae={stage.model('flux') / 'ae.safetensors'}")
    if model == "anima":
        options.append(f"--qwen3={folder / 'qwen3'}")
    if model == "hunyuan_image":
        options.append(f"--text_encoder={folder / 'qwen2_5_vl.safetensors'}")
    return [f"--pretrained_model_name_or_path={folder / model}.safetensors", *t5, *options]


def command(stage: Stage, user: Path, script: str, model: str, module: str, *more: str) -> list[str]:
    common = [
        f"--dataset_config={user / 'dataset.toml'}",
        f"--output_dir={user / 'out'}",
        f"--logging_dir={user / 'logs'}",
    ]
    common.append(f"--tokenizer_cache_dir={stage.trainer.tiny / 'tokenizers'}")
    return [script, *files(stage, model), *common, *TRAINING, f"--network_module=networks.{module}", *more]


FLUX = ("--timestep_sampling=sigmoid", "--sdpa")
GOOD = {
    "flux": ("flux_train_network.py", "flux", "lora_flux_grid", *FLUX, UNET, "--network_dim=64", "--fp8_base"),
    "sd15": ("train_network.py", "sd15", "lora_grid"),
    "one group": ("train_network.py", "sd15", "lora_grid", "--optimizer_type=lr_grid.optim.AdamW"),
    "sdxl": ("sdxl_train_network.py", "sdxl", "lora_grid", "--no_half_vae"),
    "sd3": ("sd3_train_network.py", "sd3", "lora_sd3_grid"),
    "chroma": (
        "flux_train_network.py", "chroma", "lora_flux_grid", *FLUX, UNET,
        "--model_type=chroma", "--apply_t5_attn_mask", "--guidance_scale=0.0",
    ),
    "lumina": ("lumina_train_network.py", "lumina", "lora_lumina_grid"),
    "hunyuan_image": (
        "hunyuan_image_train_network.py", "hunyuan_image", "lora_hunyuan_image_grid", UNET, "--attn_mode=torch",
    ),
    "anima": ("anima_train_network.py", "anima", "lora_anima_grid"),
}  # fmt: skip
GRID = ("--network_args", "per_layer_lr=true", "loraplus_lr_ratio=4")
TENSORS = {"flux": 608, "sd15": 528, "sdxl": 1972}


@pytest.mark.parametrize("name", chosen(GOOD, lambda name: name == "flux"))
def test_a_good_command_of_sd_scripts_passes_and_leaves_nothing_behind(name: str, sd: Stage, user: Path) -> None:
    words = command(sd, user, *GOOD[name], "--lr_scheduler=cosine", "--lr_warmup_steps=100", *GRID)
    before = seen(user), seen(sd.folder), seen(sd.trainer.folder)
    result = sd.rehearse("accelerate", "launch", *words).expect_passed()
    assert (seen(user), seen(sd.folder), seen(sd.trainer.folder)) == before
    wanted = {"arguments", "dataset", "grid", "groups", "clipping", "optimizer", "scheduler"}
    assert set(result.subjects) == wanted
    data = result.data
    assert data["refused"] == []
    assert data["dataset"] == {"items": 40, "batches": 20, "steps": 1600}
    assert data["groups"]["tensors"] == TENSORS.get(name, data["groups"]["tensors"])
    assert data["movement"]["unit"] == pytest.approx(1, rel=1e-3)
    assert all(cell["measured_lr"] == pytest.approx(cell["lr"], rel=1e-3) for cell in data["cells"])
    assert len({cell["lr"] for cell in data["cells"]}) > 4
    assert data["schedule"]["factors"]["1"] == 0
    assert data["schedule"]["factors"]["101"] == 1
    assert data["peak_mb"] < 3000


MUSUBI = {
    "wan": ("wan_train_network.py", "lora_wan", "--task=t2v-1.3B"),
    "qwen": ("qwen_image_train_network.py", "lora_qwen_image"),
    "zimage": ("zimage_train_network.py", "lora_zimage"),
    "hv": ("hv_train_network.py", "lora", "--guidance_scale=1.0"),
    "kontext": ("flux_kontext_train_network.py", "lora_flux"),
    "flux2": ("flux_2_train_network.py", "lora_flux_2", "--model_version=klein-base-4b"),
    "krea2": ("krea2_train_network.py", "lora_krea2", "--fp8_scaled"),
    "hv15": ("hv_1_5_train_network.py", "lora_hv_1_5", "--task=t2v"),
    "fpack": ("fpack_train_network.py", "lora_framepack"),
}


@pytest.mark.parametrize("name", chosen(MUSUBI, lambda name: name == "wan"))
def test_a_good_command_of_musubi_tuner_passes_and_leaves_nothing_behind(
    name: str, mu: Stage, musubi: Musubi, tmp_path: Path
) -> None:
    script, module, *more = MUSUBI[name]
    dataset = musubi._write_dataset(tmp_path / "dataset.toml", name)
    words = [
        f"src/musubi_tuner/{script}",
        f"--dit={mu.model(name) / name}.safetensors",
        "--sdpa",
        "--discrete_flow_shift=1",
    ]
    words += [f"--dataset_config={dataset}", f"--output_dir={tmp_path / 'out'}", "--optimizer_type=AdamW", *TRAINING]
    words += [f"--network_module=lr_grid.musubi.{module}_grid", *GRID, "--fp8_base", "--blocks_to_swap=1", *more]
    before = seen(tmp_path), seen(musubi.tiny / name), seen(musubi.folder / "src")
    result = mu.rehearse("python", *words).expect_passed()
    assert (seen(tmp_path), seen(musubi.tiny / name), seen(musubi.folder / "src")) == before
    assert {"arguments", "dataset", "grid", "groups", "clipping", "optimizer", "scheduler"} == set(result.subjects)
    assert result.data["dataset"]["items"] == 4
    assert result.data["movement"]["unit"] == pytest.approx(1, rel=1e-3)
    assert all(cell["measured_lr"] == pytest.approx(cell["lr"], rel=1e-3) for cell in result.data["cells"])


ONE_CYCLE = ("--lr_scheduler_type=OneCycleLR", "--lr_scheduler_args", "max_lr=1e-4", "total_steps=1600")
TWO_LRS = ("--network_args", "loraplus_lr_ratio=4")
PLANTED = {
    "a misspelt argument": ("lora_grid", ("--lerning_rate=1e-4",), "Did you mean learning_rate"),
    "a repeated flag": ("lora_grid", ("--network_args", "ffn_lr=2x", *TWO_LRS), "ffn_lr=2x is dropped"),
    "OneCycleLR": ("lora", (*ONE_CYCLE, *TWO_LRS), "scheduler: OneCycleLR does not keep the LRs apart"),
    "OneCycleLR under a grid": ("lora_grid", (*ONE_CYCLE, "--network_args", "ffn_lr=2x"), "OneCycleLR"),
    "eta_min": (
        "lora",
        ("--lr_scheduler_type=CosineAnnealingLR", "--lr_scheduler_args", "T_max=1600", "eta_min=1e-6", *TWO_LRS),
        "at step 1600 of 1600",
    ),
    "Prodigy with LoRA+": ("lora_grid", ("--optimizer_type=prodigyopt.Prodigy", *TWO_LRS), "different lr values"),
    "an optimizer that moves all alike": (
        "lora", ("--optimizer_type=moves_alike.Prodigy", *TWO_LRS), "moved all 384 tensors by the same",
    ),
    "Adafactor's default": ("lora", ("--optimizer_type=Adafactor", *TWO_LRS), "relative_step=False"),
    "a wrong block": ("lora_grid", ("--network_args", "block_lr_weight=unet_99:0.5"), "block 99 is out of range"),
    "a misspelt network argument": ("lora_grid", ("--network_args", "fnn_lr=2x"), "Did you mean ffn_lr"),
    "no bitsandbytes": ("lora_grid", ("--optimizer_type=AdamW8bit",), "No bitsandbytes"),
    "no xformers": ("lora_grid", ("--xformers",), "xformers is not installed here"),
    "no dataset config": ("lora_grid", ("--dataset_config=nowhere.toml",), "nowhere.toml"),
    "no images": ("lora_grid", ("--dataset_config={user}/empty.toml",), "ended before its first step"),
    "a text encoder trained from its cache": ("lora_grid", (), "Text Encoder cannot be trained with caching"),
    "an invalid train_blocks": ("lora_flux_grid", ("--network_args", "train_blocks=dubble"), "invalid train_blocks"),
    "another model's checkpoint": ("lora_grid", (), "Error(s) in loading state_dict"),
    "no model": ("lora_grid", ("--pretrained_model_name_or_path=me/none",), "not on this machine"),
}  # fmt: skip
SHOWN = ("a misspelt argument", "OneCycleLR", "an optimizer that moves all alike")


@pytest.mark.parametrize("name", chosen(PLANTED, lambda name: name in SHOWN))
def test_a_planted_mistake_is_found(name: str, sd: Stage, user: Path) -> None:
    module, more, message = PLANTED[name]
    empty = user / "empty.toml"
    if not empty.exists():
        (user / "nothing").mkdir()
        empty.write_text(DATASET.format(images=user / "nothing"), encoding="utf-8")
    # stands in for pytorch_optimizer's Prodigy, which keeps the groups' LRs and moves by the first one's
    alike = sd.folder / "moves_alike.py"
    alike.write_text(MOVES_ALIKE, encoding="utf-8")
    script, model = ("flux_train_network.py", "flux") if "flux" in module else ("train_network.py", "sd15")
    words = command(sd, user, script, model, module, *FLUX[: 2 * (model == "flux")], UNET)
    if "cache" in name:
        words = command(sd, user, "sdxl_train_network.py", "sdxl", module, "--cache_text_encoder_outputs")
    if "another" in name:
        words = [word.replace("sd15/sd15", "sdxl/sdxl") for word in words]
        sd.model("sdxl")
    words += [word.format(user=user) for word in more]
    before = seen(user)
    result = sd.rehearse("accelerate", "launch", *words)
    told = result.data["impossible"] or "" if name == "no model" else result.found
    assert message in told, f"{result.found}\n{result.data}"
    assert result.code == (2 if name == "no model" else 1)
    assert seen(user) == before
    assert "Traceback" not in told


MOVES_ALIKE = """
import torch
class Prodigy(torch.optim.SGD):
    def __init__(self, params, lr): super().__init__(params, lr)
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p -= self.param_groups[0]["lr"] * p.grad.sign()
"""


RESUMES = {
    "same": ((), None),
    # upstream brings the saved LRs back
    "lower": (("--unet_lr=5e-5",), "brings the saved LRs back for 384 tensors (e.g. 0.0001, the command says 5e-05)"),
    "ranks": (("--network_dim=8",), "size mismatch"),
}


@pytest.fixture(scope="module")
def resuming(sd: Stage, user: Path) -> list[str]:
    """A command, and the option that resumes a state saved by it."""
    words = command(sd, user, "train_network.py", "sd15", "lora", UNET, "--network_dim=4", *TWO_LRS)
    return [*words, f"--resume={sd.state(words, 'sd15')}"]


@pytest.mark.parametrize("name", chosen(RESUMES, lambda name: name == "lower"))
def test_a_resume_is_rehearsed_without_touching_the_state(name: str, sd: Stage, resuming: list[str]) -> None:
    more, message = RESUMES[name]
    state = Path(resuming[-1].partition("=")[2])
    before = seen(state)
    result = sd.rehearse("python", *resuming, *more)
    assert seen(state) == before
    if message is None:
        result.expect_passed()
        assert result.data["resume"] == {"tensors": 384, "with_moments": 384, "wrong_shapes": 0}
    else:
        assert message in result.found
