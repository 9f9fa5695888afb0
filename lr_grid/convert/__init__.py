"""Grids in other tools' formats, and theirs as grids. Needs no torch.

``read`` makes arguments of a text, ``write`` a text of arguments; both tell what could not be carried.
"""

from __future__ import annotations

from lr_grid.convert.core import read, write
from lr_grid.convert.losses import Losses

__all__ = ["Losses", "read", "write"]
