"""The folder that the trainer resumes from in place of the saved one: links to what stays, new files for what does not.

Nothing is written into the saved folder.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from lr_grid.resume.saved import SAFE_WEIGHTS


def beside(folder: Path, files: Mapping[str, Any], weights: Mapping[str, torch.Tensor] | None = None) -> Path:
    """Makes a folder with everything that a state folder holds, but for some files.

    Args:
        files: name -> what torch is to save under it.
        weights: what model.safetensors is to hold; None: it stays as it is.

    Returns: the new folder, in the system's folder for temporary files. It is gone when the process ends.
    """
    made = Path(tempfile.mkdtemp(prefix="lr_grid_resume_"))
    atexit.register(remove, made)
    changed = {*files, *([SAFE_WEIGHTS] if weights is not None else [])}
    for entry in folder.iterdir():
        if entry.name not in changed:
            _link(entry.resolve(), made / entry.name)
    for name, value in files.items():
        torch.save(value, made / name)
    if weights is not None:
        save_file({key: tensor.contiguous() for key, tensor in weights.items()}, made / SAFE_WEIGHTS)
    return made


def remove(folder: Path) -> None:
    """Removes a folder that `beside` made. Links in it are removed, not what they lead to."""
    shutil.rmtree(folder, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """A link where the system allows one (Windows asks for a privilege), else a second name or a copy."""
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        if source.is_dir():
            shutil.copytree(source, target)
            return
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)
