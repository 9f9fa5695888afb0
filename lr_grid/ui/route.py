"""What stands behind an address of the API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lr_grid.ui.body import MOST


@dataclass(frozen=True)
class Route:
    """One question that can be asked."""

    answer: Callable[[dict[str, Any]], Any]
    """A request's object -> the answer's. Raises GridError for what is wrong in it, RequestError for another shape."""
    most: int = MOST
    """Bytes of a request's body."""
