"""Builds, once, everything a trainer's runs need, and keeps it locked while tests use it."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import TypeVar

from . import cache, checkout, environment, wheel
from .installed import InstalledTrainer
from .trainer import Trainer

PROJECT = Path(__file__).parent.parent.parent

Installed = TypeVar("Installed", bound=InstalledTrainer)

_held: list[cache.CacheLock] = []  # released when this process ends


@functools.cache
def prepare(kind: type[Installed]) -> Installed:
    """Build what is missing or out of date (some minutes from nothing, none when all is there) and keep it in use.

    Raises ``TrainerUnavailable`` where the trainer cannot be had. It stays locked against changes by other test runs
    until this process ends. Each trainer has a lock of its own: a process that uses one may still build another.
    """
    folder, trainer = cache.cache_folder(), kind.trainer
    lock = cache.CacheLock(folder / f"{trainer.name}.lock")
    deadline = time.monotonic() + cache.PATIENCE
    while time.monotonic() < deadline:
        lock.acquire(shared=True)
        built = _ready(folder, kind)
        if built is not None:
            _held.append(lock)
            return built
        # Another process that waited beside us may have built it, and holds it for as long as it lives: look again.
        if lock.try_exclusive():
            _build(folder, trainer)
    raise wheel.ProjectBuildError(f"{lock.path} is held by another test run, on other sources than these")


def _tiny_folder(folder: Path, trainer: Trainer) -> Path:
    key = cache.fingerprint([*trainer.makers, trainer.requirements], trainer.commit)
    return folder / f"tiny-{trainer.name}-{key}"


def _ready(folder: Path, kind: type[Installed]) -> Installed | None:
    trainer = kind.trainer
    code = checkout.checkout_folder(folder, trainer)
    venv = environment.venv_folder(folder, trainer)
    tiny = _tiny_folder(folder, trainer)
    if not (cache.is_ready(code) and environment.python_of(venv).exists() and cache.is_ready(tiny)):
        return None
    if not wheel.wheel_is_current(venv, PROJECT):
        return None
    record = wheel.installed_record(venv)
    if not cache.is_ready(venv) and not record["changed"]:
        return None
    return kind(code, environment.python_of(venv), tiny, record["changed"], record["added"])


def _build(folder: Path, trainer: Trainer) -> None:
    code = checkout.ensure_checkout(folder, trainer)
    venv = environment.ensure_venv(folder, trainer)
    tiny = _tiny_folder(folder, trainer)
    if not cache.is_ready(tiny):
        cache.start_over(tiny, f"tiny-{trainer.name}-*")
        tiny.mkdir()
        command = [environment.python_of(venv), trainer.makers[0], code, tiny]
        variables = environment.clean_environment(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", PYTHONWARNINGS="ignore")
        cache.run(command, timeout=600, what="making the tiny models", error=RuntimeError, env=variables, cwd=code)
        cache.mark_ready(tiny)
    wheel.ensure_wheel(venv, PROJECT)
