"""Runs a script of this folder in a trainer's venv, with this checkout of lr-grid on its path."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainers.environment import clean_environment

HERE = Path(__file__).parent


def run_inventory(script: str, trainer: Any, *arguments: str, path: Sequence[Path] = ()) -> Any:
    """What the script prints as its last line, a JSON value. Its arguments end with the trainer's folder; modules are
    found in ``path``, too."""
    python_path = os.pathsep.join(map(str, (HERE.parent.parent, *path)))
    done = subprocess.run(
        [str(trainer.python), str(HERE / script), *arguments, str(trainer.folder)],
        env=clean_environment(PYTHONPATH=python_path, OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1"),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
