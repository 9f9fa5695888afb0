"""The page's files, out of the package: a table made once, by name. What is not in it does not exist."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Traversable

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".png": "image/png",
}
INDEX = "index.html"


@dataclass(frozen=True)
class StaticFile:
    """One file of the page."""

    body: bytes
    type: str

    @cached_property
    def etag(self) -> str:
        """What the browser asks by whether its copy is the same."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:20]}"'

    @cached_property
    def zipped(self) -> bytes:
        """The body as gzip, for tunnels."""
        return gzip.compress(self.body, 9, mtime=0)


@cache
def static_files() -> Mapping[str, StaticFile]:
    """URL path -> file. ``/`` is the page itself."""
    found = {f"/{name}": file for name, file in _below(files("lr_grid.ui") / "static", "")}
    if f"/{INDEX}" in found:
        found["/"] = found[f"/{INDEX}"]
    return found


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[str, StaticFile]]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        suffix = f".{entry.name.rpartition('.')[2]}"
        if entry.is_dir():
            yield from _below(entry, f"{prefix}{entry.name}/")
        elif suffix in TYPES:
            yield prefix + entry.name, StaticFile(entry.read_bytes(), TYPES[suffix])
