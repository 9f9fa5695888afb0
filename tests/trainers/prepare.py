"""Builds, once, everything a training run needs, and keeps the cache locked while tests use it."""

from __future__ import annotations

import functools
from pathlib import Path

from . import cache, checkout, environment, wheel
from .sd_scripts import SdScripts

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
MAKERS = [HERE / name for name in ("make_tiny.py", "tiny_models.py", "tiny_data.py", "shrink.py")]

_held: list[cache.CacheLock] = []  # released when this process ends


@functools.cache
def prepare() -> SdScripts:
    """Build what is missing or out of date (about 90 seconds from nothing, none when all is there) and keep it in use.

    Raises ``TrainerUnavailable`` where the trainer cannot be had. The cache stays locked against changes by other test
    runs until this process ends.
    """
    folder = cache.cache_folder()
    lock = cache.CacheLock(folder / "lock")
    for _ in range(5):  # sources edited while the wheel was being built, or by another run before our turn: once more
        lock.acquire(shared=True)
        built = _ready(folder)
        if built is not None:
            _held.append(lock)
            return built
        lock.acquire(shared=False)
        _build(folder)
    raise wheel.ProjectBuildError("the project's files keep changing: the wheel never matched them")


def _tiny_folder(folder: Path) -> Path:
    key = cache.fingerprint([*MAKERS, environment.REQUIREMENTS], checkout.COMMIT)
    return folder / f"tiny-sd-scripts-{key}"


def _ready(folder: Path) -> SdScripts | None:
    code, venv, tiny = checkout.checkout_folder(folder), environment.venv_folder(folder), _tiny_folder(folder)
    if not (cache.is_ready(code) and environment.python_of(venv).exists() and cache.is_ready(tiny)):
        return None
    if not wheel.wheel_is_current(venv, PROJECT):
        return None
    record = wheel.installed_record(venv)
    if not cache.is_ready(venv) and not record["changed"]:
        return None
    return SdScripts(code, environment.python_of(venv), tiny, record["changed"], record["added"])


def _build(folder: Path) -> None:
    code = checkout.ensure_checkout(folder)
    venv = environment.ensure_venv(folder)
    tiny = _tiny_folder(folder)
    if not cache.is_ready(tiny):
        cache.start_over(tiny, "tiny-sd-scripts-*")
        tiny.mkdir()
        command = [environment.python_of(venv), MAKERS[0], code, tiny]
        variables = environment.clean_environment(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", PYTHONWARNINGS="ignore")
        cache.run(command, timeout=600, what="making the tiny models", error=RuntimeError, env=variables, cwd=code)
        cache.mark_ready(tiny)
    wheel.ensure_wheel(venv, PROJECT)
