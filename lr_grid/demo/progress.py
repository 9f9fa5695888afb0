"""The demo's progress bar."""

from __future__ import annotations

import sys

from accelerate import PartialState
from tqdm import tqdm


def progress(steps: int, description: str) -> tqdm:
    """A bar over ``steps`` on stderr: live on a terminal, a line every few seconds in a log file."""
    return tqdm(
        total=steps,
        desc=description,
        unit="step",
        mininterval=0.1 if sys.stderr.isatty() else 5.0,
        disable=not PartialState(cpu=True).is_main_process,
    )
