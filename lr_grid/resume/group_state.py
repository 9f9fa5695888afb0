"""What an optimizer keeps per group rather than per parameter: schedule-free's step count, Prodigy's estimate.

Parameters whose groups are in different states must not share one: a fresh moment in a group that has counted a
thousand steps would be corrected for a bias that it still has.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from lr_grid.resume.saved import NAMES, RECORD, SavedState
from lr_grid.scales import SCALES

OF_THE_GRID = frozenset({"params", NAMES, RECORD, SCALES})
LRS = frozenset({"lr", "initial_lr", "max_lr", "min_lr", "scheduled_lr"})
"""LRs in a group: now, where its schedule starts, OneCycleLR's bounds, schedule-free's effective one."""
SCALED_BY_LR = {"lr_max": 1, "weight_sum": 2}
"""Schedule-free (schedulefree/adamw_schedulefree.py, Defazio et al. 2024, arXiv:2405.15682) weighs its average by the
square of the largest LR: key -> the power of the LR that it goes with."""
_SETTINGS = frozenset(
    [
        "betas",
        "beta",
        "beta1",
        "beta2",
        "beta3",
        "eps",
        "eps2",
        "eps_1",
        "eps_2",
        "weight_decay",
        "amsgrad",
        "foreach",
        "maximize",
        "capturable",
        "differentiable",
        "fused",
        "decoupled_weight_decay",
        "momentum",
        "dampening",
        "nesterov",
        "momentum_decay",
        "alpha",
        "centered",
        "etas",
        "step_sizes",
        "rho",
        "lr_decay",
        "initial_accumulator_value",
        "lambd",
        "t0",
        "max_iter",
        "max_eval",
        "tolerance_grad",
        "tolerance_change",
        "history_size",
        "line_search_fn",
        "clip_threshold",
        "decay_rate",
        "relative_step",
        "scale_parameter",
        "warmup_init",
        "ns_steps",
        "ns_coefficients",
        "adjust_lr_fn",
        "decouple",
        "decoupled_decay",
        "use_bias_correction",
        "safeguard_warmup",
        "growth_rate",
        "d_coef",
        "slice_p",
        "warmup_steps",
        "r",
        "weight_lr_power",
        "optim_bits",
        "percentile_clipping",
        "block_wise",
        "max_unorm",
        "skip_zeros",
        "args",
        "fsdp_in_use",
        "min_8bit_size",
        "stable_weight_decay",
        "cautious",
        "use_gc",
    ]
)
"""Keys that are settings, the same from the first step to the last."""


def is_stateful(groups: Any) -> bool:
    """Whether groups hold anything that may change from step to step."""
    return any(set(group) - OF_THE_GRID - LRS - _SETTINGS for group in groups)


def kinds_of_groups(saved: SavedState, names: Any) -> dict[str, Hashable]:
    """Name -> what must be equal in parameters that share a group; fresh ones, and those of other settings or another
    group state, stay apart. Empty where all may share.
    """
    alike = _signatures(saved)
    apart = is_stateful(saved.groups)
    kinds: dict[str, Hashable] = {}
    for name in names:
        number = saved.group_of(name)
        if number is not None:
            kinds[name] = alike[number]
        elif apart:
            kinds[name] = "fresh"
    return kinds if len(set(kinds.values())) > 1 else {}


def _signatures(saved: SavedState) -> list[int]:
    """For each group the number of the first group in the same state."""
    seen: dict[str, int] = {}
    return [seen.setdefault(_without_lrs(group), number) for number, group in enumerate(saved.groups)]


def _without_lrs(group: Mapping[str, Any]) -> str:
    lr = group.get("initial_lr") or group.get("lr") or 0.0
    told = {}
    for key, value in group.items():
        if key in OF_THE_GRID or key in LRS:
            continue
        power = SCALED_BY_LR.get(key)
        told[key] = f"{float(value) / lr**power:.6g}" if power and lr and isinstance(value, (int, float)) else value
    return repr(sorted(told.items(), key=lambda item: item[0]))
