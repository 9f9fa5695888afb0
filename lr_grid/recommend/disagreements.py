"""Where LRTool's formula and the rules point in different directions, for the user's own values."""

from __future__ import annotations

from dataclasses import dataclass

from lr_grid.errors import GridError
from lr_grid.recommend.lrtool_tables import ACCUMULATION_EFFICIENCY, OPTIMIZERS
from lr_grid.recommend.names import find
from lr_grid.recommend.optimizers import find_optimizer
from lr_grid.recommend.rules import ALPHA_EXPONENTS
from lr_grid.recommend.run_setup import Setup


@dataclass(frozen=True, slots=True)
class Case:
    """The values of a run that both methods look at."""

    rank: float | None = None
    alpha: float | None = None
    batch_size: float = 1
    accumulation: float = 1
    optimizer: str = "AdamW"
    counts_as: float | None = None
    """The alpha that has the same effect under kohya's scale alpha/rank; None: ``alpha`` itself."""

    @property
    def samples(self) -> float:
        """Samples an optimizer step."""
        return self.batch_size * self.accumulation


@dataclass(frozen=True, slots=True)
class Disagreement:
    """``lrtool`` and ``rules`` are factors of the LR against the same case."""

    about: str
    lrtool: float
    rules: float
    text: str


def cases(setup: Setup) -> tuple[Case, Case | None]:
    """(the run to come, the run that is known, if one is), with the values that the rules take."""
    alpha = None if setup.rank is None else setup.lora_alpha
    batch = setup.batch_size, setup.gradient_accumulation
    now = Case(setup.rank, alpha, *batch, setup.optimizer, setup.counts_as)
    if setup.known is None:
        return now, None
    return now, Case(*setup.known.lora, setup.known.batch, 1, setup.known.optimizer or setup.optimizer)


def disagreements(now: Case, before: Case | None = None) -> list[Disagreement]:
    """The factors of both methods where one is above 1 and the other below.

    Args:
        before: what they start from; None: alpha = rank, one sample a step, AdamW.
    """
    start = before or Case(now.rank, now.rank)
    found = []
    if now.rank and now.alpha and start.rank and start.alpha:
        counted = now.alpha if now.counts_as is None else now.counts_as
        lrtool = (now.alpha / now.rank * start.rank / start.alpha) ** 0.5
        against = f"alpha {start.alpha:g} at rank {start.rank:g}" if before else "alpha = rank"
        as_other = "" if counted == now.alpha else f" (counts as alpha {counted:g})"
        text = (
            f"alpha {now.alpha:g}{as_other} at rank {now.rank:g}, against {against}: the LoRA's update grows with its "
            "alpha, so the rules lower the LR with it; LRTool raises it with alpha/rank"
        )
        rules = (counted / start.alpha) ** -ALPHA_EXPONENTS[1]
        found.append(Disagreement("alpha/rank", lrtool, rules, text))
    theirs, name, ratio = _optimizer(now.optimizer)
    text = (
        f"{now.samples:g} samples a step, against {start.samples:g}, at the same number of steps: the rules raise the "
        "LR with the batch, for less noise; LRTool lowers it, as it counts the samples seen"
    )
    rules = (now.samples / start.samples) ** (1.0 if name.startswith("SGD") else 0.5)
    found.append(Disagreement("batch", (_counted(now) / _counted(start)) ** -0.5, rules, text))
    from_theirs, from_name, from_ratio = _optimizer(start.optimizer)
    if theirs and ratio and from_theirs and from_ratio:
        text = f"{name} against {from_name}: LRTool divides the LR by {theirs:g} in place of {from_theirs:g}"
        found.append(Disagreement(f"optimizer {name}", from_theirs / theirs, ratio / from_ratio, text))
    return [one for one in found if (one.lrtool - 1) * (one.rules - 1) < -1e-12]


def _counted(case: Case) -> float:
    """Samples a step as LRTool counts them."""
    return case.batch_size + ACCUMULATION_EFFICIENCY * (case.accumulation - 1)


def _optimizer(name: str) -> tuple[float | None, str, float | None]:
    """(LRTool's divisor, the usual name, our typical ratio to AdamW); None where a method does not know it."""
    known = find(name, OPTIMIZERS)
    theirs = OPTIMIZERS[known] if known else None
    try:
        usual, kind = find_optimizer(name)
    except GridError:
        return theirs, name, None
    return theirs, usual, None if kind.own_lr or kind.ratio is None else kind.ratio[1]
