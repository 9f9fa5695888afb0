"""What settings came to in a run: which of them set something that trains, and what is said of those that did not."""

from __future__ import annotations

from collections.abc import Sequence

from lr_grid.binding import BoundGrid, PartGrid
from lr_grid.errors import Problems, tell_shared
from lr_grid.grid_settings import GridSettings
from lr_grid.keys import EVERY_ENCODER, OF_THE_RUN, split_section
from lr_grid.words import COMPONENTS, MAIN_PART


class Reach:
    """Noted while the LRs are worked out."""

    def __init__(self) -> None:
        self.won: set[int] = set()
        """ids of the module rules that set a module."""
        self.ratios: set[str] = set()
        """Keys of the LoRA+ ratios that set an up side."""
        self.used: dict[str, set[str]] = {}
        """Part -> components whose LR (or default_lr) set a module of it."""
        self.curved: set[str] = set()
        """Parts with a module that followed the depth curve."""


def check_reach(grid: BoundGrid, done: Reach, parts: Sequence[str], problems: Problems) -> None:
    """Notes settings that set nothing in the parts that train in this run."""
    settings = grid.settings
    if MAIN_PART in parts:
        problems.add_all(_idle(grid.main, done).values())
        idle = idle_of_preset(grid, done)
        if idle and len(idle) == len(settings.preset_keys):
            problems.add(
                f"preset: {settings.preset} sets nothing here: nothing that trains in this network takes its"
                f" {', '.join(idle)}. Leave it out, or take another (lr-grid presets)"
            )
    else:
        idle = [key for key in sorted(settings.given) if _speaks_of_main(key)]
        if idle:
            there = any(site.part == MAIN_PART for site in grid.sites.all)
            why = "is not trained in this run" if there else "has no module in this network"
            problems.add(f"{', '.join(idle)}: the U-Net or DiT {why}, so this sets nothing")
    encoders = [part for part in grid.parts.values() if part.part != MAIN_PART]
    tell_shared(
        [_idle(part, done) if part.part in parts else _untrained(part) for part in encoders], EVERY_ENCODER, problems
    )
    for rule in settings.module_lr:
        if id(rule) not in done.won:
            problems.add(
                f"module_lr: the regex {rule.pattern.pattern!r} sets nothing: it wins at no module that trains"
            )


# Keys that speak of more than the U-Net or DiT; the shared LoRA+ ratios are only noted.
_NOT_OF_MAIN = (
    *OF_THE_RUN,
    "module_lr",
    "module_dims",
    "module_alphas",
    "loraplus_lr_ratio",
    "loraplus_unet_lr_ratio",
    "loraplus_text_encoder_lr_ratio",
)


def _speaks_of_main(key: str) -> bool:
    return key not in _NOT_OF_MAIN and not split_section(key)[0]


def _untrained(grid: PartGrid) -> dict[str, str]:
    """Of a text encoder that does not train: all of its settings, by key."""
    keys = [grid.settings.key(name) for name in sorted(grid.settings.given)]
    return {key: f"{key}: {grid.part} is not trained in this run, so this sets nothing" for key in keys}


def _idle(grid: PartGrid, done: Reach) -> dict[str, str]:
    """The settings of a part that set nothing in it, by key."""
    settings = grid.settings
    idle = {}
    asked = "depth_strategy" in settings.given and settings.depth_strategy != "flat"
    if asked and grid.part not in done.curved:
        key = settings.key("depth_strategy")
        idle[key] = f"{key}={settings.depth_strategy}: no module that trains follows the curve"
    used = done.used.get(grid.part, set())
    for component, rate in settings.component_lr.items():  # 0 says no more than a train_* list that leaves it out
        key = settings.key(f"{component}_lr")
        if _overruled(settings, component, key):
            continue
        if f"{component}_lr" in settings.given and component not in used and rate.value != 0:
            idle[key] = f"{key}: sets nothing: no module that trains takes its LR from it"
    for component in COMPONENTS:
        key = settings.loraplus_key(component)
        if component in settings.loraplus and key not in done.ratios:
            idle[key] = f"{key}: no module that trains takes it, so this sets nothing"
    return idle


def _overruled(settings: GridSettings, component: str, key: str) -> bool:
    """Whether --network_args leave a component out that a file gives an LR to: that is no mistake."""
    by = settings.left_out_by(component)
    return bool(by) and settings.source.get(key) != settings.source.get(settings.key(by))


def idle_of_preset(grid: BoundGrid, done: Reach) -> list[str]:
    """The preset's settings that set nothing in the U-Net or DiT."""
    settings = grid.settings
    there = {site.component for site in grid.sites.all if site.part == MAIN_PART}
    used = done.used.get(MAIN_PART, set())
    idle = []
    for key in sorted(settings.preset_keys):
        component, _, what = key.rpartition("_")
        if key == "default_lr":
            found = key in used
        elif component in COMPONENTS:
            found = component in (used if what == "lr" else there)
        else:
            found = settings.depth_strategy == "flat" or MAIN_PART in done.curved
        if not found:
            idle.append(key)
    return idle


def idle_settings(grid: BoundGrid, done: Reach) -> list[str]:
    """Lines about settings that set nothing in this run, where that is no mistake: people share them between runs."""
    settings = grid.settings
    owners = [(settings, name) for name in (None, "unet", "text_encoder")]
    owners += [(encoder, None) for encoder in settings.encoders.values()]
    keys = [owner.loraplus_key(name) for owner, name in owners if name in owner.loraplus]
    lines = [f"{key} sets nothing in this run" for key in dict.fromkeys(keys) if key not in done.ratios]
    lines += [
        f"network_reg_lrs: the regex {rule.pattern.pattern!r} sets nothing in this run"
        for rule in grid.upstream_rules
        if id(rule) not in done.won
    ]
    idle = idle_of_preset(grid, done)
    if idle:
        lines.append(f"preset {settings.preset}: nothing that trains here takes its {', '.join(idle)}")
    for part in grid.parts.values():
        if "default_lr" in part.settings.given and "default_lr" not in done.used.get(part.part, set()):
            key = part.settings.key("default_lr")
            lines.append(f"{key} sets nothing: every component that trains has an LR of its own")
    return lines
