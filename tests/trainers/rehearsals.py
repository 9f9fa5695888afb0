"""Rehearses commands in a trainer's own venv, on model files of real size without weights."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cache import run
from .environment import clean_environment
from .installed import InstalledTrainer

HERE = Path(__file__).parent
DATASET = """[general]
caption_extension = ".txt"
enable_bucket = false
[[datasets]]
resolution = 64
batch_size = 2
  [[datasets.subsets]]
  image_dir = '{images}'
  num_repeats = 10
  cache_info = true
"""
TRAINING = ("--learning_rate=1e-4", "--max_train_steps=1600", "--mixed_precision=bf16", "--seed=42", "--network_dim=16")


@dataclass(frozen=True)
class Rehearsed:
    """What ``lr-grid rehearse --json`` said."""

    code: int
    data: dict[str, Any]
    errors: str

    @property
    def subjects(self) -> list[str]:
        return [one["subject"] for one in self.data["verified"]]

    @property
    def found(self) -> str:
        """All findings, one a line."""
        return "\n".join(f"{one['subject']}: {one['message']} {one['cure'] or ''}" for one in self.data["findings"])

    def expect_passed(self) -> Rehearsed:
        assert self.code == 0, f"{self.found}\n{self.data.get('impossible')}\n{self.errors}"
        return self


@dataclass
class Stage:
    """A trainer, and hollow model files in a folder of the test run."""

    trainer: InstalledTrainer
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        paths = [str(HERE / "torchvision_stand_in"), str(self.folder)]
        return clean_environment(OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore", PYTHONPATH=":".join(paths))

    def model(self, name: str) -> Path:
        """The folder of a model's files, made when first asked for."""
        made = self.folder / name
        if not made.exists():
            command = [self.trainer.python, HERE / "hollow_files.py", self.trainer.folder, self.folder, name]
            environment = {**self.environment, "HF_HUB_OFFLINE": "1"}
            run(
                command, timeout=120, what=f"making hollow {name}", error=RuntimeError, env=environment, cwd=self.folder
            )
        return made

    def rehearse(self, *words: str | Path, options: Sequence[str] = (), timeout: float = 120) -> Rehearsed:
        """Runs the command in the trainer's folder, as its user would."""
        command = [self.trainer.python, "-m", "lr_grid", "rehearse", "--json", *options, "--", *words]
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.trainer.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        data = json.loads(done.stdout) if done.stdout.strip() else {}
        return Rehearsed(done.returncode, data, done.stderr)

    def state(self, words: Sequence[str | Path], name: str) -> Path:
        """A state that accelerate saved after some steps of a command, through the trainer's own hooks."""
        scratch = self.folder / f"state_{name}"
        for folder in ("tmp", "output"):
            (scratch / folder).mkdir(parents=True)
        script, *arguments = (str(word) for word in words)
        job = {"script": script, "module": "", "name": script, "trainer": "sd-scripts", "arguments": arguments}
        (scratch / "job.json").write_text(json.dumps(job | {"scratch": str(scratch), "whole": True}), encoding="utf-8")
        environment = {
            **self.environment,
            "HF_HUB_OFFLINE": "1",
            "ACCELERATE_USE_CPU": "true",
            "TMPDIR": str(scratch / "tmp"),
        }
        command = [self.trainer.python, HERE / "hollow_state.py", scratch]
        run(command, timeout=120, what="saving a state", error=RuntimeError, env=environment, cwd=self.trainer.folder)
        return scratch / "state"
