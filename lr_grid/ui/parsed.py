"""What a text says, before it is held against a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lr_grid.convert.losses import Losses
from lr_grid.errors import GridError


@dataclass(frozen=True)
class Asked:
    """The page's own model and run: what a text does not say is taken from here."""

    model: str
    base_lr: str = "1e-4"
    dim: str = ""
    alpha: str = ""


@dataclass
class Parsed:
    """What a text says."""

    form: str
    arguments: Mapping[str, Any]
    model: str = ""
    """The catalogue's name, where the text tells it."""
    module: str = ""
    base_lr: str = ""
    dim: str = ""
    alpha: str = ""
    command: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    losses: Losses = field(default_factory=Losses)


class OtherModelError(GridError):
    """A text that another model's grid may be. ``fits``: names of models, the most likely first."""

    def __init__(self, problems: list[str], fits: list[str]):
        super().__init__(problems)
        self.fits = fits
