"""Full fine-tuning: the grid among --optimizer_args. The trainers read each pair by ast.literal_eval and hand it to the
optimizer's class (sd-scripts' train_util.get_optimizer, musubi-tuner's training/trainer_base.py)."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from lr_grid.check.subject import Subject
from lr_grid.errors import Problems, did_you_mean
from lr_grid.full.arguments import PLAN_FILE
from lr_grid.keys import HINTS, is_grid_key
from lr_grid.launch.command import full_scripts
from lr_grid.own_optimizers import WRAPPERS
from lr_grid.settings import read_settings
from lr_grid.training.finding import Place

_ARGS = "optimizer_args"
_OURS = "lr_grid.optim."
_COMMON = frozenset({"maximize", "foreach", "capturable", "differentiable", "fused"})
OWN_OPTIONS = {
    "AdamW": frozenset({"lr", "betas", "eps", "weight_decay", "amsgrad"}) | _COMMON,
    "Lion": frozenset({"lr", "betas", "weight_decay"}),
    "SGD": frozenset({"lr", "momentum", "dampening", "weight_decay", "nesterov"}) | _COMMON - {"capturable"},
}
"""lr_grid.optim's optimizers -> what is their own; a test holds it against their signatures."""


def check_full(subject: Subject) -> None:
    """Notes what is wrong with a grid among --optimizer_args."""
    config = subject.config
    name = subject.get("optimizer_type")
    if config.trainer is None or not isinstance(config.values.get(_ARGS, []), list):
        return
    is_full = config.script in full_scripts(config.trainer)
    given = _pairs(subject)
    grid = {key: pair for key, pair in given.items() if is_grid_key(key) or key == PLAN_FILE}
    if not isinstance(name, str) or not subject.is_known("optimizer_type"):
        return
    own = name.removeprefix(_OURS) if name.startswith(_OURS) else ""
    if own and own not in (*OWN_OPTIONS, *WRAPPERS):
        named = {one.lower(): one for one in (*OWN_OPTIONS, *WRAPPERS)}
        hint = did_you_mean(own, named).strip()
        for low, one in named.items():
            hint = hint.replace(f" {low}?", f" {one}?")
        subject.tell("error", "optimizer_type", f"{name}: lr-grid has no such optimizer", hint)
        return
    if own and is_full and subject.get("fused_backward_pass"):
        cure = f"Give optimizer_type = adafactor and start it by lr-grid launch{' --args ...' if grid else ''}"
        subject.tell("error", "optimizer_type", f"fused_backward_pass takes Adafactor alone, not {name}", cure)
    if not own:
        _refuse_grid(subject, name, {key: pair for key, pair in grid.items() if key != PLAN_FILE}, is_full)
        return
    if own in WRAPPERS and "optimizer" not in given:
        subject.tell("error", "optimizer_type", f"{name} wants an optimizer: optimizer_args \"optimizer='...'\"")
    for key, (_, place) in given.items():
        if own in OWN_OPTIONS and key not in OWN_OPTIONS[own] and key not in grid:
            hint = did_you_mean(key, sorted({*HINTS, PLAN_FILE, *OWN_OPTIONS[own]})).strip()
            subject.tell("error", place, f"{_ARGS} {key}: neither {name} nor the grid has it", hint)
    if not is_full:
        if config.script is not None and not config.guessed:
            _refuse_grid(subject, name, grid, is_full)
        return
    if grid:
        _check_settings(subject, grid)


_Pairs = dict[str, tuple[Any, Place]]


def _pairs(subject: Subject) -> _Pairs:
    """The pairs as the trainer reads them; one that it would stop at (others tell it) is taken for text."""
    found: _Pairs = {}
    given = next((one for one in reversed(subject.config.given) if one.dest == _ARGS and one.known), None)
    if given is None or not given.resolved:
        return found
    for position, item in enumerate(subject.config.values.get(_ARGS) or ()):
        place = given.items[position] if position < len(given.items) else given.place
        key, _, text = str(item).partition("=")
        try:
            found[key] = ast.literal_eval(text), place
        except (ValueError, SyntaxError):
            found[key] = text, place
    return found


def _refuse_grid(subject: Subject, name: str, grid: _Pairs, is_full: bool) -> None:
    """Notes settings of a grid on an optimizer, or in a run, that takes none."""
    for key, (_, place) in grid.items():
        if is_full:
            cure = f"optimizer_type = {_OURS}AdamW takes it, {_OURS}Grid for other optimizers; or lr-grid launch"
            subject.tell("error", place, f"{_ARGS}: {name} has no {key}", cure)
        elif name.startswith(_OURS) or key not in HINTS:
            cure = "In a LoRA's run it belongs into network_args, with a network module of lr-grid"
            subject.tell("error", place, f"{_ARGS}: {key} is about a model's own weights", cure)


def _check_settings(subject: Subject, grid: _Pairs) -> None:
    """The settings by themselves: which tensors the model has is known in the run alone."""
    values = {key: value for key, (value, _) in grid.items() if key != PLAN_FILE}
    file = values.get("grid")
    if isinstance(file, str) and not Path(file).expanduser().is_file():
        place = grid["grid"][1]
        beside = Path(place.file).parent / Path(file).name
        if place.line and beside.is_file():
            values["grid"] = str(beside)
        else:
            severity = "error" if subject.paths else "note"
            subject.tell(severity, place, f"grid: {file}: no such file here: its settings are not checked")
            del values["grid"]
    problems = Problems()
    settings = read_settings(values, problems, words="--optimizer_args")
    for key in sorted(settings.ranks.keys):
        problems.add(f"{key}: a rank is an adapter's, and here the model's own weights train")
    for key in sorted(key for key in settings.given if "loraplus" in key):
        problems.add(f"{key}: LoRA+ is about the two sides of an adapter, and here the model itself trains")
    for text in problems.found:
        word = next((w for w in re.findall(r"\w+", text)[:6] if w in grid), "")
        subject.tell("error", grid[word][1] if word else _ARGS, f"{_ARGS} {text.rstrip('.')}")
    if not problems.found:
        message = (
            "whether the model has the grid's blocks and components is not checked: a run tells it before it trains"
        )
        subject.tell("note", _ARGS, message)
