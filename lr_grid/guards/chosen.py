"""Which optimizer and scheduler a trainer will build from its arguments, and what it gives them.

As sd-scripts 48d368f (library/train_util.py, get_optimizer and get_scheduler_fix) and musubi-tuner 30c658c
(training/trainer_base.py, get_optimizer and get_lr_scheduler) choose.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Mapping
from typing import Any, NamedTuple

BITSANDBYTES = "bitsandbytes"
_DADAPT = "dadaptation"
_OWN_NAMES = {
    "adamw": ("torch", "adamw"),
    "sgdnesterov": ("torch", "sgd"),
    "sgdnesterov8bit": (BITSANDBYTES, "sgd8bit"),
    **{
        f"{paged}{name}": (BITSANDBYTES, f"{paged}{name}")
        for paged in ("", "paged")
        for name in ("adamw8bit", "lion8bit")
    },
    **dict.fromkeys(("pagedadamw", "pagedadamw32bit"), (BITSANDBYTES, "pagedadamw")),
    "lion": ("lion_pytorch", "lion"),
    "prodigy": ("prodigyopt", "prodigy"),
    "adafactor": ("transformers", "adafactor"),
    _DADAPT: (_DADAPT, "dadaptadampreprint"),
}
"""--optimizer_type in lower case -> (package, class), for the names that are not simply a class of torch.optim."""


class Chosen(NamedTuple):
    """A class that the trainer builds."""

    option: str
    """How the user chose it, for messages: ``--optimizer_type Prodigy``."""
    package: str
    """The first word of its import path, in lower case."""
    name: str
    """Of the class, in lower case."""
    given: Mapping[str, Any]
    """Its keyword arguments."""

    def off(self, key: str) -> bool:
        """Whether a switch that is on by default was turned off."""
        return self.given.get(key, True) in (False, 0, "false")

    def on(self, key: str) -> bool:
        """Whether a switch that is off by default was turned on."""
        return self.given.get(key, False) not in (False, 0, None, "false")


def pairs(texts: Any) -> dict[str, Any]:
    """``key=value`` texts as the trainers read them: values are Python's; one that is not stays a text."""
    found: dict[str, Any] = {}
    for text in texts or ():
        key, _, value = str(text).partition("=")
        try:
            found[key.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            found[key.strip()] = value.strip().lower()
    return found


def _asked(args: argparse.Namespace) -> str:
    """The optimizer's name as it was written (--use_8bit_adam, --use_lion_optimizer: older spellings)."""
    if getattr(args, "use_8bit_adam", False):
        return "AdamW8bit"
    if getattr(args, "use_lion_optimizer", False):
        return "Lion"
    return getattr(args, "optimizer_type", None) or "AdamW"


def optimizer_name(args: argparse.Namespace) -> str:
    """The optimizer the trainer will build, in lower case: AdamW where none is named."""
    return _asked(args).lower()


def optimizer_of(args: argparse.Namespace) -> Chosen:
    """The optimizer that the trainer will build, and its arguments."""
    given = pairs(getattr(args, "optimizer_args", None))
    shown = _asked(args)
    name, option = shown.lower(), f"--optimizer_type {shown}"
    if "." in name:
        return Chosen(option, name.partition(".")[0], name.rpartition(".")[2], given)
    if name in _OWN_NAMES:
        return Chosen(option, *_OWN_NAMES[name], given)
    for family, package in (("dadapt", _DADAPT), ("schedulefree", "schedulefree")):
        if name.startswith(family) or name.endswith(family):
            return Chosen(option, package, name, given)
    return Chosen(option, "torch", name, given)


def scheduler_of(args: argparse.Namespace) -> Chosen | None:
    """The scheduler; None where the trainers use none: for every --optimizer_type that ends in ScheduleFree."""
    if (getattr(args, "optimizer_type", None) or "").lower().endswith("schedulefree"):
        return None
    given = pairs(getattr(args, "lr_scheduler_args", None))
    path = getattr(args, "lr_scheduler_type", None) or ""
    if path:
        package = path.partition(".")[0] if "." in path else "torch"
        return Chosen(f"--lr_scheduler_type {path}", package.lower(), path.rpartition(".")[2].lower(), given)
    name = getattr(args, "lr_scheduler", None) or "constant"
    return Chosen(f"--lr_scheduler {name}", "", name.lower().partition(":")[0], given)


def warms_up(args: argparse.Namespace) -> bool:
    """Whether the run asks the scheduler for a warm-up."""
    return bool(getattr(args, "lr_warmup_steps", None))
