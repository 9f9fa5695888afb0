"""Appends a run's norms to its file, in blocks. A file that cannot be written stops no run: it is said once."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from lr_grid.norms.fileformat import STEPS, chunk, head_chunk, record
from lr_grid.report.text import PREFIX

_BLOCK_STEPS, _BLOCK_SECONDS = 64, 15.0
"""Steps are kept until there are this many, or the oldest is this old: what a crash can cost."""


class NormsWriter:
    """A run in a norms file: its head when it begins, then steps. Earlier runs in the file stay."""

    def __init__(self, path: Path, facts: dict[str, Any]):
        """Writes the head.

        Args:
            facts: see fileformat.head_chunk.
        """
        self.path = path
        self.broken = False
        self._run = int.from_bytes(os.urandom(4), "little")
        self._records: list[bytes] = []
        self._since = 0.0
        self._append(head_chunk(self._run, facts))

    def add(self, step: int, numbers: bytes) -> None:
        """Takes one step. ``numbers``: see fileformat.record."""
        if self.broken:
            return
        if not self._records:
            self._since = time.monotonic()
        self._records.append(record(step, numbers))
        if len(self._records) >= _BLOCK_STEPS or time.monotonic() - self._since >= _BLOCK_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes what is kept."""
        if self._records:
            self._append(chunk(STEPS, self._run, b"".join(self._records)))
            self._records = []

    def _append(self, data: bytes) -> None:
        """One write to the end of the file, which is opened for it: nothing stands between two runs of one name."""
        if self.broken:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                written = file.write(data)
            if written != len(data):
                raise OSError("the disk is full")
        except OSError as error:
            self.broken = True
            reason = error.strerror or error
            print(f"{PREFIX} norms are no longer written to {self.path}: {reason}. Training goes on", flush=True)
