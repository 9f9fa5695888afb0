"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from lr_grid.errors import GridError


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text beside the file and moves it into place: who reads the file sees the old text or the new.

    Raises: GridError, naming the file.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise GridError([f"{path}: cannot be written: {error.strerror or error}"]) from None
