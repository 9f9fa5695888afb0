"""The two functions of the room: text to arguments, arguments to text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lr_grid.convert.base import Arguments, Job
from lr_grid.convert.losses import Losses
from lr_grid.convert.models import Model, find_model
from lr_grid.convert.registry import find_format


def read(text: str, format: str, model: str | None = None) -> tuple[Arguments, Losses]:
    """What a text says, in the vocabulary of --network_args (what lr_grid.settings.read_settings takes).

    Args:
        format: its format, with a variant behind a colon where it has any (``onetrainer:Structure``, ``lbw:NAME``).
        model: a model's name; needed where the number of blocks is not the format's own.

    Returns: (arguments, losses): losses are lines about what could not be carried; ``losses.notes`` are remarks.
    Raises: GridError with everything that is wrong.
    """
    arguments, job = read_job(text, format, model)
    return arguments, job.losses


def read_job(text: str, format: str, model: str | None = None) -> tuple[Arguments, Job]:
    """As ``read``; the job tells the model, too, which may be known from the text."""
    row, variant = find_format(format, "--from")
    job = Job(model=find_model(model) if model else None, variant=variant)
    return row.read(text, job), job


def write(
    arguments: Mapping[str, Any], format: str, model: str | None = None, base_lr: float | None = None
) -> tuple[str, Losses]:
    """Arguments in another format.

    Args:
        format: with a variant behind a colon where it has any (``lbw:17``).
        model: a model's name; needed where blocks are counted.
        base_lr: the trainer's LR (absolute), which relative LRs multiply; needed where the format is absolute.

    Returns: (text, losses), as ``read``.
    Raises: GridError where nothing of the grid fits, a setting is wrong, or something needed is missing.
    """
    text, job = write_job(arguments, format, find_model(model) if model else None, base_lr)
    return text, job.losses


def write_job(
    arguments: Mapping[str, Any], format: str, model: Model | None = None, base_lr: float | None = None
) -> tuple[str, Job]:
    """As ``write``, for a model that was found already."""
    row, variant = find_format(format, "--to")
    job = Job(model=model, variant=variant, base_lr=base_lr)
    return row.write(dict(arguments), job), job
