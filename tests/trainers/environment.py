"""The trainer's own virtual environment: a venv with its pins, apart from the environment the tests run in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .cache import TrainerUnavailable, fingerprint, is_ready, mark_ready, run, start_over
from .checkout import checkout_folder
from .trainer import Trainer

INSTALL_TIMEOUT = 1500
# what the tests' own environment may have set must not leak into the trainer's
LEAKS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER")


def venv_folder(cache: Path, trainer: Trainer) -> Path:
    installed = [trainer.commit, trainer.source_root] if trainer.source_root is not None else []
    key = fingerprint([trainer.requirements], _python_version(), sys.base_prefix, *installed)
    return cache / f"venv-{trainer.name}-{key}"


def python_of(venv: Path) -> Path:
    return venv / "bin" / "python"


def clean_environment(**variables: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in LEAKS and not key.startswith("ACCELERATE_")}
    return kept | {"PYTHONNOUSERSITE": "1"} | variables


def pip(venv: Path, *arguments: str | Path, what: str, error: type[Exception], timeout: float = INSTALL_TIMEOUT) -> str:
    command = [python_of(venv), "-m", "pip", "--disable-pip-version-check", "--no-input", "--retries", "2", *arguments]
    return run(command, timeout=timeout, what=what, error=error, env=clean_environment(), cwd=venv)


def venv_is_ready(venv: Path) -> bool:
    return is_ready(venv) and python_of(venv).exists()


def ensure_venv(cache: Path, trainer: Trainer) -> Path:
    venv = venv_folder(cache, trainer)
    if not venv_is_ready(venv):
        start_over(venv, f"venv-{trainer.name}-*")
        run([sys.executable, "-m", "venv", venv], timeout=300, what="making a venv", error=TrainerUnavailable)
        what = "installing the trainer's pins"
        pip(venv, "install", "--quiet", "-r", trainer.requirements, what=what, error=TrainerUnavailable)
        if trainer.source_root is not None:
            _make_importable(venv, trainer.name, checkout_folder(cache, trainer) / trainer.source_root)
        mark_ready(venv)
    return venv


def _make_importable(venv: Path, name: str, folder: Path) -> None:
    """Put a folder on the venv's ``sys.path`` by the file an editable install leaves, without its dependencies."""
    packages = venv / "lib" / f"python{_python_version()}" / "site-packages"
    # relative, so that the cache may be copied to another place
    (packages / f"{name}.pth").write_text(os.path.relpath(folder, packages) + "\n", encoding="utf-8")


def _python_version() -> str:
    return ".".join(map(str, sys.version_info[:2]))
