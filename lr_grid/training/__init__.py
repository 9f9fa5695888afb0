"""Reads a training run as its trainer would: a --config_file TOML, or a command line. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lr_grid.training.config import TrainingConfig
    from lr_grid.training.finding import Finding, Place
    from lr_grid.training.read import TomlError, read_training

__all__ = ["Finding", "Place", "TomlError", "TrainingConfig", "read_training"]
_HOMES = {"TrainingConfig": "config", "Finding": "finding", "Place": "finding", "TomlError": "read"}


def __getattr__(name: str) -> Any:
    """The package's names, imported when asked for: a trainer's start needs only a few of its modules."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'read')}"), name)
