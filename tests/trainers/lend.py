"""Packages of the tests' own environment, lent to a trainer's Python without installing them there."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path


def lend(folder: Path, package: str, without: tuple[str, ...] = ()) -> Path:
    """Links a package and what it needs into ``folder``, which then stands for it on a PYTHONPATH (the trainers' venvs
    have the Python of the tests). ``without``: packages that the trainer has itself."""
    folder.mkdir(parents=True, exist_ok=True)
    waiting, done = [package], {_plain(name) for name in without}
    while waiting:
        name = waiting.pop()
        if _plain(name) in done:
            continue
        done.add(_plain(name))
        try:
            found = distribution(name)
        except PackageNotFoundError:  # needed on another system or Python only
            continue
        waiting += [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in found.requires or () if "extra" not in text]
        _link(found, folder)
    return folder


def _link(found: Distribution, folder: Path) -> None:
    for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
        link = folder / top
        if not link.exists():
            link.symlink_to(Path(str(found.locate_file(top))).resolve())


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
