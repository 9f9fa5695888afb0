"""The optimizers of lr_grid.optim by the names that a trainer takes; nothing of torch is needed for that."""

from __future__ import annotations

import re

from lr_grid.errors import did_you_mean

PACKAGE = "lr_grid.optim"
NAMES = ("AdamW", "Lion", "SGD")
WRAPPERS = ("Grid", "GridScheduleFree")
"""For full fine-tuning: they make the optimizer that --optimizer_args name."""
_OWN = re.compile(rf"{re.escape(PACKAGE)}\.(?:\w+\.)?(?:{'|'.join(NAMES)})")


def takes_scales(optimizer_type: str | None) -> bool:
    """Whether --optimizer_type names an optimizer whose groups may have an LR factor for each parameter.

    The trainers import the module before the last dot and take the class behind it, in this very spelling.
    """
    return bool(_OWN.fullmatch(optimizer_type or ""))


def unknown_name(optimizer_type: str | None) -> str:
    """What is wrong with a name that is meant for one of them; empty for nothing."""
    name = optimizer_type or ""
    if not name.lower().startswith("lr_grid.") or takes_scales(name):
        return ""
    if name in {f"{PACKAGE}.{one}" for one in WRAPPERS}:
        return ""
    own = {one.lower(): one for one in (*NAMES, *WRAPPERS)}
    near = did_you_mean(name.rpartition(".")[2], own)
    for low, one in own.items():
        near = near.replace(f" {low}?", f" {PACKAGE}.{one}?")
    there = ", ".join(f"{PACKAGE}.{one}" for one in NAMES)
    return f"--optimizer_type {name}: there is none of this name; there are {there}.{near}"
