"""What a full fine-tuning run left behind: its result as a run, and what the full probe saw of every tensor."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .result import RunResult


@dataclass(frozen=True)
class FullResult:
    run: RunResult
    probe: Path

    @property
    def text(self) -> str:
        return self.run.text

    @property
    def returncode(self) -> int:
        return self.run.returncode

    def expect_success(self) -> FullResult:
        self.run.expect_success()
        return self

    @functools.cached_property
    def report(self) -> dict[str, Any]:
        assert self.probe.is_file(), f"the run left no report (exit code {self.returncode}):\n{self.run.tail()}"
        return json.loads(self.probe.read_text(encoding="utf-8"))

    @functools.cached_property
    def tensors(self) -> dict[str, dict[str, Any]]:
        """By name (the class of the model, then the path in it), what an optimizer was given of it."""
        found = {tensor["name"]: tensor for tensor in self.report["tensors"]}
        assert len(found) == len(self.report["tensors"]), "two tensors with one name"
        return found

    @property
    def optimizers(self) -> list[str]:
        return self.report["optimizers"]

    def moved(self, step: int) -> dict[str, float]:
        """The largest change of an element of each tensor at a step."""
        return {name: tensor["moved"][step] for name, tensor in self.tensors.items()}

    def after(self) -> dict[str, str]:
        """A digest of each tensor at the end."""
        return {name: tensor["after"] for name, tensor in self.tensors.items()}

    def plan(self) -> dict[str, Any]:
        file = self.run.folder / f"{self.run.name}.lr_grid.json"
        assert file.is_file(), f"the run left no {file.name}:\n{self.run.tail()}"
        return json.loads(file.read_text(encoding="utf-8"))
