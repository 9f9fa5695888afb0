"""Grids in other tools' formats, and theirs as grids. Needs no torch.

``read`` makes arguments of a text, ``write`` a text of arguments; both tell what could not be carried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lr_grid.convert.core import read, write
    from lr_grid.convert.losses import Losses

__all__ = ["Losses", "read", "write"]
_HOMES = {"Losses": "losses", "read": "core", "write": "core"}


def __getattr__(name: str) -> Any:
    """The package's names, imported when asked for: who needs one format need not wait for all."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
