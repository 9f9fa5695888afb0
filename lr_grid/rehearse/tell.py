"""Puts into words what the steps showed: groups against the plan, movement against the LRs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from statistics import median

from lr_grid.rehearse.cells import Cell
from lr_grid.rehearse.measure import TOLERANCE, Measure, Step
from lr_grid.rehearse.schedule import Schedule

_SHOWN = 3
_CURE = (
    "Use an optimizer that takes an LR for each group (AdamW, AdamW8bit, Lion, Adafactor with relative_step=False,"
    " ProdigyPlusScheduleFree), or one LR for all"
)


def tell_movement(measure: Measure, stopped: bool) -> None:
    """Notes what was verified and found of the groups and of the movement.

    Args:
        stopped: an error stopped the run: what was not measured is its fault.
    """
    report = measure.report
    _tell_groups(measure)
    step = measure.best_step()
    if step is None and stopped:
        return
    if step is None:
        lrs = {lr for s in measure.steps for lr in s.lrs.values()}
        if measure.steps and lrs <= {0.0}:
            text = f"the LR is 0 in each of the first {len(measure.steps)} steps: nothing moved, nothing was measured"
            report.find("optimizer", text, "Rehearse more steps: --steps")
        else:
            report.find("optimizer", f"{measure.asked.name if measure.asked else 'the optimizer'} moved nothing")
        return
    _tell_given(measure, measure.schedule, TOLERANCE)
    _tell_moved(measure, step, TOLERANCE)


def _tell_groups(measure: Measure) -> None:
    report, cells = measure.report, measure.cells
    tensors, groups = len(measure.held), len(measure.optimizer.param_groups)
    lrs = sorted({cell.lr for cell in cells.of.values()})
    span = f"{lrs[0]:.3g}" if len(lrs) == 1 else f"{lrs[0]:.3g} to {lrs[-1]:.3g} ({len(lrs)} LRs)" if lrs else "none"
    held = {id(p) for p in measure.held}
    extra = [i for i in held if i not in cells.of]
    missing = [i for i in cells.of if i not in held]
    whose = "the plan's" if cells.plan else "the network's (it has no grid)"
    wrong = [i for i, cell in cells.of.items() if cells.plan and _off(cells.asked.get(i), cell.lr, 1e-6)]
    for count, what in (
        (len(extra), "tensors in the optimizer that the network did not hand to it"),
        (len(missing), "tensors that the network handed to the optimizer and that it does not hold"),
        (cells.frozen_held, "tensors that the plan freezes stand in a group"),
        (len(cells.not_held), "modules that the plan trains stand in no group"),
        (len(wrong), "tensors stand in a group of another LR than the plan gives them"),
    ):
        if count:
            report.find("groups", f"{count} {what}")
    if not (extra or missing or cells.frozen_held or cells.not_held or wrong):
        text = f"{groups} groups hold {tensors} tensors ({measure.shapes:,} numbers), {whose}; LRs {span}"
        report.verify("groups", text)
    if measure.loose:
        text = (
            f"{measure.loose} of the network's tensors want a gradient and stand in no group: their gradients grow from"
            " step to step, and gradient clipping counts them"
        )
        report.note(text) if cells.plan is None else report.find("groups", text)
    elif cells.plan is not None:
        report.verify("clipping", "no tensor outside the groups wants a gradient: clipping sees what trains")
    report.data["groups"] = {"groups": groups, "tensors": tensors, "numbers": measure.shapes, "lrs": lrs}


def _tell_given(measure: Measure, schedule: Schedule, tolerance: float) -> None:
    """Whether the LRs in the groups are the asked ones times one common factor, at each step."""
    asked = measure.cells.asked
    for number, step in enumerate(measure.steps, 1):
        factors = {i: lr / asked[i] for i, lr in step.lrs.items() if lr is not None and asked.get(i)}
        if not factors:
            continue
        common = median(factors.values())
        off = {i for i, factor in factors.items() if _off(factor, common, tolerance)}
        if off and not schedule.found and not measure.optimizers.found:
            where = "resume" if measure.resume else "scheduler"
            shown = _examples(measure, {i: step.lrs[i] or 0.0 for i in off}, {i: asked[i] * common for i in off}, "has")
            measure.report.find(where, f"at step {number}, {len(off)} tensors stand at another LR: {shown}")
            return


def _tell_moved(measure: Measure, step: Step, tolerance: float) -> None:
    report, cells, asked = measure.report, measure.cells, measure.asked
    name = asked.name if asked else type(measure.optimizer).__name__
    wanted = {i: cells.of[i].lr for i in step.moved if i in cells.of and cells.of[i].lr}
    # The LR that the group has at this step, as far as the optimizer keeps one (Adafactor may not).
    claimed = {i: step.lrs[i] for i in wanted if step.lrs.get(i)}
    base = {i: lr for i, lr in claimed.items() if lr} if len(claimed) == len(wanted) else wanted
    unit = median(step.moved[i] / lr for i, lr in base.items()) if base else 0.0
    off = {i for i, lr in base.items() if _off(step.moved[i], unit * lr, tolerance)}
    number = measure.steps.index(step) + 1
    stood_in = asked is not None and asked.stood_in
    report.data["movement"] = {"optimizer": name, "stand_in": stood_in, "step": number, "unit": unit, "off": len(off)}
    report.data["cells"] = _table(measure, step, unit)
    movements = list(step.moved.values())
    alike = max(movements) - min(movements) <= tolerance * max(movements)
    distinct = len({f"{lr:.6g}" for lr in wanted.values()})
    if not off:
        whose = "AdamW in its place" if stood_in else name
        kind = "cells" if cells.plan else "groups"
        count = len({cells.of[i].name for i in base})
        worst = max((abs(step.moved[i] / (unit * lr) - 1) for i, lr in base.items()), default=0.0)
        text = (
            f"{whose}, step {number}: the tensors of {count} {kind} moved by {unit:.4g} x their LR, off by"
            f" {worst:.1g} at most ({min(movements):.3g} to {max(movements):.3g})"
        )
        report.verify("optimizer", text)
    elif alike:
        text = (
            f"{name} moved all {len(movements)} tensors by the same {median(movements):.3g} at step {number}, though"
            f" they stand at {distinct} LRs ({min(wanted.values()):.3g} to {max(wanted.values()):.3g})"
        )
        report.find("optimizer", text, _CURE)
    else:
        moved = {i: step.moved[i] / unit if unit else 0.0 for i in off}
        shown = _examples(measure, moved, base, "moved like")
        report.find(
            "optimizer", f"{name}, step {number}: {len(off)} of {len(base)} tensors moved by another LR: {shown}", _CURE
        )


def _examples(measure: Measure, found: Mapping[int, float], right: Mapping[int, float], verb: str) -> str:
    seen: dict[Cell, int] = {}
    for i in found:
        if i in measure.cells.of:
            seen.setdefault(measure.cells.of[i], i)
    first = [f"{c.name}: {right[i]:.3g}, {verb} {found[i]:.3g}" for c, i in list(seen.items())[:_SHOWN]]
    more = f"; {len(seen) - _SHOWN} more" if len(seen) > _SHOWN else ""
    return "; ".join(first) + more


def _table(measure: Measure, step: Step, unit: float) -> list[dict[str, float | str | int]]:
    """Per cell: its LR in the plan, and the LR that its movement amounts to."""
    moved: dict[Cell, list[float]] = defaultdict(list)
    for i, movement in step.moved.items():
        if i in measure.cells.of:
            moved[measure.cells.of[i]].append(movement)
    factor = _common_factor(measure, step)
    return [
        {
            "cell": cell.name,
            "tensors": len(values),
            "lr": cell.lr,
            "measured_lr": sum(values) / len(values) / unit / factor if unit and factor else 0.0,
        }
        for cell, values in moved.items()
    ]


def _common_factor(measure: Measure, step: Step) -> float:
    """Where the schedule stands at a step: the LRs then, over those asked for."""
    pairs = [(lr, measure.cells.asked.get(i)) for i, lr in step.lrs.items()]
    factors = [lr / asked for lr, asked in pairs if lr is not None and asked]
    return median(factors) if factors else 1.0


def _off(value: float | None, right: float, tolerance: float) -> bool:
    return value is None or abs(value - right) > tolerance * abs(right)
