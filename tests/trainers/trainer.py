"""What the harness must know of a trainer to fetch it, install it and make tiny models for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Trainer:
    name: str  # starts the names of its folders in the cache
    url: str
    commit: str
    left_out: tuple[str, ...]  # folders with large files that no training run reads
    requirements: Path
    makers: tuple[
        Path, ...
    ]  # the script that makes everything tiny (PYTHON SCRIPT CHECKOUT OUTPUT), then what it imports
    source_root: str | None = (
        None  # the folder of the checkout that the trainer's own `pip install -e .` makes importable
    )
