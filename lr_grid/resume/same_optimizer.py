"""Which optimizers keep the same state under the same names, so that one goes on where another left off."""

from __future__ import annotations

import argparse

from lr_grid.guards.chosen import optimizer_of

_ALIKE = {("lr_grid", "adamw"): ("torch", "adamw"), ("lr_grid", "sgd"): ("torch", "sgd")}
_ALIKE |= {("lr_grid", "lion"): ("lion_pytorch", "lion")}


def same_optimizer(one: str, other: str) -> bool:
    """Whether two values of --optimizer_type, in any case, name the same optimizer as far as its state goes."""
    return one == other or _class_of(one) == _class_of(other)


def _class_of(name: str) -> tuple[str, str]:
    chosen = optimizer_of(argparse.Namespace(optimizer_type=name))
    found = (chosen.package, chosen.name)
    return _ALIKE.get(found, found)
