"""Gets a trainer: a git checkout of one pinned commit, without the large files that no training run reads."""

from __future__ import annotations

import os
from pathlib import Path

from .cache import TrainerUnavailable, is_ready, mark_ready, run, start_over
from .trainer import Trainer

CONNECT_TIMEOUT = 60  # a machine without network must not hold up the tests
CLONE_TIMEOUT = 600
# no helper may ask for a password: a missing repository would wait for one for ever
GIT_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "GCM_INTERACTIVE": "never"}
GIT = ("git", "-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30", "-c", "advice.detachedHead=false")


def checkout_folder(cache: Path, trainer: Trainer) -> Path:
    return cache / f"{trainer.name}-{trainer.commit[:12]}"


def ensure_checkout(cache: Path, trainer: Trainer) -> Path:
    folder = checkout_folder(cache, trainer)
    if not is_ready(folder):
        start_over(folder, f"{trainer.name}-*")
        _git(trainer, "ls-remote", trainer.url, "HEAD", timeout=CONNECT_TIMEOUT)
        _git(trainer, "clone", "--quiet", "--no-checkout", trainer.url, str(folder), timeout=CLONE_TIMEOUT)
        patterns = ["/*", *(f"!/{path}/" for path in trainer.left_out)]
        (folder / ".git" / "info").mkdir(exist_ok=True)
        (folder / ".git" / "info" / "sparse-checkout").write_text("\n".join(patterns) + "\n", encoding="utf-8")
        _git(trainer, "-C", str(folder), "config", "core.sparseCheckout", "true", timeout=CONNECT_TIMEOUT)
        checkout = ("checkout", "--quiet", "--detach", trainer.commit)
        _git(trainer, "-C", str(folder), *checkout, timeout=CLONE_TIMEOUT)
        mark_ready(folder, commit=trainer.commit)
    return folder


def _git(trainer: Trainer, *arguments: str, timeout: float) -> str:
    words = [word for word in arguments if not word.startswith("-")]
    what = f"git {words[0] if arguments[0] != '-C' else words[1]} of {trainer.url}"
    environment = os.environ | GIT_ENVIRONMENT
    return run([*GIT, *arguments], timeout=timeout, what=what, error=TrainerUnavailable, env=environment)
