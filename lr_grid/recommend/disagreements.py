"""Where LRTool's formula and the rules point in different directions, for the user's own values."""

from __future__ import annotations

from dataclasses import dataclass

from lr_grid.errors import GridError
from lr_grid.recommend.lrtool_tables import ACCUMULATION_EFFICIENCY, OPTIMIZERS
from lr_grid.recommend.names import find
from lr_grid.recommend.optimizers import find_optimizer
from lr_grid.recommend.rules import ALPHA_EXPONENTS


@dataclass(frozen=True, slots=True)
class Disagreement:
    """``lrtool`` and ``rules`` are factors of the LR against the same plain case."""

    about: str
    lrtool: float
    rules: float
    text: str


def disagreements(
    rank: float | None, alpha: float | None, batch_size: float, accumulation: float, optimizer: str
) -> list[Disagreement]:
    """The factors of both methods where one is above 1 and the other below: alpha against alpha = rank, the batch
    against one sample, the optimizer against AdamW."""
    found = []
    if rank and alpha:
        factors = (alpha / rank) ** 0.5, (alpha / rank) ** -ALPHA_EXPONENTS[1]
        text = (
            f"alpha {alpha:g} at rank {rank:g}, against alpha = rank: the LoRA's update grows with alpha/rank, so the "
            "LR goes the other way; LRTool's goes with it"
        )
        found.append(Disagreement("alpha/rank", *factors, text))
    theirs, name, ratio = _optimizer(optimizer)
    samples, exponent = batch_size * accumulation, 1.0 if name.startswith("SGD") else 0.5
    text = (
        f"{samples:g} samples a step, against 1, at the same number of steps: less noise lets the LR rise; LRTool "
        "lowers it, as it counts the samples seen"
    )
    counted = batch_size + ACCUMULATION_EFFICIENCY * (accumulation - 1)
    found.append(Disagreement("batch", counted**-0.5, samples**exponent, text))
    if theirs is not None and ratio is not None:
        text = f"{name} against AdamW: LRTool divides the LR by {theirs:g}, which raises it"
        found.append(Disagreement(f"optimizer {name}", 1 / theirs, ratio, text))
    return [one for one in found if (one.lrtool - 1) * (one.rules - 1) < -1e-12]


def _optimizer(name: str) -> tuple[float | None, str, float | None]:
    """(LRTool's divisor, the usual name, our typical ratio to AdamW); None where a method does not know it."""
    known = find(name, OPTIMIZERS)
    theirs = OPTIMIZERS[known] if known else None
    try:
        usual, kind = find_optimizer(name)
    except GridError:
        return theirs, name, None
    return theirs, usual, None if kind.own_lr or kind.ratio is None else kind.ratio[1]
