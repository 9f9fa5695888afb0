"""Which of many similar cases run in a trainer's own script: some by default, all with LR_GRID_EVERY=1."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable


def chosen(names: Iterable[str], always: Callable[[str], bool], of: int = 0) -> list[str]:
    """The names that ``always`` holds for, and one in ``of`` of the others; all of them with LR_GRID_EVERY=1.

    A run of a script takes five to fifteen seconds, most of them imports, and all tests must fit into half an hour.
    """
    listed = list(names)
    if os.environ.get("LR_GRID_EVERY", "0") not in ("", "0"):
        return listed
    others = [name for name in listed if not always(name)]
    kept = set(others[::of]) if of else set()
    return [name for name in listed if always(name) or name in kept]
