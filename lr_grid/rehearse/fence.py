"""Nothing of a rehearsal is written outside its own folder, and nothing goes over the network: Python's audit hooks.

They see what Python code opens, makes, renames, removes and connects to, whatever library does it, and stop it there.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_ONE_PATH = {
    "os.mkdir": 2,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.chmod": 2,
    "os.chown": 3,
    "os.utime": 3,
    "os.truncate": -1,
}
"""Event -> where its arguments have the open folder that a relative path counts from; -1: nowhere."""
_ENTRIES = ("os.mkdir", "os.remove", "os.rmdir")
_TWO_PATHS = ("os.rename", "os.link")
_ENTRY = "change"
_LOCAL = ("127.0.0.1", "::1", "localhost", "", None)


class Fence:
    """Refuses writes outside ``allowed`` and connections to other machines; remembers what was refused."""

    def __init__(self, *allowed: str | Path) -> None:
        self.allowed = [os.path.realpath(path) for path in allowed]
        self.refused: list[str] = []
        self._inside = False

    def put_up(self) -> None:
        """From now on, for the rest of the process (an audit hook cannot be taken away)."""
        sys.addaudithook(self._see)

    def _see(self, event: str, args: tuple[Any, ...]) -> None:
        if self._inside or not event.startswith(("open", "os.", "socket.")):
            return
        self._inside = True  # realpath and the like make events of their own
        try:
            check = _CHECKS.get(event)
            if check is not None:
                check(self, args)
        finally:
            self._inside = False

    def _open(self, args: tuple[Any, ...]) -> None:
        path, mode, flags = args
        writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool((flags or 0) & _WRITES)
        if writes:
            self._path(path, "write")

    def _two(self, args: tuple[Any, ...]) -> None:
        self._path(args[0], _ENTRY, args[2])
        self._path(args[1], _ENTRY, args[3])

    def _symlink(self, args: tuple[Any, ...]) -> None:
        self._path(args[1], _ENTRY, args[2])

    def _connect(self, args: tuple[Any, ...]) -> None:
        address = args[1]
        if isinstance(address, tuple) and address and address[0] not in _LOCAL:
            self._refuse(f"connect to {address[0]}")

    def _look_up(self, args: tuple[Any, ...]) -> None:
        if args[0] not in _LOCAL:
            self._refuse(f"look up {args[0]}")

    def _path(self, path: Any, what: str, folder: int = -1) -> None:
        if isinstance(path, int) or path is None:  # an open file
            return
        full = os.path.join(_name_of(folder), os.fsdecode(path))
        head, name = os.path.split(os.path.abspath(full))
        # To remove or to rename a link changes the link, to write to it changes what it stands for.
        real = os.path.join(os.path.realpath(head), name) if what == _ENTRY else os.path.realpath(full)
        if real.startswith("/dev/") or any(real == root or real.startswith(root + os.sep) for root in self.allowed):
            return
        if what == _ENTRY and os.path.isdir(real):  # makedirs(exist_ok=True) of a folder that is there
            raise FileExistsError(errno.EEXIST, "lr-grid rehearse: exists", real)
        self._refuse(f"{what} {real}")

    def _refuse(self, what: str) -> None:
        if what not in self.refused:
            self.refused.append(what)
        raise PermissionError(errno.EACCES, f"lr-grid rehearse does not {what}")


def _one(at: int, what: str) -> Callable[[Fence, tuple[Any, ...]], None]:
    def check(fence: Fence, args: tuple[Any, ...]) -> None:
        fence._path(args[0], what, args[at] if at > 0 else -1)

    return check


def _name_of(folder: int) -> str:
    """The path of an open folder; empty for none (-1) and where the system does not tell."""
    if folder < 0:
        return ""
    try:
        return os.readlink(f"/proc/self/fd/{folder}")
    except OSError:
        pass
    try:  # macOS
        import fcntl

        return os.fsdecode(fcntl.fcntl(folder, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))  # type: ignore[attr-defined]
    except (ImportError, AttributeError, OSError):
        return ""


_CHECKS: dict[str, Callable[[Fence, tuple[Any, ...]], None]] = {
    "open": Fence._open,
    "os.symlink": Fence._symlink,
    "socket.connect": Fence._connect,
    "socket.getaddrinfo": Fence._look_up,
    **{event: _one(at, _ENTRY if event in _ENTRIES else "write to") for event, at in _ONE_PATH.items()},
    **dict.fromkeys(_TWO_PATHS, Fence._two),
}


def scratch_environment(scratch: str | Path) -> dict[str, str]:
    """Variables that make libraries keep their own caches in the rehearsal's folder, and stay offline."""
    temporary = str(Path(scratch) / "tmp")
    return {
        "TMPDIR": temporary,
        "TEMP": temporary,
        "TMP": temporary,
        "MPLCONFIGDIR": str(Path(scratch) / "matplotlib"),
        "TRITON_CACHE_DIR": str(Path(scratch) / "triton"),
        "TORCHINDUCTOR_CACHE_DIR": str(Path(scratch) / "inductor"),
        "HF_MODULES_CACHE": str(Path(scratch) / "modules"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "WANDB_MODE": "disabled",
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "",
        "ACCELERATE_USE_CPU": "true",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "COLUMNS": "400",  # rich breaks the trainer's log lines at this width
    }


def make_scratch() -> Path:
    """A new folder for one rehearsal."""
    scratch = Path(tempfile.mkdtemp(prefix="lr_grid_rehearse_"))
    (scratch / "tmp").mkdir()
    (scratch / "output").mkdir()
    return scratch
