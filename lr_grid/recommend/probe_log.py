"""Prodigy's d from a TensorBoard log: both trainers write d x LR as ``lr/d*lr/<group>`` beside ``lr/<group>``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lr_grid.errors import GridError, listed
from lr_grid.recommend.bounds import LR
from lr_grid.recommend.probe import STEPS, Probe, check_growth, check_steps, never_moved

TAG = "lr/d*lr"
Series = dict[int, float]
"""Step -> value."""


def read_logs(files: Sequence[Path], path: str) -> Probe:
    """Reads the one event file among ``files`` that a Prodigy run wrote.

    Raises: GridError where none is, or several are, or tensorboard is not installed.
    """
    runs = {file: scalars for file in files if (scalars := _scalars(file))}
    if not runs:
        raise GridError([f"--from-probe: {path}: the log holds no {TAG}: was it --optimizer_type Prodigy?"])
    if len(runs) > 1:
        names = listed(str(file) for file in runs)
        raise GridError([f"--from-probe: {path}: holds the logs of {len(runs)} Prodigy runs: name one of {names}"])
    file, scalars = next(iter(runs.items()))
    return from_scalars(str(file), scalars)


def from_scalars(source: str, scalars: dict[str, Series]) -> Probe:
    """d at step 50 or, in a shorter log, at its last step.

    Args:
        scalars: all series ``lr/...`` by tag.
    """
    series = {tag: _distances(tag, scalars) for tag in scalars if tag.startswith(TAG)}
    for tag, by_step in series.items():
        wrong = next((step for step, value in by_step.items() if not LR[0] <= value <= LR[1]), None)
        if wrong is not None:
            raise GridError([f"{source} ({tag}): d at step {wrong} is {by_step[wrong]:g}, not a number above 0"])
    at = {tag: max((step for step in values if step <= STEPS), default=min(values)) for tag, values in series.items()}
    values = {tag: series[tag][step] for tag, step in at.items()}
    tag = max(values, key=lambda one: values[one])
    d, step, start = values[tag], at[tag], series[tag][min(series[tag])]
    if d <= start * (1 + 1e-6) and len(series[tag]) > 1:
        raise never_moved(source, start)
    notes = check_steps(step)
    if min(series[tag]) <= 3:  # a log from the first steps on begins at d0
        notes += check_growth(d, start)
    notes.append("A log does not hold Prodigy's arguments: use_bias_correction and safeguard_warmup are trusted.")
    if min(values.values()) < d * 0.99:
        notes.append(
            f"Its parameter groups have their own d, {min(values.values()):.3g} to {d:.3g}: the largest is taken."
        )
    return Probe(f"{source} ({tag})", d, step, None, notes)


def _distances(tag: str, scalars: dict[str, Series]) -> Series:
    """d by step: the logged product over the logged LR of the same group (1 where none is logged)."""
    group = tag.removeprefix(f"{TAG}/")
    rates = scalars.get(f"lr/{group}", {}) if group != tag else {}
    return {step: value / (rates.get(step) or 1.0) for step, value in scalars[tag].items()}


def _scalars(file: Path) -> dict[str, Series]:
    """The series ``lr/...`` of an event file; empty where Prodigy wrote none."""
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        cure = "pip install tensorboard, or name a saved state"
        raise GridError([f"{file}: a TensorBoard log is read with the package tensorboard: {cure}"]) from None
    events = EventAccumulator(str(file), size_guidance={"scalars": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if tag.startswith("lr/")]
    if not any(tag.startswith(TAG) for tag in tags):
        return {}
    return {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in tags}
