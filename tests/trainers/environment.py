"""The trainer's own virtual environment: a venv with sd-scripts' pins, apart from the environment the tests run in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .cache import TrainerUnavailable, fingerprint, is_ready, mark_ready, run, start_over

REQUIREMENTS = Path(__file__).with_name("requirements-sd-scripts.txt")
INSTALL_TIMEOUT = 1500
# what the tests' own environment may have set must not leak into the trainer's
LEAKS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER")


def venv_folder(cache: Path) -> Path:
    version = ".".join(map(str, sys.version_info[:2]))
    return cache / f"venv-sd-scripts-{fingerprint([REQUIREMENTS], version, sys.base_prefix)}"


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


def ensure_venv(cache: Path) -> Path:
    venv = venv_folder(cache)
    if not venv_is_ready(venv):
        start_over(venv, "venv-sd-scripts-*")
        run([sys.executable, "-m", "venv", venv], timeout=300, what="making a venv", error=TrainerUnavailable)
        what = "installing the trainer's pins"
        pip(venv, "install", "--quiet", "-r", REQUIREMENTS, what=what, error=TrainerUnavailable)
        mark_ready(venv)
    return venv
