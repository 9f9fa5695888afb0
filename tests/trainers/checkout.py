"""Gets sd-scripts: a git checkout of one pinned commit, without the large files that no training run reads."""

from __future__ import annotations

import os
from pathlib import Path

from .cache import TrainerUnavailable, is_ready, mark_ready, run, start_over

URL = "https://github.com/kohya-ss/sd-scripts"
COMMIT = "48d368fa557731ad0488c07304dfeba8c07910eb"
LEFT_OUT = ("bitsandbytes_windows", "configs/qwen3_06b", "images")

CONNECT_TIMEOUT = 60  # a machine without network must not hold up the tests
CLONE_TIMEOUT = 600
# no helper may ask for a password: a missing repository would wait for one for ever
GIT_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "GCM_INTERACTIVE": "never"}
GIT = ("git", "-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30", "-c", "advice.detachedHead=false")


def checkout_folder(cache: Path) -> Path:
    return cache / f"sd-scripts-{COMMIT[:12]}"


def ensure_checkout(cache: Path) -> Path:
    folder = checkout_folder(cache)
    if not is_ready(folder):
        start_over(folder, "sd-scripts-*")
        _git("ls-remote", URL, "HEAD", timeout=CONNECT_TIMEOUT)
        _git("clone", "--quiet", "--no-checkout", URL, str(folder), timeout=CLONE_TIMEOUT)
        patterns = ["/*", *(f"!/{path}/" for path in LEFT_OUT)]
        (folder / ".git" / "info").mkdir(exist_ok=True)
        (folder / ".git" / "info" / "sparse-checkout").write_text("\n".join(patterns) + "\n", encoding="utf-8")
        _git("-C", str(folder), "config", "core.sparseCheckout", "true", timeout=CONNECT_TIMEOUT)
        _git("-C", str(folder), "checkout", "--quiet", "--detach", COMMIT, timeout=CLONE_TIMEOUT)
        mark_ready(folder, commit=COMMIT)
    return folder


def _git(*arguments: str, timeout: float) -> str:
    words = [word for word in arguments if not word.startswith("-")]
    what = f"git {words[0] if arguments[0] != '-C' else words[1]} of {URL}"
    environment = os.environ | GIT_ENVIRONMENT
    return run([*GIT, *arguments], timeout=timeout, what=what, error=TrainerUnavailable, env=environment)
