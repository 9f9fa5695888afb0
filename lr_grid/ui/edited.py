"""The one file that the page edits: read, saved whole or not at all, and watched for changes from outside."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

from lr_grid.errors import GridError
from lr_grid.files import check_writable, real_path, write_text

MOST_BYTES = 1 << 20
ABSENT = ""
"""The etag of a file that is not there."""


@dataclass
class EditedFile:
    """A grid file, chosen where the server was started: no request names one."""

    path: Path
    name: str
    """As it was given."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, name: str) -> EditedFile:
        """Raises: GridError for a file that is no .toml, or could not be written."""
        if Path(name).suffix.lower() != ".toml":
            raise GridError([f"--file {name}: give the name of a .toml grid file"])
        path = real_path(name)
        check_writable(path, f"--file {name}")
        return cls(path, name)

    def read(self) -> tuple[str, str]:
        """(text, etag); no text where the file is not there.

        Raises: GridError where it cannot be read, or is far too long for a grid.
        """
        data = self._bytes()
        if data is None:
            return "", ABSENT
        try:
            return data.decode("utf-8-sig"), _etag(data)
        except UnicodeDecodeError as error:
            raise GridError([f"{self.name}: is no UTF-8 text: {error.reason}"]) from None

    def etag(self) -> str:
        """What stands for the content as it is now. Raises: GridError."""
        data = self._bytes()
        return ABSENT if data is None else _etag(data)

    def save(self, text: str, etag: str, force: bool) -> tuple[bool, str]:
        """Writes the text, if the file is still the one that the page knows.

        Comments and order of the file stay where its keys do.

        Args:
            etag: of what the page read or saved last.
            force: write over what somebody else wrote.

        Returns: (whether it was written, the etag now). Raises: GridError.
        """
        from lr_grid.ui.toml_merge import merged  # here: the server's start need not wait for it

        with self.lock:
            old, now = self.read()
            if now != etag and not force:
                return False, now
            new = merged(old, text if not text or text.endswith("\n") else f"{text}\n")
            write_text(self.path, new)
            return True, _etag(new.encode())

    def _bytes(self) -> bytes | None:
        try:
            with self.path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise GridError([f"{self.name}: cannot be read: {error.strerror or error}"]) from None
        if len(data) > MOST_BYTES:
            raise GridError([f"{self.name}: is longer than any grid ({MOST_BYTES:,} bytes)"])
        return data


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
