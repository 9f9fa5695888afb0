"""lr-grid: a learning rate for every block, component and LoRA side of a diffusion model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lr_grid.api import GridError, param_groups

__version__ = "0.1.0"
__all__ = ["GridError", "__version__", "param_groups"]


def __getattr__(name: str) -> Any:
    """The library's names, imported when asked for: torch takes seconds that ``lr-grid --help`` need not wait for."""
    if name in ("GridError", "param_groups"):
        from lr_grid import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
