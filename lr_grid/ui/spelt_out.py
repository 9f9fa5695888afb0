"""Presets and published defaults, spelt out as the settings that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lr_grid.component_table import expand_components
from lr_grid.errors import Problems
from lr_grid.keys import SOURCES
from lr_grid.preset_settings import read_preset, settings_of
from lr_grid.settings import PUBLISHED_DEFAULTS
from lr_grid.values import flag
from lr_grid.words import COMPONENTS

_COMPONENT_KEYS = frozenset(f"{component}_lr" for component in COMPONENTS)


def spelt_out(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """(the arguments with presets and published defaults in place of their names, the keys that only these brought).

    As lr_grid.settings does it, with values as they were written.
    """
    problems = Problems()
    given = expand_components(arguments, "the settings", problems)
    preset = read_preset((arguments, ""), ({}, ""), problems)
    whole = "component_lr" in arguments
    from_preset, _ = settings_of(preset, whole, problems)
    problems.raise_if_any()
    raw = {key: value for key, value in {**from_preset, **given}.items() if key not in SOURCES}
    if flag(raw.pop("per_layer_lr", False)):
        whole = whole or (preset is not None and "component_lr" in preset.settings)
        for key, default in PUBLISHED_DEFAULTS.items():
            if not (whole and key in _COMPONENT_KEYS):
                raw.setdefault(key, default)
    return raw, frozenset(raw.keys() - given.keys())
