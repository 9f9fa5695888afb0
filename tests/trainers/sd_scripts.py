"""The real sd-scripts on tiny models: ``SdScripts.run`` runs one of its training scripts as a user would."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .environment import clean_environment
from .models import MODELS
from .result import RunResult
from .run_script import PROBE_FILE

HERE = Path(__file__).parent

BASE_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # with two, a step of a tiny model takes twenty times as long
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "PYTHONUNBUFFERED": "1",  # keeps standard output and error in the order they were written
    "PYTHONWARNINGS": "ignore",
    "COLUMNS": "200",  # the trainer's log breaks lines at this width, in the middle of messages
}

DATASET = """[general]
caption_extension = ".txt"
enable_bucket = false
[[datasets]]
resolution = 64
batch_size = 2
  [[datasets.subsets]]
  image_dir = '{images}'
  num_repeats = 1
"""


class TrainerTimeout(AssertionError):
    """A training script did not end in time."""


@dataclass(frozen=True)
class SdScripts:
    folder: Path  # the checkout
    python: Path  # of the trainer's venv, with the lr-grid wheel in it
    tiny: Path  # models, dataset, tokenizers
    version_changes: Mapping[str, Sequence[str | None]]  # package -> versions before and after installing lr-grid
    added_packages: Mapping[str, str]  # package -> version, for packages that installing lr-grid brought along

    @property
    def image_dir(self) -> Path:
        """Four 64 x 64 images with captions, for a dataset TOML of the test's own."""
        return self.tiny / "dataset" / "images"

    def run(
        self,
        script: str,
        model: str,
        *,
        workdir: Path,
        network_module: str | None = None,
        network_args: Sequence[str] = (),
        extra: Sequence[str] = (),
        steps: int = 4,
        name: str = "tiny",
        unet_lr: float | None = None,
        learning_rate: float = 1e-3,
        network_dim: int = 4,
        network_alpha: float = 2,
        config_file: Path | None = None,
        dataset_config: Path | None = None,
        probe: bool = True,
        timeout: float = 300,
        env: Mapping[str, str] | None = None,
    ) -> RunResult:
        """Run a training script of sd-scripts on a tiny model; all it writes lands in the new ``workdir/name``.

        ``extra`` comes last on the command line, so it overrides. With ``config_file`` (a training TOML), the command
        line holds only what belongs to this machine (model files, dataset, output, steps) and, where the call names
        them, ``network_module`` and ``network_args``. Everything else is the TOML's.
        """
        output = workdir / name
        if output.exists():
            raise ValueError(f"{output} exists: give each run of a workdir its own name")
        output.mkdir(parents=True)
        options: dict[str, Any] = {key: self.tiny / path for key, path in MODELS[model].files.items()}
        options |= {
            "tokenizer_cache_dir": self.tiny / "tokenizers",
            "dataset_config": dataset_config or self._write_dataset(output / "dataset.toml"),
            "output_dir": output,
            "output_name": name,
            "max_train_steps": steps,
        }
        if config_file is not None:
            options |= {"config_file": config_file, "max_data_loader_n_workers": 0}
        else:
            options |= {
                "save_model_as": "safetensors",
                "save_precision": "float",
                "optimizer_type": "AdamW",
                "learning_rate": learning_rate,
                "unet_lr": unet_lr,
                "seed": 42,
                "max_data_loader_n_workers": 0,
            }
            if network_module is not None:
                options |= {"network_dim": network_dim, "network_alpha": network_alpha}
        options["network_module"] = network_module
        arguments = [f"--{key}={value}" for key, value in options.items() if value is not None]
        arguments += MODELS[model].options if config_file is None else ()
        arguments += ["--network_args", *network_args] if network_args else ()
        arguments += extra

        variables = BASE_ENVIRONMENT | ({PROBE_FILE: str(output / "probe.json")} if probe else {}) | dict(env or {})
        command: list[str | Path] = [
            self.python,
            HERE / "run_script.py",
            self.folder,
            MODELS[model].family,
            script,
            *arguments,
        ]
        began = time.monotonic()
        returncode, text = self._execute(command, variables, timeout)
        seconds = time.monotonic() - began
        (output / "output.txt").write_text(text, encoding="utf-8")
        return RunResult(returncode, text, seconds, output, name, (script, *arguments))

    def _execute(self, command: Sequence[str | Path], variables: dict[str, str], timeout: float) -> tuple[int, str]:
        try:
            done = subprocess.run(
                [str(part) for part in command],
                cwd=self.folder,
                env=clean_environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            text = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else late.stdout or ""
            raise TrainerTimeout(f"no end after {timeout:.0f} s:\n{text[-4000:]}") from None
        return done.returncode, done.stdout

    def _write_dataset(self, file: Path) -> Path:
        file.write_text(DATASET.format(images=self.image_dir), encoding="utf-8")
        return file
