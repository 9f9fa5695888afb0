"""The base LR from a Prodigy probe: where d stands after about 50 steps of the user's own run.

Measured on one small diffusion model (three tasks, 12 transfers): AdamW's best LR was 2.2 to 2.7 times d, at most
0.31 octave off. The factor depends on the run's length and was found for the settings in SETTINGS.

d grows from d0, so after 50 steps it still depends on it. On the demo's model, d after 50 steps (two seeds): 8.9e-5
from d0=1e-6, 5.8e-4 from 1e-5, 1.0e-3 from 1e-4 (about 10 d0, where the factor was measured), 1.3e-3 from 1e-3. Scaling
the problem scales d0 with it, so what has to hold on another model is d of about 10 d0: d0 is to be chosen so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lr_grid.errors import GridError
from lr_grid.recommend.bounds import shown
from lr_grid.recommend.recommendation import Range

FACTOR = (2.2, 2.7)
"""AdamW's best LR over d."""
WORST_OCTAVES = 0.31
STEPS = 50
D0 = 1e-4
SETTINGS: Mapping[str, Any] = {
    **{"use_bias_correction": True, "safeguard_warmup": True},
    **{"d_coef": 1.0, "slice_p": 1, "growth_rate": math.inf, "lr": 1.0},
}
"""Arguments of Prodigy under which the factor was measured (d0 is judged by check_growth)."""
LIMITS = (
    f"Found on one small diffusion model: within {WORST_OCTAVES} octave (x{2**WORST_OCTAVES:.2f}) on each of 12 "
    "transfers between three tasks. On large models it is untested.",
    "The factor depends on the run's length: a long run may want a lower LR.",
    "After 50 steps d still depends on d0: the factor holds where d comes to about 10 d0.",
)
D_OVER_D0 = (3.0, 25.0)
"""Where the factor is trusted: at 58 d0 the demo's d was 1.7 times too low, at 1.3 d0 1.3 times too high."""


_FOLLOWS = "if d follows d0 down, the run gives Prodigy nothing to go by: sweep the LR instead"


@dataclass
class Probe:
    """What was read of a Prodigy run."""

    source: str
    d: float
    """Prodigy's estimate of the distance, in the unit of an LR."""
    steps: int | None
    d0: float | None = None
    """None: the source does not say (a log)."""
    notes: list[str] = field(default_factory=list)

    def lr(self) -> Range:
        """The range of base LRs (absolute, for AdamW)."""
        low, high = (factor * self.d for factor in FACTOR)
        return Range(low, math.sqrt(low * high), high)


def check_settings(group: Mapping[str, Any]) -> list[str]:
    """What of a parameter group is unlike the runs that the factor was measured on, one note each."""
    notes = []
    for name, value in SETTINGS.items():
        if name in group and group[name] != value:
            found = group[name]
            text = shown(found) if isinstance(found, (int, float)) else f"{found!r:.40}"
            notes.append(f"The probe ran with {name}={text}; the factor was measured with {value:g}.")
    return notes


def check_steps(steps: int | None) -> list[str]:
    """A note where d was read far from step 50."""
    if steps is None or STEPS / 2 <= steps <= STEPS * 2:
        return []
    return [f"d was read at step {steps}; the factor was measured at step {STEPS}."]


def check_growth(d: float, d0: float) -> list[str]:
    """A note where d stands too near to d0, or too far above it, for the factor."""
    low, high = D_OVER_D0
    if low <= d / d0 <= high:
        return []
    again = f"Take the probe again with --probe_d0 {d / 10:.1g}, to come to about 10 d0"
    if d / d0 > high:
        return [f"d is {d / d0:.3g} d0: so far above d0 it is still on its way up, and too low. {again}."]
    return [f"d is {d / d0:.3g} d0: so near to d0 it may be too high. {again}; {_FOLLOWS}."]


def never_moved(source: str, d: float) -> GridError:
    """What to say where Prodigy's estimate stayed where it began."""
    return GridError(
        [
            f"{source}: d is still d0 = {d:g}: Prodigy's estimate never rose above it, so no LR can be read off. Take "
            f"the probe again with a lower d0 (--probe_d0 {d / 10:g}); {_FOLLOWS}"
        ]
    )
