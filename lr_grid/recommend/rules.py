"""The rules: factors from an anchor's LR to the user's own, each with its reason and its source.

A rule is (low, typical, high): factors of an LR. recommendation.py makes one range of the anchor and all rules. They
are anchors for a sweep of two or three values, not measurements of the user's run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lr_grid.recommend.optimizers import OptimizerClass

ALPHA_EXPONENTS = (0.67, 0.5, 0.4)
"""e of LR ~ alpha^-e, for low, typical and high where alpha grew. Our sweep of a small MLP under Adam: alpha/rank from
4 to 1/8 raised the best LR by 2 octaves in 5 (0.4), by 2 in the last 3 (0.67); rank 2 to 32 with alpha = rank lowered
it by 2 in 4 (0.5)."""
RATIO_TO_FULL = (3.0, 10.0, 15.0)
FULL_ALPHA = 32.0
"""The alpha at which the LoRA-to-full ratio was found."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One factor of the recommendation."""

    name: str
    low: float
    typical: float
    high: float
    why: str
    source: str


def alpha_rule(
    alpha: float, rank: float, from_alpha: float, from_rank: float, *, counts_as: float | None = None
) -> Rule:
    """The LoRA's update is (alpha/rank) B A, a sum over ``rank`` columns: rank cancels, alpha does not.

    Args:
        counts_as: the alpha that has the same effect under that scale, where the run's own is another (rsLoRA).
    """
    counted = alpha if counts_as is None else counts_as
    ratio = counted / from_alpha
    as_other = "" if counted == alpha else f" (counts as alpha {counted:g}, by alpha / sqrt(rank))"
    factors = sorted(ratio**-e for e in (ALPHA_EXPONENTS[0], ALPHA_EXPONENTS[2]))
    why = (
        f"rank {rank:g}, alpha {alpha:g}{as_other} against rank {from_rank:g}, alpha {from_alpha:g}: "
        "LR ~ 1/sqrt(alpha), whatever the rank (so with alpha = rank it is 1/sqrt(rank))"
    )
    if ratio != 1:
        why += f". In theory up to 1/alpha (x{1 / ratio:.3g})"
    source = (
        "kohya's scale alpha/rank; muA, arXiv 2602.06204 (rank-invariant or 1/rank, by init and scale); LoRA Without "
        "Regret (roughly rank-free); exponents 0.4 to 0.67: our sweeps of a small MLP"
    )
    return Rule("rank and alpha", factors[0], ratio ** -ALPHA_EXPONENTS[1], factors[1], why, source)


def batch_rule(batch: float, from_batch: float, optimizer: OptimizerClass) -> Rule:
    """Samples an optimizer step (batch size x accumulation x processes)."""
    ratio = batch / from_batch
    factors = sorted(ratio**e for e in optimizer.batch)
    typical = ratio ** optimizer.batch[1]
    how = "linear" if optimizer.batch[1] == 1 else "square root"
    return Rule(
        "batch",
        factors[0],
        typical,
        factors[-1],
        f"{batch:g} samples a step against {from_batch:g}: {how}, perhaps less (big batches suit LoRA badly)",
        "linear for SGD: arXiv 1706.02677; square root for Adam: arXiv 2205.10287; big batches: LoRA Without Regret; "
        "Adam's lower end: our sweep of batch 12, 48, 192",
    )


def optimizer_rule(name: str, optimizer: OptimizerClass) -> Rule:
    """From AdamW's LR to another optimizer's; its ratio must be known."""
    assert optimizer.ratio is not None
    low, typical, high = optimizer.ratio
    return Rule(f"optimizer {name}", low, typical, high, optimizer.why, optimizer.source)


def loraplus_rule(ratio: float) -> Rule:
    """LoRA+: the trainer's LR is that of the down side; the up side has ``ratio`` times it."""
    root = 1 / math.sqrt(ratio)
    return Rule(
        "LoRA+",
        min(1.0, root),
        min(2.0, max(0.5, root)),
        max(1.0, root),
        f"the up side trains at {ratio:g} times the LR: lower it, by 2 or so (1/sqrt(ratio) keeps both sides' product)",
        "LoRA+, arXiv 2402.12354 and its README (lower it, e.g. by 2); our sweep: best LR halved at ratio 4 and 16",
    )


def full_rule() -> Rule:
    """From a LoRA's LR (alpha 32) to that of the model's own weights."""
    low, typical, high = RATIO_TO_FULL
    return Rule(
        "LoRA to full",
        1 / high,
        1 / typical,
        1 / low,
        "full fine-tuning wants about a tenth of a LoRA's LR (a fifteenth against short runs)",
        "LoRA Without Regret (10x, 15x for short runs); a counter-finding: 3x on DistilBERT (tinker feedback 67)",
    )
