"""A trainer that is ready to run: its files, its venv, and the way a script of it runs in a subprocess."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from . import forward_cases
from .environment import clean_environment
from .result import RunResult
from .run_script import PROBE_FILE
from .trainer import Trainer

if TYPE_CHECKING:
    import torch

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

    forward_script: ClassVar[Path]

    folder: Path  # the checkout
    python: Path  # of the trainer's venv, with the lr-grid wheel in it
    tiny: Path  # models and datasets
    version_changes: Mapping[str, Sequence[str | None]]  # package -> versions before and after installing lr-grid
    added_packages: Mapping[str, str]  # package -> version, for packages that installing lr-grid brought along

    def script(self, name: str) -> Path:
        """The file of a script that is named as in the calls of ``run`` and ``tool``."""
        raise NotImplementedError

    def family(self, model: str) -> str:
        raise NotImplementedError

    def checkpoint(self, model: str) -> Path:
        """The one file of a tiny model (of its transformer or U-Net at least), for scripts that read nothing else."""
        raise NotImplementedError

    def tool(
        self,
        script: str,
        arguments: Sequence[str | Path],
        *,
        model: str,
        workdir: Path,
        name: str,
        saves_with: str | None = "--save_to",
        timeout: float = 300,
        env: Mapping[str, str] | None = None,
    ) -> RunResult:
        """Run another script of the trainer than a training script, with the model classes of ``model``'s family tiny.

        ``saves_with`` is the option that takes the file which the script saves: the ``lora_path`` of the result,
        whatever is in it.
        """
        output = new_output(workdir, name)
        saved = [saves_with, output / f"{name}.safetensors"] if saves_with is not None else []
        return self.run_script(
            self.script(script),
            [str(argument) for argument in (*arguments, *saved)],
            family=self.family(model),
            output=output,
            probe=False,
            timeout=timeout,
            env={**self._importable(), **(env or {})},
        )

    def forward(
        self,
        model: str,
        cases: Mapping[str, forward_cases.Case],
        *,
        workdir: Path,
        name: str = "forward",
        timeout: float = 300,
    ) -> dict[str, torch.Tensor]:
        """What comes out of a model for one input (float32, no gradient), by case: all of them in one process."""
        from safetensors.torch import load_file

        output = new_output(workdir, name)
        forward_cases.write(cases, self.checkpoint(model), output / "cases.json")
        self.run_script(
            self.forward_script,
            [self.family(model), str(output / "cases.json"), str(output / "outputs.safetensors")],
            family=self.family(model),
            output=output,
            probe=False,
            timeout=timeout,
            env=self._importable(),
        ).expect_success()
        return load_file(output / "outputs.safetensors")

    def _importable(self) -> dict[str, str]:
        """Has a script of any folder import the trainer's packages, as after the trainer's own `pip install -e .`."""
        return {"PYTHONPATH": str(self.folder)} if self.trainer.source_root is None else {}

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
        launcher: Sequence[str] = (),
    ) -> RunResult:
        """Run a training script of the checkout on tiny models of a family.

        What it prints and what the probe saw lands in ``output``, a folder with the name of the LoRA. ``launcher``:
        a module of the venv and its arguments (``-m`` is put before), which gets the whole command behind them.
        """
        variables = BASE_ENVIRONMENT | ({PROBE_FILE: str(output / "probe.json")} if probe else {}) | dict(env or {})
        command: list[str | Path] = [self.python, RUN_SCRIPT, self.shrink, family, script, *arguments]
        if launcher:
            command = [self.python, "-m", *launcher, *self._by_other_names(command, output)]
            variables = {"PYTHONPATH": str(self.folder), **variables}  # a launcher may put a script of its own before
        began = time.monotonic()
        returncode, text = self._execute(command, variables, timeout)
        seconds = time.monotonic() - began
        (output / "output.txt").write_text(text, encoding="utf-8")
        return RunResult(returncode, text, seconds, output, output.name, (script.name, *arguments))

    def _by_other_names(self, command: Sequence[str | Path], output: Path) -> list[str | Path]:
        """The command in such words that the trainer's script is the first of them that ends in .py."""
        python, run_script, shrink, *others = command
        link = output / "run_tiny"
        link.symlink_to(run_script)
        return [python, link, Path(shrink).with_suffix(""), *others]

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
