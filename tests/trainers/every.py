"""Which of many similar cases run in a trainer's own script: some by default, all with LR_GRID_EVERY=1."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TypeVar

Case = TypeVar("Case")


def chosen(cases: Iterable[Case], always: Callable[[Case], bool], of: int = 0) -> list[Case]:
    """The cases (names, or tuples of arguments) that ``always`` holds for, and one in ``of`` of the others; all of them
    with LR_GRID_EVERY=1.

    A run of a script takes five to fifteen seconds, most of them imports, and all tests must fit into half an hour.
    """
    listed = list(cases)
    if os.environ.get("LR_GRID_EVERY", "0") not in ("", "0"):
        return listed
    others = [case for case in listed if not always(case)]
    kept = others[::of] if of else []
    return [case for case in listed if always(case) or case in kept]
