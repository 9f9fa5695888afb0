"""Optimizers that a trainer's environment does not have, in a folder of their own for PYTHONPATH."""

from __future__ import annotations

import functools
from pathlib import Path

from . import cache, environment

REQUIREMENTS = Path(__file__).parent / "requirements-optimizers.txt"


@functools.cache
def optimizer_packages(python: Path) -> Path:
    """The folder, filled on first use with the pip of a trainer's interpreter.

    Raises TrainerUnavailable where the packages cannot be had.
    """
    folder = cache.cache_folder() / f"optimizers-{cache.fingerprint([REQUIREMENTS])}"
    lock = cache.CacheLock(cache.cache_folder() / "optimizers.lock")
    lock.acquire(shared=False)
    try:
        if not cache.is_ready(folder):
            cache.start_over(folder, "optimizers-*")
            options = ["--quiet", "--no-deps", "--target", folder, "-r", REQUIREMENTS]
            what = "installing optimizers"
            venv = python.parent.parent
            environment.pip(venv, "install", *options, what=what, error=cache.TrainerUnavailable)
            cache.mark_ready(folder)
    finally:
        lock.release()
    return folder
