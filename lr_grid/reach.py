"""What settings came to in a run: which of them set something that trains, and what is said of those that did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lr_grid.binding import BoundGrid
from lr_grid.errors import Problems
from lr_grid.words import COMPONENTS, MAIN_PART


@dataclass
class Reach:
    """Noted while the LRs are worked out."""

    won: set[int] = field(default_factory=set)
    """ids of the module rules that set a module."""
    ratios: set[str | None] = field(default_factory=set)
    """Keys of the LoRA+ ratios that set an up side."""
    used: set[str] = field(default_factory=set)
    """Components whose LR (or default_lr) set a module."""
    curved: bool = False
    """Whether any module followed the depth curve."""


def check_reach(grid: BoundGrid, done: Reach, parts: Sequence[str], problems: Problems) -> None:
    """Notes settings that set nothing in the parts that train in this run."""
    settings = grid.settings
    if MAIN_PART not in parts:
        idle = [key for key in sorted(settings.given) if key != "module_lr" and not key.startswith("loraplus_")]
        if idle:
            problems.add(f"{', '.join(idle)}: the U-Net or DiT is not trained in this run, so this sets nothing")
    elif settings.depth_strategy != "flat" and "depth_strategy" in settings.given and not done.curved:
        problems.add(f"depth_strategy={settings.depth_strategy}: no module that trains follows the curve")
    for rule in settings.module_lr:
        if id(rule) not in done.won:
            problems.add(
                f"module_lr: the regex {rule.pattern.pattern!r} sets nothing: it wins at no module that trains"
            )
    if MAIN_PART in parts:
        for component, rate in settings.component_lr.items():  # 0 says no more than a train_* list that leaves it out
            if f"{component}_lr" in settings.given and component not in done.used and rate.value != 0:
                problems.add(f"{component}_lr: sets nothing: no module that trains takes its LR from it")
    for component in COMPONENTS:
        if component in settings.loraplus and component not in done.ratios:
            problems.add(f"loraplus_{component}_lr_ratio: no module that trains takes it, so this sets nothing")


def idle_settings(grid: BoundGrid, done: Reach) -> list[str]:
    """Lines about settings that set nothing in this run, where that is no mistake: people share them between runs."""
    settings = grid.settings
    lines = [
        f"{f'loraplus_{key}_lr_ratio' if key else 'loraplus_lr_ratio'} sets nothing in this run"
        for key in (None, "unet", "text_encoder")
        if key in settings.loraplus and key not in done.ratios
    ]
    lines += [
        f"network_reg_lrs: the regex {rule.pattern.pattern!r} sets nothing in this run"
        for rule in grid.upstream_rules
        if id(rule) not in done.won
    ]
    if "default_lr" in settings.given and "default_lr" not in done.used:
        lines.append("default_lr sets nothing: every component that trains has an LR of its own")
    return lines
