"""The full fine-tuning scripts of both trainers, and a run of one of them on a tiny model under the full probe."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .full_result import FullResult
from .installed import InstalledTrainer
from .run_script import FULL_PROBE_FILE
from .sd_scripts import SdScripts

METADATA_DATASET = """[general]
enable_bucket = false
[[datasets]]
resolution = 64
batch_size = 2
  [[datasets.subsets]]
  image_dir = '{images}'
  metadata_file = '{metadata}'
"""


@dataclass(frozen=True)
class FullScript:
    """A script and the tiny model it trains: the names that the trainer's ``run`` takes, and options of its own."""

    trainer: str  # the fixture
    script: str
    model: str
    options: tuple[str, ...] = ()
    metadata: bool = False
    """Whether it reads captions from a metadata file alone."""
    mends: tuple[tuple[str, str], ...] = ()
    """What is written in another way in the copy of the script that runs, where the script as it stands cannot."""
    checkpoint: str | None = None
    """A copy in float32 of this file is trained: the script keeps the checkpoint's type."""


def _sd(script: str, model: str, *options: str, metadata: bool = False) -> FullScript:
    return FullScript("sd_scripts", f"{script}.py", model, options, metadata)


def _musubi(script: str, model: str, *options: str) -> FullScript:
    return FullScript("musubi", f"{script}.py", model, options)


# hv_train.py was left behind by the rest of musubi-tuner: as it stands it fails before it has an optimizer
HV_TRAIN_MENDS = (
    (
        "(blueprint.dataset_group, training=True)",
        "(blueprint.dataset_group, training=True, shared_epoch=current_epoch)",
    ),
    ("        current_epoch = Value(", "        pass  # current_epoch = Value("),
    ("        # Load dataset config\n", '        current_epoch = Value("i", 0)\n'),
    ("collator_class(current_epoch, current_step, ds_for_collator)", "collator_class(current_epoch, ds_for_collator)"),
    ("args.metadata_reso", "None"),
    ("args.metadata_arch", "None"),
    (
        "latents, llm_embeds, llm_mask, clip_embeds = batch",
        'latents, llm_embeds, llm_mask, clip_embeds = (batch[key] for key in ("latents", "llm", "llm_mask", "clipL"))',
    ),
)
FLOAT32 = "--mixed_precision=no"  # weights whose smallest steps can be told apart

SCRIPTS = {
    "fine_tune": _sd("fine_tune", "sd15", "--cache_latents", metadata=True),  # metadata alone needs cached latents
    "train_db": _sd("train_db", "sd15"),
    "sdxl_train": _sd("sdxl_train", "sdxl"),
    "flux_train": _sd("flux_train", "flux", FLOAT32),
    "flux_train_19_38": _sd("flux_train", "flux_19_38", FLOAT32),
    "sd3_train": FullScript("sd_scripts", "sd3_train.py", "sd3", (FLOAT32,), checkpoint="sd3/sd3.safetensors"),
    "lumina_train": _sd("lumina_train", "lumina", FLOAT32),
    "anima_train": _sd("anima_train", "anima", FLOAT32, "--attn_mode=torch"),
    "hv_train": FullScript("musubi", "hv_train.py", "hv", mends=HV_TRAIN_MENDS),
    "qwen_image_train": _musubi("qwen_image_train", "qwen"),
    "zimage_train": _musubi("zimage_train", "zimage"),
    "hidream_o1_train": _musubi("hidream_o1_train", "hidream"),
}


def run_full(
    trainer: InstalledTrainer,
    name: str,
    *,
    workdir: Path,
    optimizer: str | None = None,
    optimizer_args: Sequence[str] = (),
    extra: Sequence[str] = (),
    steps: int = 3,
    run: str = "tiny",
    env: Mapping[str, str] | None = None,
    mends: Sequence[tuple[str, str]] = (),
    **others: Any,
) -> FullResult:
    """Runs a full fine-tuning script of SCRIPTS; what it writes lands in ``workdir/run``.

    ``optimizer``: --optimizer_type, else torch's AdamW. ``mends``: texts of the script to replace in a copy of
    it, beside those of the table. ``others`` go to the trainer's own ``run``.
    """
    full = SCRIPTS[name]
    changes = (*full.mends, *mends)
    arguments = [] if others.get("config_file") else list(full.options)
    if optimizer is not None:
        arguments.append(f"--optimizer_type={optimizer}")
    if optimizer_args:
        arguments += ["--optimizer_args", *optimizer_args]
    if full.metadata and "dataset_config" not in others and isinstance(trainer, SdScripts):
        others["dataset_config"] = write_metadata(trainer, workdir, run)
    if full.checkpoint:
        arguments.append(f"--pretrained_model_name_or_path={float32(trainer.tiny / full.checkpoint, workdir)}")
    if isinstance(trainer, SdScripts):
        env = {"HF_HUB_CACHE": str(hub_cache(trainer, workdir / "hub")), **(env or {})}
    if changes:
        env = {"PYTHONPATH": str(trainer.folder), **(env or {})}  # what stands beside the script itself
    probe = workdir / run / "full_probe.json"
    result = trainer.run(  # type: ignore[attr-defined]
        mended(trainer.script(full.script), changes, workdir) if changes else full.script,
        full.model,
        workdir=workdir,
        name=run,
        steps=steps,
        extra=[*arguments, *extra],
        probe=False,
        env={FULL_PROBE_FILE: str(probe), **(env or {})},
        **others,
    )
    return FullResult(result, probe)


def float32(checkpoint: Path, folder: Path) -> Path:
    """A copy of a checkpoint in float32, made when first asked for."""
    import torch
    from safetensors.torch import load_file, save_file

    copy = folder / checkpoint.name
    if not copy.exists():
        save_file({name: tensor.to(torch.float32) for name, tensor in load_file(checkpoint).items()}, copy)
    return copy


def mended(script: Path, mends: Sequence[tuple[str, str]], folder: Path) -> str:
    """A copy of a script with some texts replaced: its path."""
    text = script.read_text(encoding="utf-8")
    for old, new in mends:
        assert text.count(old) == 1, f"{script.name} is written in another way than expected: {old!r}"
        text = text.replace(old, new)
    copy = folder / script.name
    copy.write_text(text, encoding="utf-8")
    return str(copy)


def write_metadata(trainer: SdScripts, workdir: Path, name: str) -> Path:
    """A dataset of fine_tune's kind: a metadata file of the images that the others find with their caption files."""
    images = sorted(trainer.image_dir.glob("*.png"))
    captions = {
        str(image): {
            "caption": image.with_suffix(".txt").read_text(encoding="utf-8").strip(),
            "train_resolution": [64, 64],
        }
        for image in images
    }
    metadata = workdir / f"{name}_metadata.json"
    metadata.write_text(json.dumps(captions), encoding="utf-8")
    dataset = workdir / f"{name}_metadata.toml"
    dataset.write_text(METADATA_DATASET.format(images=trainer.image_dir, metadata=metadata), encoding="utf-8")
    return dataset


def hub_cache(trainer: SdScripts, folder: Path) -> Path:
    """The tiny tokenizers as a cache of the Hugging Face Hub: some of the scripts ignore --tokenizer_cache_dir."""
    commit = "0" * 40
    for tokenizer in (trainer.tiny / "tokenizers").iterdir():
        name = (
            tokenizer.name
            if tokenizer.name.startswith("models--")
            else f"models--{tokenizer.name.replace('_', '--', 1)}"
        )
        if not (folder / name).exists():
            (folder / name / "refs").mkdir(parents=True)
            (folder / name / "refs" / "main").write_text(commit, encoding="utf-8")
            (folder / name / "snapshots").mkdir()
            there = tokenizer if tokenizer.name != name else tokenizer / "snapshots" / commit
            (folder / name / "snapshots" / commit).symlink_to(there, target_is_directory=True)
    return folder
