"""What a training run left behind: its exit code, its output, the LoRA, and what the probe saw."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class RunResult:
    returncode: int
    text: str  # standard output and error, as they came
    seconds: float
    folder: Path  # --output_dir
    name: str  # --output_name
    command: tuple[str, ...]  # the script and its arguments, as a user would type them

    @property
    def lora_path(self) -> Path:
        return self.folder / f"{self.name}.safetensors"

    @property
    def state_folder(self) -> Path:
        """Where ``--save_state`` writes at the end; ``--resume`` takes it."""
        return self.folder / f"{self.name}-state"

    @property
    def probe_path(self) -> Path:
        return self.folder / "probe.json"

    def expect_success(self) -> RunResult:
        assert self.returncode == 0, f"{self.command[0]} failed (exit code {self.returncode}):\n{self.tail()}"
        return self

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.text.splitlines()[-lines:])

    def lora(self) -> dict[str, torch.Tensor]:
        from safetensors.torch import load_file

        self._must_exist(self.lora_path)
        return load_file(self.lora_path)

    def header(self) -> dict[str, Any]:
        """The LoRA file's header: names, shapes and dtypes of its tensors. Needs neither torch nor safetensors."""
        self._must_exist(self.lora_path)
        with self.lora_path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            return json.loads(file.read(size))

    def metadata(self) -> dict[str, str]:
        return self.header().get("__metadata__", {})

    def probe(self) -> dict[str, Any]:
        self._must_exist(self.probe_path)
        return json.loads(self.probe_path.read_text(encoding="utf-8"))

    def learning_rates(self, step: int = 0) -> dict[str, float]:
        """The learning rate the optimizer used for each parameter, by name, at one step."""
        return self._rates("lr", step)

    def initial_rates(self) -> dict[str, float]:
        """The learning rate each parameter was given to the optimizer with, before any schedule, by name."""
        return self._rates("initial_lr", 0)

    def _rates(self, key: str, step: int) -> dict[str, float]:
        probe = self.probe()
        groups = zip(probe["groups"], probe["steps"][step]["groups"], strict=True)
        return {name: at[key] for group, at in groups for name in group["names"]}

    def _must_exist(self, file: Path) -> None:
        assert file.is_file(), f"the run left no {file.name} (exit code {self.returncode}):\n{self.tail()}"
