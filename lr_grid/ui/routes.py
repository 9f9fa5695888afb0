"""What stands behind each address of the API: questions and answers in plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lr_grid
from lr_grid.convert.arguments import MODULE_KEYS
from lr_grid.convert.grid_toml import BLOCK_KEYS, COMMENTS
from lr_grid.errors import GridError
from lr_grid.keys import KEYS
from lr_grid.ui import shape
from lr_grid.ui.answer import problems_json
from lr_grid.ui.calculator_fields import about
from lr_grid.ui.edited import ABSENT, EditedFile
from lr_grid.ui.live import canonical
from lr_grid.ui.models import all_models, page_model
from lr_grid.ui.places import settings_folder
from lr_grid.ui.planned import planned
from lr_grid.ui.presets import OwnPresets, presets_for
from lr_grid.ui.route import Route
from lr_grid.ui.state import State, state_json
from lr_grid.ui.state_read import read_state
from lr_grid.ui.write import texts_of

MODEL = "flux-dev"
GRAMMAR = {"keys": sorted(KEYS - {"grid"}), "blocks": BLOCK_KEYS, "rules": MODULE_KEYS, "comments": COMMENTS}
"""Of grid files: what the page needs to write one as Python does."""
_MOST_OF_A_VIEW = 32 << 20
"""Bytes: norms files are large."""


@dataclass
class Page:
    """One server's page: what it begins with, the file that it edits, and the user's presets."""

    model: str
    file: EditedFile | None
    own: OwnPresets
    named: bool = False
    """Whether the user named the model: else a file that fits another one only decides."""

    @classmethod
    def of(cls, model: str | None = None, file: EditedFile | None = None) -> Page:
        """
        Args:
            model: what people call it; None: FLUX.1.

        Raises: GridError for a model that is not known.
        """
        return cls(page_model(model or MODEL).name, file, OwnPresets(settings_folder()), bool(model))

    def routes(self) -> dict[str, Route]:
        """By what stands behind ``/api/``."""
        answers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "ping": lambda data: {"ok": True},
            "start": self.start,
            "model": self.about_model,
            "parse": self.parse,
            "write": lambda data: written(read_state(data.get("state"))),
            "presets/save": self.save_preset,
            "presets/delete": self.delete_preset,
            "recommend": _recommend,
            "profile/read": _read_profile,
            "profile/write": _write_profile,
            "file/read": self.read_file,
            "file/save": self.save_file,
            "file/poll": self.poll_file,
        }
        return {**{name: Route(answer) for name, answer in answers.items()}, "view": Route(_view, _MOST_OF_A_VIEW)}

    def finish(self) -> None:
        """Waits for what is being written."""
        for lock in (self.own.lock, *([self.file.lock] if self.file else [])):
            lock.acquire(timeout=10)

    def start(self, data: dict[str, Any]) -> dict[str, Any]:
        """All that the page needs to begin."""
        name = page_model(shape.text(data, "model")).name if data.get("model") is not None else self.model
        state, file = _default(name), None
        notes: list[str] = []
        problems: list[dict[str, Any]] = []
        if self.file:
            file = {"name": self.file.path.name, "etag": ABSENT}
            try:
                text, file["etag"] = self.file.read()
                run = (state.base_lr, state.dim, state.alpha)
                read = _parsed(text, name, *run)
                if read.get("fits") and not self.named and data.get("model") is None:
                    first = read["fits"][0]
                    read = _parsed(text, first["name"], *run)
                    notes.append(f"its blocks are those of {first['title']} (--model names another model)")
                problems, notes = read.get("problems", []), [*notes, *read.get("notes", []), *read.get("lost", [])]
                state = read_state(read["state"]) if "state" in read else state
            except GridError as error:
                problems = problems_json(error.problems)["problems"]
        return {
            "version": lr_grid.__version__,
            "model": state.model.to_json(),
            "state": state_json(state),
            "written": written(state),
            "presets": presets_for(state.model.name, self.own),
            "models": all_models(),
            "file": file,
            "problems": problems,
            "notes": notes,
            "calculator": about(),
            "grammar": GRAMMAR,
        }

    def about_model(self, data: dict[str, Any]) -> dict[str, Any]:
        """A model, and the presets for it."""
        model = page_model(shape.text(data, "model"), shape.text(data, "module", ""), shape.texts(data, "kept"))
        return {"model": model.to_json(), "presets": presets_for(model.name, self.own)}

    def parse(self, data: dict[str, Any]) -> dict[str, Any]:
        """A text of any form as a state."""
        ranks = shape.table(data, "ranks")
        model = page_model(shape.text(data, "model", self.model)).name
        run = (shape.text(data, "base_lr", "1e-4"), shape.text(ranks, "dim", ""), shape.text(ranks, "alpha", ""))
        return _parsed(shape.text(data, "text"), model, *run)

    def save_preset(self, data: dict[str, Any]) -> dict[str, Any]:
        """Keeps a grid under a name of the user's own."""
        state = read_state(data.get("state"))
        self.own.save(shape.text(data, "name"), state)
        return {"presets": presets_for(state.model.name, self.own)}

    def delete_preset(self, data: dict[str, Any]) -> dict[str, Any]:
        """Forgets one."""
        name = page_model(shape.text(data, "model", self.model)).name
        self.own.delete(shape.text(data, "name"))
        return {"presets": presets_for(name, self.own)}

    def _file(self) -> EditedFile:
        if self.file is None:
            raise GridError(["no file is open here: start with lr-grid ui --file grid.toml"])
        return self.file

    def read_file(self, data: dict[str, Any]) -> dict[str, Any]:
        """The file as a state."""
        text, etag = self._file().read()
        asked = {"base_lr": "1e-4", "ranks": {}, **data, "text": text}
        return {**self.parse(asked), "etag": etag}

    def poll_file(self, data: dict[str, Any]) -> dict[str, Any]:
        """Whether somebody else wrote the file."""
        now = self._file().etag()
        return {"changed": now != shape.text(data, "etag"), "etag": now}

    def save_file(self, data: dict[str, Any]) -> dict[str, Any]:
        """Writes the state into the file."""
        file, state = self._file(), read_state(data.get("state"))
        etag, force = shape.text(data, "etag"), data.get("force", False)
        if not isinstance(force, bool):
            raise shape.wrong("force is neither true nor false")
        texts = texts_of(state)
        if not texts.toml and texts.network_args:
            planned(state)  # tells what is wrong
            raise GridError(["nothing of this is a setting of the grid: a grid file cannot hold it"])
        done, now = file.save(texts.toml, etag, force)
        return {"etag": now} if done else {"changed": True, "etag": now}


def _default(model: str) -> State:
    return State(page_model(model), "1e-4", dim="16", alpha="16")


def written(state: State) -> dict[str, Any]:
    """A state's texts, and what the run's own planner makes of it."""
    texts = texts_of(state)
    answer: dict[str, Any] = {**texts.to_json(), "state": state_json(canonical(state))}
    try:
        made = planned(state)
    except GridError as error:
        return {**problems_json(error.problems), **answer}
    made["notices"] += texts.notices
    return {**answer, **made}


# Each imports what it needs when it is asked: the page is there sooner.


def _parsed(text: str, model: str, *run: str) -> dict[str, Any]:
    from lr_grid.ui.parse_answer import parsed

    return parsed(text, model, *run)


def _recommend(data: dict[str, Any]) -> dict[str, Any]:
    from lr_grid.ui.calculator import recommended

    return recommended(data)


def _read_profile(data: dict[str, Any]) -> dict[str, Any]:
    from lr_grid.ui.calculator import read_profile

    return {"fields": read_profile(shape.text(data, "text"))}


def _write_profile(data: dict[str, Any]) -> dict[str, Any]:
    """A profile for LRTool, which the browser saves."""
    from lr_grid.ui.calculator import written_profile

    return {"text": written_profile(shape.table(data, "fields")), "name": "lr_grid_profile.json"}


def _view(data: dict[str, Any]) -> dict[str, Any]:
    from lr_grid.ui.views import view

    return view(data)
