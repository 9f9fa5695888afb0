"""What the checks look at: a config, and a notebook for what they find."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lr_grid.training.config import TrainingConfig
from lr_grid.training.finding import Finding, Place


@dataclass
class Subject:
    """A training config under check."""

    config: TrainingConfig
    paths: bool = False
    """Whether files and folders that the config names must exist."""
    findings: list[Finding] = field(default_factory=list)
    missed: set[str] = field(default_factory=set)
    """Arguments that ``get`` was asked for and that were not given."""

    @cached_property
    def args(self) -> argparse.Namespace:
        """All arguments of the script; at the parser's default are those that were not given, or with a wrong type."""
        return argparse.Namespace(**self.config.defaults())

    @property
    def is_whole(self) -> bool:
        """Whether nothing can come from elsewhere: a TOML by itself leaves out what stands on the command line, and a
        part of the run may be out of sight."""
        return not self.config.source.lower().endswith(".toml") and not self.config.unread

    def is_known(self, dest: str) -> bool:
        """Whether the value of an argument is known, if it is given at all."""
        where = self.config.where.get(dest)
        return all(one.resolved for one in self.config.given if one.place == where and one.dest == dest)

    @property
    def knows_lrs(self) -> bool:
        """Whether the trainer's LRs are known, which a grid multiplies."""
        given = any(self.config.values.get(dest) is not None for dest in ("learning_rate", "unet_lr"))
        return (given or self.is_whole) and all(
            self.is_known(dest) for dest in ("learning_rate", "unet_lr", "text_encoder_lr")
        )

    def get(self, dest: str) -> Any:
        """The value an argument has in the run; None where the script has no such argument."""
        if dest not in self.config.values:
            self.missed.add(dest)
        return getattr(self.args, dest, None)

    def tell(self, severity: str, where: str | Place, message: str, cure: str = "") -> None:
        """Notes a finding, at a place or where an argument was written."""
        place = where if isinstance(where, Place) else self.config.place(where)
        self.findings.append(Finding(severity, place, message, cure))

    def tell_each(self, severity: str, texts: Iterable[str], otherwise: str = "network_args") -> None:
        """Notes what the grid's own checks say, each where the setting it begins with was written."""
        for text in texts:
            self.tell(severity, self.place_of(text, otherwise), text.rstrip("."))

    def place_of(self, text: str, otherwise: str = "network_args") -> Place:
        """Where the setting was written that a text begins with (``ffn_lr: ...``, ``--optimizer_type ...``)."""
        pairs = self.config.network_args_where
        option = re.match(r"--(\w+)", text)
        if option and option[1] in self.config.where:
            return self.config.where[option[1]]
        for word in re.findall(r"\w+", text)[:4]:
            if word in pairs:
                return pairs[word]
        if "grid" in pairs and text.startswith(self.config.network_args["grid"]):
            return pairs["grid"]
        return self.config.place(otherwise)
