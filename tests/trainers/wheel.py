"""Installs lr-grid into the trainer's venv the way a user gets it: built as a wheel, then a plain ``pip install``."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .cache import READY, fingerprint
from .environment import pip

DISTRIBUTION = "lr-grid"
PACKAGES = ("lr_grid", "networks")
BUILD_FILES = ("setup.py", "pyproject.toml", "setup.cfg", "MANIFEST.in")
NOT_BUILT = (".*", "tests", "build", "dist", "*.egg-info", "venv")  # at the top of the project
RECORD = ".lr_grid.json"


class ProjectBuildError(RuntimeError):
    """The project's own wheel does not build or install. That is a bug here, never a reason to skip a test."""


def source_fingerprint(project: Path) -> str:
    files = [project / name for name in BUILD_FILES if (project / name).is_file()]
    for package in PACKAGES:
        files += sorted(f for f in (project / package).rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    names = [str(file.relative_to(project)) for file in files]  # a file that was moved is a change too
    return fingerprint(files, *names)


def installed_record(venv: Path) -> dict[str, Any]:
    try:
        return json.loads((venv / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def wheel_is_current(venv: Path, project: Path) -> bool:
    return installed_record(venv).get("sources") == source_fingerprint(project)


def ensure_wheel(venv: Path, project: Path) -> None:
    if wheel_is_current(venv, project):
        return
    (venv / RECORD).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        # a copy is built: building in place leaves build/ and *.egg-info, whose stale files get into later wheels
        source = Path(scratch, "source")
        shutil.copytree(project, source, ignore=_left_out(project))
        sources = source_fingerprint(source)
        options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", scratch)
        pip(venv, "wheel", source, *options, what="building the lr-grid wheel", error=ProjectBuildError)
        wheel = next(Path(scratch).glob("*.whl"))
        removal = ("uninstall", "--quiet", "--yes", DISTRIBUTION)
        pip(venv, *removal, what="removing the old lr-grid", error=ProjectBuildError)
        before = _versions(venv)
        pip(venv, "install", "--quiet", wheel, what="pip install of the lr-grid wheel", error=ProjectBuildError)
        after = _versions(venv)
    changed = {name: [old, after.get(name)] for name, old in before.items() if after.get(name) != old}
    added = {name: new for name, new in after.items() if name not in before}
    record = {"sources": sources, "wheel": wheel.name, "changed": changed, "added": added}
    (venv / RECORD).write_text(json.dumps(record), encoding="utf-8")
    if changed:
        (venv / READY).unlink()  # no longer the trainer's pins: the next test run makes a new venv


def _left_out(project: Path) -> Callable[[str, list[str]], set[str]]:
    at_top = shutil.ignore_patterns(*NOT_BUILT)
    return lambda folder, names: {"__pycache__"} | (at_top(folder, names) if Path(folder) == project else set())


def _versions(venv: Path) -> dict[str, str]:
    listing = pip(venv, "list", "--format=json", what="pip list", error=ProjectBuildError)
    return {row["name"]: row["version"] for row in json.loads(listing)}
