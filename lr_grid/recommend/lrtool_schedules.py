"""LRTool's seven schedules and the root mean square of one over a run (constants: lrtool_tables.py)."""

from __future__ import annotations

import math
from collections.abc import Callable

from lr_grid.recommend.lrtool_tables import COSINE_FLOOR, REX_DECAY

Schedule = Callable[[int, int], float]


def constant(step: int, total: int) -> float:
    """1 at every step."""
    return 1.0


def linear(step: int, total: int) -> float:
    """From 1 to 0; a run of one step stays at 1."""
    return 1.0 if total <= 1 else max(0.0, 1 - step / total)


def cosine(step: int, total: int) -> float:
    """LRTool's own: 0.1 + 0.9 cos(pi t), which goes below 0 from t = 0.535 on (no trainer's cosine does)."""
    return COSINE_FLOOR + (1 - COSINE_FLOOR) * math.cos(math.pi * step / total)


def cosine_restarts(step: int, total: int) -> float:
    """``cosine`` twice over the run."""
    cycle = max(1, total // 2)
    return cosine(step % cycle, cycle)


def cosine_hard_restarts(step: int, total: int) -> float:
    """cos(pi t) twice over the run, 0 where it would be negative."""
    cycle = max(1, total // 2)
    return max(0.0, math.cos(math.pi * (step % cycle) / cycle))


def rex(step: int, total: int) -> float:
    """exp(-4 t): LRTool's, not the published REX."""
    return math.exp(-REX_DECAY * step / total)


def adafactor(step: int, total: int) -> float:
    """1 / sqrt(step): of the step's number, not of the run's part."""
    return 1 / math.sqrt(step)


SCHEDULES: dict[str, Schedule] = {
    "Constant": constant,
    "Linear": linear,
    "Cosine": cosine,
    "Cosine (Restarts)": cosine_restarts,
    "Cosine (Hard Restarts)": cosine_hard_restarts,
    "Rex": rex,
    "Adafactor": adafactor,
}


def root_mean_square(schedule: Schedule, total: int, warmup_steps: int) -> float:
    """RMS over the steps 1..total of schedule x linear warmup (step / warmup_steps)."""
    squares = 0.0
    for step in range(1, total + 1):
        warmup = step / warmup_steps if step <= warmup_steps else 1.0
        squares += (warmup * schedule(step, total)) ** 2
    return math.sqrt(squares / total)
