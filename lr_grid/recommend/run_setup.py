"""What a recommendation by rules is asked for: the run to come, and a run that went well."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lr_grid.errors import Problems
from lr_grid.recommend import bounds

DEFAULT_RANK, DEFAULT_ALPHA = 4.0, 1.0
"""What the trainers' network modules take where network_dim or network_alpha is not given (sd-scripts
networks/lora.py and its kin, musubi-tuner networks/lora.py)."""


@dataclass(frozen=True, slots=True)
class Known:
    """A run of the user's own that went well: an absolute LR and what it was good for."""

    lr: float
    rank: float | None = None
    alpha: float | None = None
    batch: float = 1
    optimizer: str | None = None
    """None: the same as now."""

    @property
    def lora(self) -> tuple[float, float]:
        """(rank, alpha), the trainers' defaults where they were not given."""
        return self.rank or DEFAULT_RANK, self.alpha or DEFAULT_ALPHA


@dataclass(frozen=True, slots=True)
class Setup:
    """What is to be trained. None: as in the anchor."""

    model: str | None = None
    rank: float | None = None
    alpha: float | None = None
    """None beside a rank: the trainers' default."""
    rs_lora: bool = False
    """LyCORIS' rank-stabilised scale, alpha / sqrt(rank) in place of alpha / rank."""
    batch_size: int = 1
    gradient_accumulation: int = 1
    optimizer: str = "AdamW"
    loraplus: float | None = None
    full_finetune: bool = False
    known: Known | None = None

    @property
    def batch(self) -> int:
        """Samples an optimizer step."""
        return self.batch_size * self.gradient_accumulation

    @property
    def lora_alpha(self) -> float:
        """The alpha, the trainers' default where it was not given."""
        return self.alpha or DEFAULT_ALPHA

    @property
    def counts_as(self) -> float:
        """The alpha that has the same effect under kohya's scale alpha/rank."""
        return self.lora_alpha * math.sqrt(self.rank or 1.0) if self.rs_lora else self.lora_alpha


def problems_of(setup: Setup) -> Problems:
    """Everything that is wrong with the numbers of a setup, or means nothing beside the others."""
    problems = Problems()
    numbers = {"rank": setup.rank, "alpha": setup.alpha, "loraplus_lr_ratio": setup.loraplus}
    for flag, value in numbers.items():
        if value is not None:
            bounds.check(problems, f"--{flag}", value, bounds.SIZE)
    for flag in ("batch_size", "gradient_accumulation"):
        bounds.check(problems, f"--{flag}", getattr(setup, flag), bounds.COUNT)
    if setup.full_finetune:
        meaningless = [flag for flag, value in numbers.items() if value is not None] + ["rs_lora"] * setup.rs_lora
        for flag in meaningless:
            problems.add(f"--{flag} means nothing with --full_finetune: there is no LoRA")
        if setup.known:
            problems.add(
                "--known and --full_finetune: a known LR of a full fine-tune needs no LoRA-to-full rule; keep --known"
            )
    if setup.alpha is not None and setup.rank is None:
        problems.add("--alpha needs --rank beside it")
    if setup.rs_lora and setup.rank is None:
        problems.add("--rs_lora needs --rank and --alpha")
    if setup.known:
        _check_known(problems, setup.known, setup.rank)
    return problems


def _check_known(problems: Problems, known: Known, rank: float | None) -> None:
    bounds.check(problems, "--known lr", known.lr, bounds.LR)
    bounds.check(problems, "--known batch", known.batch, bounds.COUNT)
    for name in ("rank", "alpha"):
        value = getattr(known, name)
        if value is not None:
            bounds.check(problems, f"--known {name}", value, bounds.SIZE)
    if known.alpha is not None and known.rank is None:
        problems.add(f"--known alpha={known.alpha:g} needs rank=... beside it")
    if known.rank is not None and rank is None:
        problems.add("--known rank=... without --rank compares nothing: give both or neither")


def assumed(setup: Setup) -> list[str]:
    """What is taken for granted as nobody gave it, one sentence a value."""
    if setup.rank is None:
        return []
    found = []
    if setup.alpha is None:
        found.append(f"alpha {DEFAULT_ALPHA:g}, the trainers' default: no --alpha is given")
    if setup.known:
        if setup.known.rank is None:
            found.append(f"rank {DEFAULT_RANK:g} of the known run, the trainers' default: --known gives no rank=")
        if setup.known.alpha is None:
            found.append(f"alpha {DEFAULT_ALPHA:g} of the known run, the trainers' default: --known gives no alpha=")
        if setup.rs_lora:
            found.append("the known run's scale was alpha / rank, not alpha / sqrt(rank)")
    return found
