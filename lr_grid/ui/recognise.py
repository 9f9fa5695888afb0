"""What kind of text it is: one of our three forms, a trainer's config, a plan, or another tool's format."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

from lr_grid.convert.core import read_job
from lr_grid.convert.detect import detect
from lr_grid.convert.down_mid_up import THRESHOLD
from lr_grid.convert.network_reg_lrs import KEY as REG_LRS
from lr_grid.convert.quoting import split_bash
from lr_grid.convert.texts import (
    NETWORK_ARGS,
    config_arguments,
    is_json,
    looks_like_toml,
    number_text,
    pairs_of,
    read_json,
    read_toml,
)
from lr_grid.errors import GridError
from lr_grid.gridfile import ONETRAINER_BLOCK, PUBLISHED_BLOCK
from lr_grid.keys import is_grid_key
from lr_grid.passed_on import BLOCK_WEIGHTS
from lr_grid.ui.command import is_command, read_command
from lr_grid.ui.parsed import Asked, OtherModelError, Parsed
from lr_grid.ui.plans import plan_grid
from lr_grid.words import COMPONENTS

_ONE_LINE = re.compile(r"\w+=[^\s\"'\[{]\S*( +\w+=\S+)*")
"""Arguments that TOML would read, too: ``ffn_lr=2e-4``."""
_BLOCK_WEIGHTS = {*BLOCK_WEIGHTS, THRESHOLD}
_NOTHING = (
    "{!r:.60} is no grid in any form that is read here: --network_args, a grid file, a command line, a trainer's"
    " config, a run's .lr_grid.json, or what lr-grid convert reads (OneTrainer, Serenity, block weights, ...)"
)


def recognise(text: str, asked: Asked) -> Parsed:
    """What kind of text it is, and what it says.

    Raises: GridError.
    """
    text = text.removeprefix("\ufeff")
    if not text.strip():
        return Parsed("network_args", {})
    if is_json(text):
        return _json(text, asked)
    if looks_like_toml(text) and not _ONE_LINE.fullmatch(text.strip()):
        return _toml(text, asked)
    if is_command(text) and not _is_other_flag(text):
        return _command(text)
    if re.match(r"\s*(--network_args\b|['\"]?\w+=\S)", text):
        pairs = _pairs(text)
        if pairs is not None and not set(pairs) <= _BLOCK_WEIGHTS:
            return Parsed("network_args", pairs)
    return _converted(text, asked)


def _is_other_flag(text: str) -> bool:
    """Whether a command line without --network_args says its grid in another tool's options (--block_lr, ...)."""
    if NETWORK_ARGS in text:
        return False
    try:
        return detect(text) in ("block_lr", "anima")
    except GridError:
        return False


def _pairs(text: str) -> dict[str, str] | None:
    """The key=value of a line; None where it is a list of regex=LR (network_reg_lrs).

    Raises: GridError where it means to be key=value and is not.
    """
    try:
        return pairs_of(split_bash(text))
    except GridError:
        try:
            if detect(text) == REG_LRS:
                return None
        except GridError:
            pass
        raise


def _json(text: str, asked: Asked) -> Parsed:
    data = read_json(text)
    if isinstance(data.get("modules"), list) and isinstance(data.get("arguments"), dict):
        return plan_grid(data)
    if not any(isinstance(data.get(key), dict) for key in (PUBLISHED_BLOCK, ONETRAINER_BLOCK)):
        return Parsed("toml", _checked(text, "toml", asked))
    return _converted(text, asked)


def _toml(text: str, asked: Asked) -> Parsed:
    data = read_toml(text)
    arguments = config_arguments(data)
    flat: dict[str, Any] = {}
    for key, value in data.items():
        flat.update(value if isinstance(value, dict) else {key: value})
    if arguments is None and "network_module" not in flat:
        if _is_grid_file(data):
            return Parsed("toml", data)
        with contextlib.suppress(GridError):  # of no format that is known: then it is a grid file with mistakes
            if detect(text) != "toml":
                return _converted(text, asked)
        return Parsed("toml", _checked(text, "toml", asked))
    own = {key: str(flat[key]) for key in ("network_module", "network_dim", "network_alpha") if key in flat}
    base = flat.get("unet_lr", flat.get("learning_rate"))
    return Parsed(
        "config",
        arguments or {},
        module=own.get("network_module", ""),
        base_lr=number_text(base) if isinstance(base, (int, float)) else str(base or ""),
        dim=own.get("network_dim", ""),
        alpha=own.get("network_alpha", ""),
        notes=["of a trainer's config, the grid, its LR and its rank are taken; the rest of it is not kept"],
    )


def _is_grid_file(data: Mapping[str, Any]) -> bool:
    """Whether a TOML is a grid file beyond doubt. (anima_train.py has a table component_lr, too.)"""
    table = data.get("component_lr", {})
    return (
        all(map(is_grid_key, data)) and "grid" not in data and isinstance(table, dict) and set(table) <= {*COMPONENTS}
    )


def _checked(text: str, form: str, asked: Asked) -> dict[str, Any]:
    arguments, _ = read_job(text, form, asked.model)
    return dict(arguments)


def _command(text: str) -> Parsed:
    command = read_command(text)
    values = command.values
    if command.script and not command.script.endswith("train_network.py"):
        command.notes.append(f"{command.script} trains no LoRA: it takes no network module")
    return Parsed(
        "command",
        command.arguments,
        command.model or "",
        values.get("--network_module", ""),
        values.get("--unet_lr", values.get("--learning_rate", "")),
        values.get("--network_dim", ""),
        values.get("--network_alpha", ""),
        command.words,
        command.notes,
    )


def _converted(text: str, asked: Asked) -> Parsed:
    """A text in another tool's format.

    Raises: GridError, OtherModelError where it can be read for another model.
    """
    try:
        form = detect(text)
    except GridError as error:
        several = [problem for problem in error.problems if "could be" in problem]
        if several:
            raise GridError([several[0].partition(": say")[0]]) from None
        if re.search(r"(?m)^\s*[\w.\"'-]+\s*=|^\s*\[", text):
            read_toml(text)  # it means to be TOML: its line and column are told
        raise GridError([_NOTHING.format(text.strip())]) from None
    if form == "args":  # not convert's reader, which opens a file that the text names (grid=)
        if re.search(r"(?m)^\s*[\w.\"'-]+\s+=|^\s*\[", text):
            read_toml(text)
        return Parsed("network_args", pairs_of(split_bash(text)))
    try:
        arguments, job = read_job(text, form, asked.model)
    except GridError as error:
        fits = []
        for model in (None, "sd15", "sdxl", "flux-dev"):
            try:
                _, job = read_job(text, form, model)
            except GridError:
                continue
            name = job.model.name if job.model else model
            if name and name not in fits:
                fits.append(name)
        if fits:
            raise OtherModelError(error.problems, fits) from None
        raise
    return Parsed(form, arguments, job.model.name if job.model else "", losses=job.losses)
