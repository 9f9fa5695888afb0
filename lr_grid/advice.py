"""Lines about a whole plan: what it costs, and what of it the wrapped module leaves out."""

from __future__ import annotations

from lr_grid.grid_settings import GridSettings
from lr_grid.plan import Plan

MANY_GROUPS = 100
"""From here on groups are felt in the optimizer step and in a tracker's logs (a scalar a group in sd-scripts)."""


def many_groups(groups: int, settings: GridSettings, folded: bool = False) -> list[str]:
    """What could be done about very many groups, or need not be.

    Args:
        folded: whether a part is one group whatever its LRs.
    """
    if folded:
        asked = [key for key in ("depth_levels", "max_groups") if getattr(settings, key)]
        return (
            [f"{' and '.join(asked)}: nothing to save here, a part is one group: LRs are exact without"]
            if asked
            else []
        )
    if groups <= MANY_GROUPS or settings.depth_strategy == "flat" or settings.depth_levels or settings.max_groups:
        return []
    return [
        f"{groups} optimizer groups, felt in every step: depth_levels=8 or max_groups={MANY_GROUPS} would make fewer,"
        " --optimizer_type lr_grid.optim.AdamW one (the same training)"
    ]


def one_te_lr(base: str, lr: float) -> str:
    """A line about network modules that take one LR for all text encoders."""
    return f"{base} gives every text encoder the first LR ({lr:g}); with any grid argument each has its own"


def one_sided(plan: Plan, base: str) -> list[str]:
    """A line about networks that train one side of each pair only."""
    if any(row.lr_down == 0 != row.lr_up for row in plan.rows):
        return [f"{base} trains the up side of each pair only; the down side stays as it was made"]
    return []


def same_names(base: str) -> str:
    """What is wrong with a network module that cannot tell the modules of text encoders apart."""
    return (
        f"{base} gives the modules of all text encoders the same names, so the last one's take the place of the others"
        " (upstream's bug). Train the U-Net alone: --network_train_unet_only"
    )
