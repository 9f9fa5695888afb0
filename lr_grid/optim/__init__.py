"""Optimizers that move all parameters of all groups in one multi-tensor pass, each at an LR of its own.

``--optimizer_type lr_grid.optim.AdamW`` in sd-scripts and musubi-tuner; anywhere else as the optimizers that they are.
In the trainers' full fine-tune scripts they take the settings of a grid, and Grid any other optimizer with one.
"""

from lr_grid.optim.adamw import AdamW
from lr_grid.optim.lion import Lion
from lr_grid.optim.sgd import SGD
from lr_grid.optim.wrapped import Grid, GridScheduleFree

__all__ = ["SGD", "AdamW", "Grid", "GridScheduleFree", "Lion"]
