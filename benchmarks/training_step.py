"""A whole step of sd-scripts' flux_train_network.py on a narrow FLUX with 19+38 blocks, log and all: the wrapped
module's flat LoRA and full grids, in turn in one process; and how many LR scalars each writes a step."""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Options, Skip, Table

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests" / "trainers"
LEFT_OUT, ROUNDS = 5, 60
GRID = [
    *("self_attn_lr=2x", "cross_attn_lr=1.3x", "ffn_lr=0.5x", "mod_lr=0.7x", "depth_strategy=linear"),
    "loraplus_unet_lr_ratio=16",
]
FLAT = "networks.lora_flux, flat"


@dataclass(frozen=True)
class ReadyTrainer:
    """sd-scripts as the tests have made it ready."""

    folder: Path
    python: Path
    tiny: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables for its processes: this lr-grid, and no network."""
        path = os.pathsep.join([str(ROOT), str(TESTS / "torchvision_stand_in")])
        return {
            **{"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"},
            "PYTHONWARNINGS": "ignore",
        }


def ready_trainer(options: Options) -> ReadyTrainer:
    """Raises: Skip where there is none."""
    if options.trainers is None:
        raise Skip("it needs --trainers FOLDER, as the tests make it ready (LR_GRID_TRAINERS)")
    try:
        folder, tiny, venv = (
            next(options.trainers.glob(pattern)) for pattern in ("sd-scripts-*[!k]", "tiny-sd-scripts-*", "venv-sd-*")
        )
    except StopIteration:
        raise Skip(f"{options.trainers} holds no ready sd-scripts") from None
    return ReadyTrainer(folder, venv / "bin" / "python", tiny)


def measure(options: Options) -> list[Table]:
    """Step times and scalars."""
    trainer = ready_trainer(options)
    grid = "networks.lora_flux_grid"
    sides = {
        FLAT: ["--network_module=networks.lora_flux"],
        "grid module, no grid argument": [f"--network_module={grid}"],
        "full grid, LoRA+": [f"--network_module={grid}", "--network_args", *GRID],
        "the same, depth_levels=8": [f"--network_module={grid}", "--network_args", *GRID, "depth_levels=8"],
        "the same, max_groups=40": [f"--network_module={grid}", "--network_args", *GRID, "max_groups=40"],
    }
    if importlib.util.find_spec("lr_grid.optim") is not None:
        own = ["--optimizer_type=lr_grid.optim.AdamW", f"--network_module={grid}", "--network_args", *GRID]
        sides["full grid, LoRA+, lr_grid.optim.AdamW"] = own
    rounds = ROUNDS if options.rounds > 1 else 2
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "dataset.toml").write_text(_DATASET.format(images=trainer.tiny / "dataset" / "images"))
        job = work / "job.json"
        shared = _arguments(trainer, work, LEFT_OUT + rounds)
        job.write_text(
            json.dumps(
                {
                    "script": str(trainer.folder / "flux_train_network.py"),
                    "shrink": str(TESTS / "shrink.py"),
                    "sides": {name: [*shared, *side] for name, side in sides.items()},
                    "rounds": rounds,
                    "left_out": LEFT_OUT,
                    "work": folder,
                }
            )
        )
        done = subprocess.run(
            [trainer.python, Path(__file__).with_name("in_trainer.py"), job],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **trainer.environment},
        )
        result = work / "result.json"
        if not result.exists():
            raise SystemExit(f"the trainer failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        seen = json.loads(result.read_text())
    rows = []
    for name, side in seen.items():
        numbers = [str(side["groups"]), str(side["scalars"])]
        for what in ("seconds", "cpu"):
            ratio = statistics.median(a / b for a, b in zip(side[what], seen[FLAT][what], strict=True))
            numbers += [f"{statistics.median(side[what]) * 1e3:.1f}", f"{ratio:.3f}"]
        rows.append((name, *numbers))
    about = (
        f"{rounds} steps a side: all runs are alive in one process, and take turns from one step's end to the next's,"
        f" after {LEFT_OUT} steps that are not counted. Ratios are medians of those of steps side by side. sd-scripts"
        " itself writes a second LR scalar for every group (lr/group0, lr/group1, ...). On a busy machine CPU time is"
        " the fairer of the two."
    )
    columns = ("side", "groups", "LR scalars a step", "step, ms", "ratio to flat", "CPU time, ms", "ratio of it")
    return [Table("A training step of flux_train_network.py", columns, tuple(rows), about)]


_DATASET = """[general]
caption_extension = ".txt"
[[datasets]]
resolution = 64
batch_size = 2
  [[datasets.subsets]]
  image_dir = '{images}'
  num_repeats = 4
"""


def _arguments(trainer: ReadyTrainer, work: Path, steps: int) -> list[str]:
    flux = trainer.tiny / "flux"
    return [
        f"--pretrained_model_name_or_path={flux / 'flux_19_38.safetensors'}",
        *(f"--{name}={flux / name}.safetensors" for name in ("clip_l", "t5xxl", "ae")),
        f"--tokenizer_cache_dir={trainer.tiny / 'tokenizers'}",
        f"--dataset_config={work / 'dataset.toml'}",
        *("--t5xxl_max_token_length=16", "--timestep_sampling=sigmoid", "--model_prediction_type=raw"),
        *("--guidance_scale=1.0", "--sdpa", "--mixed_precision=bf16", "--network_train_unet_only"),
        *("--cache_latents", "--cache_text_encoder_outputs", "--max_data_loader_n_workers=0", "--seed=42"),
        *("--optimizer_type=AdamW", "--learning_rate=1e-4", "--network_dim=4", "--network_alpha=2"),
        *(f"--max_train_steps={steps}", "--log_with=tensorboard", "--save_model_as=safetensors"),
    ]


if __name__ == "__main__":
    sys.exit("python -m benchmarks --only training_step --trainers FOLDER")
