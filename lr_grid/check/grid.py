"""What the grid would refuse: --network_args on the model that the config trains, or by themselves."""

from __future__ import annotations

import re
from pathlib import Path

from lr_grid.arguments import settings_among
from lr_grid.check.network_module import has_grid
from lr_grid.check.subject import Subject
from lr_grid.errors import GridError, Problems
from lr_grid.keys import HINTS, is_grid_key
from lr_grid.models import find_model
from lr_grid.models.blueprint import known_arguments
from lr_grid.passed_on import TRAINER_OPTIONS, check_arguments, check_block_curves, check_regex_pairs
from lr_grid.plan import Plan
from lr_grid.preview import preview, wrapped_module
from lr_grid.quirks import check_flags, idle_arguments
from lr_grid.settings import read_settings
from lr_grid.training.finding import Place
from lr_grid.training.run import model_of, run_of
from lr_grid.training.tables import options


def check_grid(subject: Subject, model: str | None) -> Plan | None:
    """Notes what is wrong with --network_args; returns the plan, where there is a model to plan for.

    Args:
        model: a model's name, in place of what the config tells.
    """
    config = subject.config
    module = str(config.values.get("network_module") or "")
    arguments = _readable(subject)
    base = _base(subject, module, arguments)
    name = model or model_of(config)
    if not base or (name is None and not arguments):
        return None
    if base.startswith("lycoris"):
        message = "LyCORIS chooses its modules by presets: only a run can hold rules against them"
        subject.tell("note", "network_module", message)
        _check_alone(subject, base, arguments)
        return None
    if name is None:
        subject.tell(
            "note",
            Place(config.source),
            "which model this trains cannot be told: rules are not held against its blocks and components",
            "Name it with --model",
        )
        _check_alone(subject, base, arguments)
        return None
    if not has_grid(module):
        known = known_arguments().get(base, frozenset())
        arguments = {key: value for key, value in arguments.items() if key in known or not is_grid_key(key)}
    subject.tell_each("warning", idle_arguments(base, arguments))
    run = run_of(config)
    try:
        return preview(find_model(name), arguments, run).plan
    except GridError as error:
        _tell_refused(subject, error.problems)
        refused = {key for text in error.problems for key in re.findall(r"\w+", text)[:4]}
    try:  # what is left still has LRs that the optimizer must be able to follow
        return preview(find_model(name), {k: v for k, v in arguments.items() if k not in refused}, run).plan
    except GridError:
        return None


def _base(subject: Subject, module: str, arguments: dict[str, str]) -> str:
    """The module that does the work, by its import path; empty where none is known."""
    base = wrapped_module(module, arguments) if module else ""
    if subject.config.trainer == "musubi-tuner" and base.startswith("networks."):
        base = f"musubi_tuner.{base}"
    return base if base.startswith("lycoris") or base in known_arguments() else ""


def _readable(subject: Subject) -> dict[str, str]:
    """The pairs of --network_args, a grid file's name made to fit where it lies beside the config; one that is not here
    is left out and told."""
    arguments = dict(subject.config.network_args)
    name = arguments.get("grid")
    if not name or Path(name).expanduser().is_file():
        return arguments
    place = subject.config.network_args_where["grid"]
    beside = Path(place.file).parent / Path(name).name
    if place.line and beside.is_file():
        arguments["grid"] = str(beside)
        return arguments
    severity = "error" if subject.paths else "note"
    subject.tell(severity, place, f"grid: {name}: no such file here: its settings are not checked")
    return {key: value for key, value in arguments.items() if key != "grid"}


def _check_alone(subject: Subject, base: str, arguments: dict[str, str]) -> None:
    """What can be said of arguments without a model."""
    problems = Problems()
    known = known_arguments().get(base)
    if has_grid(str(subject.config.values.get("network_module") or "")):
        read_settings(settings_among(base, known, arguments), problems)
    passed = {key: value for key, value in arguments.items() if not is_grid_key(key) or key in (known or ())}
    check_arguments(base, known, passed, HINTS, problems)
    check_regex_pairs(passed, problems)
    check_block_curves(passed, problems)
    check_flags(base, passed, problems)
    _tell_refused(subject, problems.found)
    subject.tell_each("warning", idle_arguments(base, passed))


def _tell_refused(subject: Subject, problems: list[str]) -> None:
    """Notes the grid's refusals; of options of the trainer among --network_args it says whose they are."""
    config = subject.config
    for text in problems:
        key = text.partition(":")[0]
        cure = ""
        if key in config.network_args and key not in TRAINER_OPTIONS and key in options(config.trainer, config.script):
            cure = f"It is the trainer's own option: give --{key}"
        subject.tell("error", subject.place_of(text), f"network_args: {text.rstrip('.')}", cure)
