"""LRTool's model whole: a configuration to the 23 statistics of its profile (constants: lrtool_tables.py).

LR = base_energy x objective / (S x exposure x capacity x resolution x optimizer), with S the RMS of warmup x schedule,
exposure = sqrt(steps x effective batch / images), capacity = sqrt(rank / alpha), resolution = (side / native)^p.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lr_grid.errors import GridError
from lr_grid.recommend import lrtool_tables as tables
from lr_grid.recommend.bounds import shown
from lr_grid.recommend.lrtool_schedules import SCHEDULES, root_mean_square
from lr_grid.recommend.names import nearest

MOST_STEPS = 10_000_000
"""The RMS is summed step by step: beyond this it would take longer than anybody waits."""
MOST = 1e12
"""Of the other numbers: what is meant is no run, and floats run over further up."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What LRTool asks for, with its defaults. ``slider_offset`` is a fraction: 0.25 raises the LR by 25 %."""

    steps: float = 2000
    batch: float = 1
    grad_accum: float = 2
    images: float = 40
    rank: float = 32
    alpha: float = 16
    resolution: float = 1024
    model: str = "SDXL"
    objective: str = "Character"
    optimizer: str = "AdamW"
    scheduler: str = "Cosine"
    warmup: int = 10
    """Percent of the steps, whole."""
    slider_offset: float = 0.0


NUMBERS = ("steps", "batch", "grad_accum", "images", "rank", "alpha", "resolution")
CHOICES: Mapping[str, Mapping[str, Any]] = {
    "model": tables.MODELS,
    "objective": tables.OBJECTIVES,
    "optimizer": tables.OPTIMIZERS,
    "scheduler": SCHEDULES,
}


def smallest(name: str) -> float:
    """What LRTool raises a smaller number to."""
    return 1e-6 if name == "alpha" else 1.0


def as_read(configuration: Configuration) -> dict[str, float]:
    """The numbers as LRTool takes them: none below its smallest."""
    return {name: max(float(getattr(configuration, name)), smallest(name)) for name in NUMBERS}


def check(configuration: Configuration) -> list[str]:
    """Everything that keeps LRTool's model from a result, one sentence a problem."""
    problems = []
    for name, allowed in CHOICES.items():
        value = getattr(configuration, name)
        if value not in allowed:
            problems.append(f"{name}: LRTool has no {value!r}; it has {', '.join(allowed)}.{nearest(value, allowed)}")
    for name in NUMBERS:
        value, most = getattr(configuration, name), MOST_STEPS if name == "steps" else MOST
        if not -math.inf < value < math.inf:
            problems.append(f"{name}: {value} is not a finite number")
        elif abs(value) > most:
            problems.append(f"{name}: {shown(value)} is outside -{most:,.0f} to {most:,.0f}")
    if not 0 <= configuration.warmup <= 100:
        problems.append(f"warmup: {configuration.warmup} is outside 0..100 percent")
    if not -1 <= configuration.slider_offset <= 1:
        problems.append(f"offset: {configuration.slider_offset:g} is outside LRTool's -1..1 (-100 % to +100 %)")
    return problems


def statistics(configuration: Configuration) -> dict[str, Any]:
    """All of LRTool's statistics, by its names. ``recommended_lr``, ``adjusted_lr``, ``base_lr`` are absolute LRs.

    Raises: GridError with everything that is wrong in the configuration.
    """
    problems = check(configuration)
    if problems:
        raise GridError(problems)
    return statistics_at(configuration, configuration.slider_offset)


def statistics_at(configuration: Configuration, offset: float) -> dict[str, Any]:
    """The same at another offset, also one that LRTool's slider does not have; the configuration has to be right."""
    number = as_read(configuration)
    model = tables.MODELS[configuration.model]
    architecture = tables.ARCHITECTURES[model.architecture]
    objective = tables.OBJECTIVES[configuration.objective]
    optimizer = tables.OPTIMIZERS[configuration.optimizer]
    warmup = configuration.warmup / 100.0

    batch = number["batch"] + tables.ACCUMULATION_EFFICIENCY * (number["grad_accum"] - 1)
    exposure = math.sqrt(number["steps"] * batch / number["images"])
    capacity = math.sqrt(number["rank"] / number["alpha"])
    resolution = (number["resolution"] / model.native) ** architecture.exponent
    # The schedule runs over whole steps, the exposure over the number as given: LRTool's way with 1500.5 steps.
    total = int(number["steps"])
    factor = root_mean_square(SCHEDULES[configuration.scheduler], total, int(total * warmup))

    target = model.base_energy * objective.energy
    divisor = factor * exposure * capacity * resolution * optimizer
    base_lr = target / divisor
    adjusted_lr = base_lr * (1 + offset)
    delivered = adjusted_lr * divisor
    ratio = delivered / target
    deviation = abs(delivered - target) / target

    curvature = math.sqrt(model.base_energy / tables.REFERENCE_ENERGY)
    noise = max(tables.LOWEST_NOISE, math.sqrt(1 / batch))
    overshoot_k = curvature * architecture.fragility * objective.sensitivity * noise
    stability = 100 * math.exp(-(overshoot_k if delivered > target else tables.UNDERSHOOT_K) * deviation**2)
    efficiency = 100 * math.exp(-tables.EFFICIENCY_SENSITIVITY * (ratio - 1) ** 2)
    return {
        "recommended_lr": base_lr,
        "adjusted_lr": adjusted_lr,
        "base_lr": base_lr,
        "target_energy": target,
        "delivered_energy": delivered,
        "energy_ratio": ratio,
        "deviation": deviation,
        "effective_batch": batch,
        "exposure": exposure,
        "capacity": capacity,
        "resolution_scale": resolution,
        "scheduler_factor": factor,
        "optimizer_modifier": optimizer,
        "warmup_fraction": warmup,
        "warmup_steps": int(number["steps"] * warmup),
        "curvature_factor": curvature,
        "objective_sensitivity": objective.sensitivity,
        "undershoot_k": tables.UNDERSHOOT_K,
        "overshoot_k": overshoot_k,
        "stability_score": stability,
        "efficiency_score": efficiency,
        "risk_band": _band(stability, tables.STABILITY_BANDS),
        "efficiency_band": _band(efficiency, tables.EFFICIENCY_BANDS),
    }


def _band(score: float, bands: tuple[tuple[float, str], ...]) -> str:
    return next(name for least, name in bands if score >= least)


def implied_offset(configuration: Configuration, current_lr: float) -> float:
    """The slider's offset (a fraction) at which LRTool's LR is ``current_lr`` (absolute); it may lie outside -1..1."""
    return current_lr / statistics(configuration)["recommended_lr"] - 1
