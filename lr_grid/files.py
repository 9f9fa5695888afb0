"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from lr_grid.errors import GridError


def real_path(name: str) -> Path:
    """The file that a name leads to: ~ and links followed."""
    return Path(os.path.realpath(Path(name).expanduser()))


def check_writable(path: Path, name: str) -> None:
    """Before other things are done that would have to be undone.

    Args:
        name: what a message calls the file.

    Raises: GridError where the file could not be written.
    """
    if path.is_dir():
        raise GridError([f"{name}: cannot be written: is a folder"])
    if not path.parent.is_dir():
        raise GridError([f"{name}: cannot be written: there is no folder {path.parent}"])
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise GridError([f"{name}: cannot be written: the folder {path.parent} is not yours to write to"])


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text as `replace_file` does.

    Raises: GridError, naming the file.
    """
    try:
        replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline="\n"))
    except OSError as error:
        raise GridError([f"{path}: cannot be written: {error.strerror or error}"]) from None


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Has ``write`` write a file beside the wanted one, of the same suffix, and moves it into place: who reads the file
    sees the old one or the new, whatever happens in between. A link stays one (the file that it leads to is written),
    and the file's mode stays.

    Raises: OSError, and what ``write`` raises; then the file is as it was, and nothing lies beside it.
    """
    file = real_path(str(path))
    if file.exists() and not file.is_file():
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    temporary = file.with_name(f".{file.stem}.{os.getpid()}.tmp{file.suffix}")
    try:
        write(temporary)
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())  # else a power cut may leave the name without its text
        with contextlib.suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(file.stat().st_mode))
        os.replace(temporary, file)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
