"""The cache folder of the trainer harness (place, lock, fingerprints) and a command runner with clear errors."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TextIO

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:
    fcntl = None

PATIENCE = 1800  # seconds: a build from nothing takes some minutes
READY = ".ready.json"  # written last: a folder without it was left half-built by a run that was killed


class TrainerUnavailable(RuntimeError):
    """The trainer cannot be had on this machine (no network, no git, ...): tests that need it are skipped."""


def cache_folder() -> Path:
    return Path(os.environ.get("LR_GRID_TRAINERS") or "~/.cache/lr_grid/trainers").expanduser().absolute()


class CacheLock:
    """A lock between test runs: many may use the cache (shared), only one may change it (exclusive).

    It is held by an open file, so it goes away with the process, however that ends. Commands of ``run`` inherit the
    file: a pip that outlives a killed test run keeps the others out until it is done.
    """

    held: ClassVar[set[int]] = set()  # file descriptors

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def try_exclusive(self, timeout: float = 3) -> bool:
        """Take the lock to change the cache, unless others hold it for longer than ``timeout`` seconds."""
        try:
            self.acquire(shared=False, timeout=timeout)
        except TrainerUnavailable:
            return False
        return True

    def acquire(self, *, shared: bool, timeout: float = PATIENCE) -> None:
        if fcntl is None:
            raise TrainerUnavailable("the trainer harness needs a POSIX machine (file locks, venv/bin)")
        self.release()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a")
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                self._file = file
                self.held.add(file.fileno())
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    file.close()
                    raise TrainerUnavailable(f"another test run held {self.path} for {timeout:.0f} s") from None
                time.sleep(0.2)

    def release(self) -> None:
        if self._file is not None:
            self.held.discard(self._file.fileno())
            self._file.close()
            self._file = None


def fingerprint(files: Iterable[Path], *extra: str) -> str:
    """A short hash of files (their names and bytes) and further strings."""
    digest = hashlib.sha256()
    for file in files:
        data = file.read_bytes()
        digest.update(f"{file.name}:{len(data)}:".encode() + data)
    digest.update("\0".join(extra).encode())
    return digest.hexdigest()[:12]


def is_ready(folder: Path) -> bool:
    return (folder / READY).is_file()


def mark_ready(folder: Path, **facts: Any) -> None:
    (folder / READY).write_text(json.dumps(facts), encoding="utf-8")


def start_over(folder: Path, siblings: str | None = None) -> None:
    """Remove what an earlier build left in ``folder``, and folders of other versions (a glob): they are large."""
    for stale in [folder, *(folder.parent.glob(siblings) if siblings else ())]:
        shutil.rmtree(stale, ignore_errors=True)


def run(command: Sequence[str | Path], *, timeout: float, what: str, error: type[Exception], **kwargs: Any) -> str:
    """Run a command and return its output; where it fails, hangs or is missing, raise ``error`` with its last lines."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            pass_fds=CacheLock.held,
            **kwargs,
        )
    except subprocess.TimeoutExpired:
        raise error(f"{what}: no end after {timeout:.0f} s") from None
    except OSError as reason:
        raise error(f"{what}: {reason}") from reason
    if done.returncode != 0:
        end = "\n".join(done.stdout.strip().splitlines()[-12:])
        raise error(f"{what} failed (exit code {done.returncode}):\n{end}")
    return done.stdout
