"""What a recommendation looks like in a terminal. LRs are absolute, written with two digits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from lr_grid.recommend.disagreements import Disagreement
from lr_grid.recommend.into_grid import Written
from lr_grid.recommend.lrtool import NUMBERS, Configuration, smallest
from lr_grid.recommend.lrtool_limits import limits
from lr_grid.recommend.probe import LIMITS as PROBE_LIMITS
from lr_grid.recommend.probe import Probe
from lr_grid.recommend.recommendation import LIMITS, Range, Recommendation
from lr_grid.recommend.rules import Rule

if TYPE_CHECKING:
    from rich.console import Console


_SQUARES = "The range is narrower than the rules' extremes together: their uncertainties are added in squares."


def lr_text(lr: float) -> str:
    """``7.9e-05``; 1 stays 1."""
    return f"{lr:g}" if lr >= 0.1 else f"{lr:.1e}"


def show_rules(out: Console, result: Recommendation, differing: Sequence[Disagreement]) -> None:
    """A range of --method rules, how it came about, and what to know about it."""
    what = f"{result.model}, {result.optimizer}" if result.model else result.optimizer
    if result.own_lr:
        out.print(f"{what}: the LR is 1, and no grid.", style="bold")
        why = result.rules[0].why
        out.print(f"{why[0].upper()}{why[1:]}. Source: {result.rules[0].source}.")
        _bullets(out, "Know", result.notes)
        return
    out.print(_headline(what, result.lr), style="bold")
    _show_steps(out, [("anchor", result.anchor, result.anchor_source, "")], result.rules)
    _bullets(out, "Assumed", [f"{one}." for one in result.assumed])
    _show_disagreements(out, differing)
    _bullets(out, "Know", [*result.notes, *LIMITS, _SQUARES])


def show_probe(out: Console, probe: Probe, result: Range, rules: Sequence[Rule], optimizer: str) -> None:
    """A range read off a probe."""
    out.print(_headline(f"from the probe, {optimizer}", result), style="bold")
    steps = "" if probe.steps is None else f" after {probe.steps} steps"
    d0 = "" if probe.d0 is None else f", d0 = {probe.d0:.3g}"
    why = f"2.2 to 2.7 times d = {probe.d:.4g}{steps}{d0}"
    _show_steps(out, [("probe", probe.lr(), why, probe.source)], rules)
    _bullets(out, "Know", [*probe.notes, *PROBE_LIMITS])


def show_lrtool(
    out: Console,
    configuration: Configuration,
    statistics: dict[str, Any],
    defaults: Sequence[str],
    differing: Sequence[Disagreement],
) -> None:
    """LRTool's statistics of a configuration."""
    from rich.table import Table

    out.print(f"LRTool, {configuration.model}: {statistics['adjusted_lr']:.6e}", style="bold")
    table = Table(box=None, pad_edge=False)
    for heading in ("configuration", "", "statistic", ""):
        table.add_column(heading)
    left = [(field.name, _plain(getattr(configuration, field.name), field.name)) for field in fields(configuration)]
    right = [(name, value if isinstance(value, str) else f"{value:.6g}") for name, value in statistics.items()]
    for i in range(max(len(left), len(right))):
        table.add_row(*(left[i] if i < len(left) else ("", "")), *(right[i] if i < len(right) else ("", "")))
    out.print(table)
    if defaults:
        out.print(f"Not given, so LRTool's own default: {', '.join(defaults)}.")
    _show_disagreements(out, differing)
    _bullets(out, "Know", limits(configuration))


def _plain(value: Any, name: str) -> str:
    text = value if isinstance(value, str) else f"{value:g}"
    if name in NUMBERS and value < smallest(name):
        return f"{text} (read as {smallest(name):g})"
    return f"{text} %" if name == "warmup" else text


@dataclass(frozen=True, slots=True)
class Place:
    """Where the user's own LR stands (``where``: below, in or above the range, by ``times``)."""

    lr: float
    where: str
    times: float


def place(base_lr: float, lr: Range, own_lr: bool = False) -> Place:
    """Where the user's own LR stands. ``own_lr``: the optimizer finds its LR itself, and multiplies it with this."""
    if own_lr:
        return Place(base_lr, "factor", base_lr)
    if base_lr < lr.low:
        return Place(base_lr, "below", lr.low / base_lr)
    return Place(base_lr, "above", base_lr / lr.high) if base_lr > lr.high else Place(base_lr, "in", 1.0)


def show_base_lr(out: Console, where: Place | None, optimizer: str) -> None:
    """One line about the user's own LR, if it was given."""
    if where is None:
        return
    if where.where == "factor":
        text = f"no LR for {optimizer}: it multiplies the LR that {optimizer} finds. Set 1"
    else:
        text = "in the range" if where.where == "in" else f"{where.where} the range, by {where.times:.2g} times"
    out.print(f"Your {where.lr:g} is {text}.")


def show_written(out: Console, written: Written) -> None:
    """What --into did."""
    kept = f", the old one is {written.backup}" if written.backup else ""
    out.print(f"{written.path}: " + (f"written{kept}" if written.changes else "already says so: left as it is"))
    for change in written.changes:
        out.print(f"  {change}")
    if written.kept:
        out.print("Absolute LRs in it, which follow no base, stay as they were:")
    for kept in written.kept:
        out.print(f"  {kept}")


def _headline(what: str, lr: Range) -> str:
    return f"{what}: base LR {lr_text(lr.low)} to {lr_text(lr.high)}, begin at {lr_text(lr.typical)}"


def _show_steps(out: Console, start: Iterable[tuple[str, Range, str, str]], rules: Iterable[Rule]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("rule")
    for heading in ("low", "typical", "high"):
        table.add_column(heading, justify="right")
    table.add_column("why, and source", overflow="fold")
    for name, lr, why, source in start:
        table.add_row(name, lr_text(lr.low), lr_text(lr.typical), lr_text(lr.high), f"{why}\n{source}".strip())
    for rule in rules:
        factors = (f"x{factor:.2g}" for factor in (rule.low, rule.typical, rule.high))
        table.add_row(rule.name, *factors, f"{rule.why}\nSource: {rule.source}")
    out.print(table)


def _show_disagreements(out: Console, differing: Sequence[Disagreement]) -> None:
    lines = [f"{one.about}: LRTool x{one.lrtool:.2g}, rules x{one.rules:.2g}. {one.text}." for one in differing]
    _bullets(out, "LRTool and the rules point in different directions", lines)


def _bullets(out: Console, title: str, lines: Sequence[str]) -> None:
    if lines:
        out.print(f"{title}:", style="bold")
    for line in lines:
        out.print(f"- {line}")
