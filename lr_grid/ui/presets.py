"""Presets for the page: the shipped ones as states, and the user's own, each a file in the settings folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lr_grid.errors import GridError
from lr_grid.files import write_text
from lr_grid.presets import load_preset, preset_names
from lr_grid.ui.answer import RequestError
from lr_grid.ui.models import PageModel, page_model
from lr_grid.ui.read import read_arguments
from lr_grid.ui.state import State
from lr_grid.ui.state_read import read_grid_part

_SUFFIX = ".json"
_LONGEST = 40
_MOST = 500
"""Own presets."""
_MOST_BYTES = 1 << 20


@lru_cache(maxsize=16)
def shipped(model: str) -> tuple[dict[str, Any], ...]:
    """The shipped presets on a model; one that it cannot take has no grid, and a note that says why."""
    return tuple(_shipped(name, model) for name in preset_names())


def _shipped(name: str, model: str) -> dict[str, Any]:
    preset = load_preset(name)
    notes: list[str] = []
    try:
        read = read_arguments({"preset": name}, model)
        grid: dict[str, Any] | None = read.state.grid_part()
        notes = read.notes[1:]  # the first says that it is spelt out, which is what is asked for here
        if notes and grid == State(read.state.model).grid_part():
            grid, notes = None, [*notes, "nothing of it is left on this model"]
    except GridError as error:
        grid, notes = None, error.problems
    return {
        "name": preset.name,
        "title": preset.title,
        "kind": preset.kind,
        "source": preset.source,
        "evidence": preset.evidence,
        "models": list(preset.models),
        "own": False,
        "grid": grid,
        "notes": notes,
    }


@dataclass
class OwnPresets:
    """The user's own presets."""

    folder: Path

    def __post_init__(self) -> None:
        self.lock = threading.Lock()

    def offered(self, model: PageModel) -> list[dict[str, Any]]:
        """Those that were made for a model with the same stacks, by name."""
        found = []
        for path in self._files():
            data = _read(path)
            if data is None or data.get("stacks") != model.stacks:
                continue
            with contextlib.suppress(RequestError, GridError):  # a file that somebody else wrote there
                grid = read_grid_part(data["grid"], State(model)).grid_part()
                found.append(_own(data["name"], str(data.get("model", "")), grid))
        return sorted(found, key=lambda preset: preset["name"].lower())

    def save(self, name: str, state: State) -> None:
        """Keeps a state's grid under a name; one of that name is replaced.

        Raises: GridError for a name that cannot be, or where the file cannot be written.
        """
        name = name.strip()
        _check_name(name)
        path = self._path(name)
        if not path.exists() and len(self._files()) >= _MOST:
            raise GridError([f"there are {_MOST} presets of your own: delete some first"])
        data = {"lr_grid_preset": 1, "name": name, "model": state.model.name, "stacks": state.model.stacks}
        text = json.dumps({**data, "grid": state.grid_part()}, indent=1, ensure_ascii=False) + "\n"
        with self.lock:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise GridError([f"{path.parent}: cannot be made: {error.strerror or error}"]) from None
            write_text(path, text)

    def delete(self, name: str) -> None:
        """Deletes one.

        Raises: GridError where there is none of that name, or it cannot be deleted.
        """
        path = self._path(name.strip())
        with self.lock:
            if _read(path) is None:
                raise GridError([f"{name!r:.60} is no preset of your own"])
            try:
                path.unlink()
            except OSError as error:
                raise GridError([f"{path}: cannot be deleted: {error.strerror or error}"]) from None

    def _path(self, name: str) -> Path:
        # A name may hold what no file's name can; the file's is made of it, so no name leads out of the folder.
        return self.folder / "presets" / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}{_SUFFIX}"

    def _files(self) -> list[Path]:
        try:
            return sorted(path for path in (self.folder / "presets").iterdir() if path.suffix == _SUFFIX)
        except OSError:
            return []


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= _LONGEST:
        raise GridError([f"the name of a preset has 1 to {_LONGEST} characters"])
    if not name.isprintable():
        raise GridError(["the name of a preset holds letters that cannot be shown"])
    if name.lower().replace("-", "_") in preset_names():
        raise GridError([f"{name} is a preset that comes with lr-grid: give another name"])


def _read(path: Path) -> dict[str, Any] | None:
    """What a file holds; None where it is no preset of ours."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            return None
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    named = isinstance(data, dict) and isinstance(data.get("name"), str) and isinstance(data.get("grid"), dict)
    return data if named else None


def _own(name: str, model: str, grid: dict[str, Any]) -> dict[str, Any]:
    about = {"title": name, "kind": "your own", "source": "", "evidence": "", "models": [model] if model else []}
    return {"name": name, **about, "own": True, "grid": grid, "notes": []}


def presets_for(model: str, own: OwnPresets) -> list[dict[str, Any]]:
    """All presets of a model, the user's own last."""
    page = page_model(model)
    return [*shipped(page.name), *own.offered(page)]
