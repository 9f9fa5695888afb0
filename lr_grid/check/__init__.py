"""Finds what is wrong with a training config before the trainer does, or where the trainer would say nothing."""

from lr_grid.check.grid_file import check_grid_file, is_grid_file
from lr_grid.check.lint import check_dataset_file, check_training

__all__ = ["check_dataset_file", "check_grid_file", "check_training", "is_grid_file"]
