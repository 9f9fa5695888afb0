"""The preset that --network_args or a grid file name: its settings, and what is said of it before training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lr_grid.component_table import expand_components
from lr_grid.errors import Problems
from lr_grid.keys import PRESET_KEYS
from lr_grid.words import COMPONENTS

if TYPE_CHECKING:
    from lr_grid.presets import Preset


def read_preset(
    arguments: tuple[Mapping[str, Any], str], file: tuple[Mapping[str, Any], str], problems: Problems
) -> Preset | None:
    """The preset that the arguments name, or else the file; None without one, or where there is none of that name.

    Args:
        arguments, file: (settings, what they are called in messages).
    """
    for settings, where in (arguments, file):
        named = [key for key in PRESET_KEYS if key in settings]
        if len(named) > 1:
            problems.add(f"{where}: {' and '.join(named)} both name a preset: keep one")
        if named:
            from lr_grid.presets import load_preset  # here: the trainer's start need not wait for it

            try:
                return load_preset(str(settings[named[0]] or ""))
            except ValueError as error:
                problems.add(f"{named[0]}: {error}")
                return None
    return None


def settings_of(preset: Preset | None, whole: bool, problems: Problems) -> tuple[dict[str, Any], list[str]]:
    """(the preset's settings, what of it a ``component_lr`` replaces).

    Args:
        whole: whether a table of component LRs was given: it takes the place of the preset's, as it does of the
            published defaults; what it leaves out takes default_lr.
    """
    if preset is None:
        return {}, []
    settings = expand_components(preset.settings, f"preset {preset.name}", problems)
    replaced = [key for key in settings if whole and key.removesuffix("_lr") in COMPONENTS]
    return {key: value for key, value in settings.items() if key not in replaced}, replaced


def about_preset(preset: Preset, replaced: list[str]) -> list[str]:
    """What is said of a preset before training."""
    models = f" (for {', '.join(preset.models)})" if preset.models else ""
    more = f"lr-grid presets show {preset.name} says more"
    lines = [f"preset {preset.name}{models}: {preset.kind}; from {preset.source}; {more}"]
    if replaced:
        lines.append(
            f"component_lr takes the place of {', '.join(replaced)} of preset {preset.name}: what it leaves out takes"
            " default_lr (a single key, such as ffn_lr, would replace that one only)"
        )
    return lines
