"""What each way of asking comes to: numbers for machines, text for people, and the LR that --into writes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lr_grid.recommend import lrtool, lrtool_profile, report
from lr_grid.recommend.disagreements import Case, cases, disagreements
from lr_grid.recommend.lrtool_limits import limits
from lr_grid.recommend.options import configuration, setup, without_effect
from lr_grid.recommend.probe import LIMITS as PROBE_LIMITS
from lr_grid.recommend.probe_read import read_probe
from lr_grid.recommend.recommendation import LIMITS, Range, from_probe, recommend

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Outcome:
    """A result that is not shown yet."""

    data: dict[str, Any]
    """For --json."""
    show: Callable[[Console], None]
    lr: Range
    takes_grid: bool = True
    profile: Callable[[Path], None] | None = None
    """Writes LRTool's profile of it."""


def by_rules(args: argparse.Namespace) -> Outcome:
    """--method rules."""
    given = setup(args)
    result = recommend(given)
    differing = [] if result.own_lr else disagreements(*cases(given))
    idle = without_effect(args) if result.own_lr else []
    if idle:
        result.notes.append(f"{', '.join(idle)}: without effect, as {result.optimizer} finds its LR itself.")
    place = _place(args.base_lr, result.lr, result.own_lr)
    data: dict[str, Any] = {"method": "rules", "model": result.model, "optimizer": result.optimizer, "lr": result.lr}
    data |= {"takes_grid": not result.own_lr, "anchor": result.anchor, "anchor_source": result.anchor_source}
    data |= {"rules": result.rules, "assumed": result.assumed, "disagreements": differing}
    data |= {"notes": result.notes if result.own_lr else [*result.notes, *LIMITS], "base_lr": place}

    def show(out: Console) -> None:
        report.show_rules(out, result, differing)
        report.show_base_lr(out, place, result.optimizer)

    return Outcome(data, show, result.lr, not result.own_lr)


def by_probe(args: argparse.Namespace) -> Outcome:
    """--from-probe."""
    name = args.optimizer or "AdamW"
    rules = from_probe(name, args.loraplus_lr_ratio)
    probe = read_probe(args.from_probe)
    lr = probe.lr().under(rules)
    place = _place(args.base_lr, lr)
    data = {"method": "from-probe", "optimizer": name, "lr": lr, "probe": probe, "rules": rules, "notes": PROBE_LIMITS}

    def show(out: Console) -> None:
        report.show_probe(out, probe, lr, rules, name)
        report.show_base_lr(out, place, name)

    return Outcome(data | {"base_lr": place}, show, lr)


def _place(base_lr: float | None, lr: Range, own_lr: bool = False) -> report.Place | None:
    return None if base_lr is None else report.place(base_lr, lr, own_lr)


def by_lrtool(args: argparse.Namespace) -> Outcome:
    """--method lrtool."""
    chosen, defaults = configuration(args)
    statistics = lrtool.statistics(chosen)
    read = lrtool.as_read(chosen)
    differing = disagreements(Case(read["rank"], read["alpha"], read["batch"], read["grad_accum"], chosen.optimizer))
    lr = statistics["adjusted_lr"]
    data: dict[str, Any] = {"method": "lrtool", "configuration": lrtool_profile.as_table(chosen)}
    data |= {"statistics": statistics, "defaults": defaults, "disagreements": differing, "notes": limits(chosen)}
    offset = None if args.base_lr is None else lrtool.implied_offset(chosen, args.base_lr)
    if offset is not None:
        data["implied_offset"] = offset

    def show(out: Console) -> None:
        report.show_lrtool(out, chosen, statistics, defaults, differing)
        if offset is not None:
            outside = "" if -1 <= offset <= 1 else ", outside LRTool's slider"
            out.print(f"Your {args.base_lr:g} is LRTool's LR at offset {offset:+.1%}{outside}.")

    def profile(path: Path) -> None:
        lrtool_profile.save(str(path), chosen, statistics)

    return Outcome(data, show, Range(lr, lr, lr), profile=profile)
