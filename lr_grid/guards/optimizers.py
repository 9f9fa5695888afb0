"""Whether an optimizer gives the groups of a grid their LRs: what to refuse, and what to tell."""

from __future__ import annotations

from collections.abc import Sequence

from lr_grid.guards.chosen import Chosen
from lr_grid.guards.optimizer_table import (
    ADAFACTOR_FIXED,
    BENDS,
    FACTORS,
    FAR,
    ONE_LR,
    OPTIMIZERS,
    OWN_LR,
    UNUSABLE,
    Conduct,
)

SWITCH = (
    "Use AdamW, AdamW8bit, Lion, AdamWScheduleFree, or prodigyplus.ProdigyPlusScheduleFree, which takes group LRs as"
    " factors (--learning_rate 1, the grid's shape in multiples: ffn_lr=0.5x), or give every part the same LR"
)
_USE = "Use AdamW, AdamW8bit, Lion or another that docs/optimizers.md says follows them"
_SMALL = 0.1
"""A factor of a step size that is smaller than this is an LR that was meant to be absolute (kohya warns at it, too)."""


def conduct_of(optimizer: Chosen) -> Conduct | None:
    """What an optimizer does with group LRs, given its arguments; None for one that was not measured."""
    found = OPTIMIZERS.get(optimizer.package, {}).get(optimizer.name)
    if optimizer.name == "adafactor" and optimizer.package != "torch":
        if not optimizer.off("relative_step") or optimizer.on("warmup_init"):
            why = "with relative_step (its default) sets its own LR"
            return Conduct(OWN_LR, why, f"Add --optimizer_args {ADAFACTOR_FIXED}")
        if optimizer.off("scale_parameter"):
            return Conduct("honours")
        why = "with scale_parameter (its default) scales every tensor's LR by the size of its weights"
        return Conduct(BENDS, why, "scale_parameter=False in --optimizer_args leaves the LR as it is")
    if found is not None and found.kind == FACTORS and optimizer.off("split_groups_mean"):
        if optimizer.off("split_groups"):
            return found
        why = "with split_groups_mean=False adapts a step size for each group, which undoes the ratios between them"
        return Conduct(FAR, why, "Leave split_groups_mean=False out")
    return found


def optimizer_refusal(optimizer: Chosen, lrs: Sequence[float], base: float | None) -> str:
    """Why the run cannot train the grid with an optimizer, and the cure; empty where it can.

    Args:
        lrs: the distinct LRs (absolute) of all groups.
        base: the LR that the trainer has for the U-Net or DiT.
    """
    conduct, shown, n = conduct_of(optimizer), optimizer.option, len(lrs)
    if conduct is None:
        return ""
    if conduct.kind == UNUSABLE:
        return f"{shown} {conduct.why}: the run stops. {conduct.cure or _USE}"
    if conduct.kind == OWN_LR and set(lrs) - {base}:
        return f"{shown} {conduct.why} and ignores the grid's {n}. {conduct.cure or _USE}"
    if n > 1 and conduct.kind == ONE_LR:
        return f"{shown} knows one LR for all groups, this grid has {n}: {conduct.why}. {SWITCH}"
    if n > 1 and conduct.kind == FAR:
        return f"{shown} {conduct.why}, and this grid has {n} LRs. {conduct.cure or _USE}"
    return ""


def optimizer_notice(optimizer: Chosen, lrs: Sequence[float]) -> str:
    """What the user should know where the run is right and something bends all the same; empty for nothing."""
    conduct, shown = conduct_of(optimizer), optimizer.option
    if conduct is None:
        return (
            f"{shown} was not measured (docs/optimizers.md): the proof at the first step sees the LRs of its groups,"
            " not how it moves them; lr-grid rehearse measures that"
        )
    if conduct.kind == FACTORS:
        text = f"{shown} finds a step size of its own: the grid's LRs are factors of it"
        if max(map(abs, lrs), default=1) < _SMALL:
            text += (
                f", and none here is above {max(map(abs, lrs)):g}: give --learning_rate 1 and multiples (ffn_lr=0.5x)"
            )
        return text
    if conduct.kind == BENDS and len(lrs) > 1:
        cure = f": {conduct.cure}" if conduct.cure else f". {_USE}"
        return f"{shown} {conduct.why}, so that the grid's ratios drift{cure}"
    return ""
