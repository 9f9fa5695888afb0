"""What stops a rehearsal: a hook that this version of the trainer does not have, or something the CPU cannot do."""

from __future__ import annotations

from typing import Any


class CannotRehearse(Exception):
    """The command may be right or wrong: the rehearsal cannot tell."""


class Finished(BaseException):
    """Enough steps were seen. A BaseException: a trainer may catch Exception."""


def need(owner: Any, name: str, of: str) -> Any:
    """A part of the trainer that the rehearsal hooks into.

    Raises: CannotRehearse where this version does not have it.
    """
    found = getattr(owner, name, None)
    if found is None:
        where = getattr(owner, "__name__", "__main__")
        full = name if where == "__main__" else f"{where}.{name}"
        raise CannotRehearse(f"this version of {of} has no {full}: it cannot be rehearsed")
    return found
