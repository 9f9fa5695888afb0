"""A trainer that is ready to run: its files, its venv, and the way a script of it runs in a subprocess."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .environment import clean_environment
from .result import RunResult
from .run_script import PROBE_FILE
from .trainer import Trainer

RUN_SCRIPT = Path(__file__).with_name("run_script.py")

BASE_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # with two, a step of a tiny model takes twenty times as long
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "PYTHONUNBUFFERED": "1",  # keeps standard output and error in the order they were written
    "PYTHONWARNINGS": "ignore",
    "COLUMNS": "200",  # the trainer's log breaks lines at this width, in the middle of messages
}


class TrainerTimeout(AssertionError):
    """A training script did not end in time."""


@dataclass(frozen=True)
class InstalledTrainer:
    trainer: ClassVar[Trainer]
    shrink: ClassVar[Path]  # a module whose FAMILIES make the models of a family tiny, in the trainer's own process

    folder: Path  # the checkout
    python: Path  # of the trainer's venv, with the lr-grid wheel in it
    tiny: Path  # models and datasets
    version_changes: Mapping[str, Sequence[str | None]]  # package -> versions before and after installing lr-grid
    added_packages: Mapping[str, str]  # package -> version, for packages that installing lr-grid brought along

    def run_script(
        self,
        script: Path,
        arguments: Sequence[str],
        *,
        family: str,
        output: Path,
        probe: bool = True,
        timeout: float = 300,
        env: Mapping[str, str] | None = None,
    ) -> RunResult:
        """Run a training script of the checkout on tiny models of a family.

        What it prints and what the probe saw lands in ``output``, a folder with the name of the LoRA.
        """
        variables = BASE_ENVIRONMENT | ({PROBE_FILE: str(output / "probe.json")} if probe else {}) | dict(env or {})
        command: list[str | Path] = [self.python, RUN_SCRIPT, self.shrink, family, script, *arguments]
        began = time.monotonic()
        returncode, text = self._execute(command, variables, timeout)
        seconds = time.monotonic() - began
        (output / "output.txt").write_text(text, encoding="utf-8")
        return RunResult(returncode, text, seconds, output, output.name, (script.name, *arguments))

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


def new_output(workdir: Path, name: str) -> Path:
    output = workdir / name
    if output.exists():
        raise ValueError(f"{output} exists: give each run of a workdir its own name")
    output.mkdir(parents=True)
    return output


def command_line(options: Mapping[str, object]) -> list[str]:
    """``--key=value`` for what is not None."""
    return [f"--{key}={value}" for key, value in options.items() if value is not None]
