"""What the parent hands to the child, and what the child hands back: both JSON files in a scratch folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

JOB, REPORT, LOG = "job.json", "report.json", "output.txt"

PASSED, FINDINGS, IMPOSSIBLE = 0, 1, 2
"""Exit codes: nothing found, something found, the command could not be rehearsed."""


@dataclass(frozen=True)
class Job:
    """A training command, taken apart."""

    script: str
    """The script's file, as the command names it (relative to the working directory); empty for a module."""
    module: str
    """The module of ``python -m``; empty for a script."""
    name: str
    """The script's file name."""
    trainer: str
    """sd-scripts or musubi-tuner"""
    arguments: tuple[str, ...]
    scratch: str
    """A folder that is the rehearsal's own: the only one it may write to."""
    steps: int = 4
    whole: bool = False
    """Keep every tensor of the network whole, not a corner of it."""

    def write(self) -> None:
        """Into the scratch folder."""
        (Path(self.scratch) / JOB).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, scratch: str | Path) -> Job:
        """From the scratch folder."""
        data = json.loads((Path(scratch) / JOB).read_text(encoding="utf-8"))
        return cls(**{**data, "arguments": tuple(data["arguments"])})


@dataclass
class Report:
    """What a rehearsal verified, found and left out. Texts are for people; ``data`` holds the numbers."""

    verified: list[tuple[str, str]] = field(default_factory=list)
    """(subject, what was seen)"""
    findings: list[tuple[str, str, str]] = field(default_factory=list)
    """(subject, what differs, the cure)"""
    notes: list[str] = field(default_factory=list)
    """What of the command was changed for the rehearsal, or is good to know."""
    impossible: str = ""
    """Why the command could not be rehearsed."""
    data: dict[str, Any] = field(default_factory=dict)

    def verify(self, subject: str, text: str) -> None:
        """Notes what was verified."""
        self.verified.append((subject, text))

    def find(self, subject: str, text: str, cure: str = "") -> None:
        """Notes what is wrong with the run; the same once."""
        if (subject, text, cure) not in self.findings:
            self.findings.append((subject, text, cure))

    def note(self, text: str) -> None:
        """Notes what the reader should know; the same once."""
        if text not in self.notes:
            self.notes.append(text)

    @property
    def code(self) -> int:
        """The exit code."""
        return FINDINGS if self.findings else IMPOSSIBLE if self.impossible else PASSED

    def write(self, scratch: str | Path) -> None:
        """Into the scratch folder."""
        text = json.dumps(asdict(self), ensure_ascii=False)
        (Path(scratch) / REPORT).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, scratch: str | Path) -> Report | None:
        """From the scratch folder; None where the child left none."""
        try:
            data = json.loads((Path(scratch) / REPORT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        data["verified"] = [tuple(item) for item in data["verified"]]
        data["findings"] = [tuple(item) for item in data["findings"]]
        return cls(**data)
