"""Reads a training run as its trainer would: a --config_file TOML, or a command line. Needs no torch."""

from lr_grid.training.config import TrainingConfig
from lr_grid.training.finding import Finding, Place
from lr_grid.training.read import TomlError, read_training

__all__ = ["Finding", "Place", "TomlError", "TrainingConfig", "read_training"]
