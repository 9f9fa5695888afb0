"""The settings: key=value text, a grid file or a preset to a checked GridSettings. Nothing here knows a model.

The same keys work in ``--network_args``, in a grid file and in a preset; --network_args win over the file, the file
over the preset. A key of one text encoder (``te1_``) wins over that of all (``te_``). Every problem is noted, none is
raised here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lr_grid.blocks import parse_indices
from lr_grid.component_table import expand_components
from lr_grid.contradictions import contradictions
from lr_grid.errors import Problems, did_you_mean
from lr_grid.grid_settings import GridSettings
from lr_grid.gridfile import GridFile, load_grid_file
from lr_grid.keys import (
    ENCODERS,
    HINTS,
    PARSERS,
    RANK_PARSERS,
    SOURCES,
    is_grid_key,
    is_indices,
    split_section,
    stack_of_indices,
)
from lr_grid.preset_settings import about_preset, read_preset, settings_of
from lr_grid.words import COMPONENTS

# What per_layer_lr=true gives to everything that is not set: the published per-layer system's defaults (absolute LRs).
PUBLISHED_DEFAULTS: dict[str, Any] = {
    "self_attn_lr": 4e-4,
    "cross_attn_lr": 2e-4,
    "ffn_lr": 3e-4,
    "norm_lr": 5e-5,
    "default_lr": 3e-4,
    "depth_strategy": "linear",
    "min_depth_factor": 0.3,
    "peak_position": 0.5,
}


def read_settings(
    arguments: Mapping[str, Any], problems: Problems, file: GridFile | None = None, words: str = "--network_args"
) -> GridSettings:
    """Parses the grid's own keys of --network_args (others are left alone), the grid file and the preset they name.

    Args:
        file: a grid file that was read already.
        words: what the arguments are called in messages.
    """
    own = {key: value for key, value in arguments.items() if is_grid_key(key)}
    if file is None:
        file = _read_file(own.pop("grid"), problems) if "grid" in own else GridFile()
    _check_unread(file, problems)
    published = expand_components(file.published, f"{file.name}, per_layer_lr", problems)
    from_file = expand_components(file.settings, file.name, problems)
    from_args = expand_components(own, words, problems)
    for key in (*from_file, *published):
        if not is_grid_key(key) or key == "grid" or (key in SOURCES and key in published):
            problems.add(f"{file.name}: {key!r} is no setting of a grid.{did_you_mean(key, HINTS)}")

    preset = read_preset((own, words), (file.settings, file.name), problems)
    whole = any("component_lr" in given for given in (own, file.settings, file.published))
    from_preset, replaced = settings_of(preset, whole, problems)
    given = {**published, **from_file, **from_args}
    raw = {key: value for key, value in {**from_preset, **given}.items() if key not in SOURCES}
    parsed = _parse_all(raw, problems)
    if parsed.get("per_layer_lr"):
        whole = whole or (preset is not None and "component_lr" in preset.settings)
        for key, default in PUBLISHED_DEFAULTS.items():
            # component_lr given as a whole takes the place of the whole default: what it leaves out takes default_lr.
            if not (whole and key.removesuffix("_lr") in COMPONENTS):
                parsed.setdefault(key, PARSERS[key](default))
    settings = _build({key: value for key, value in parsed.items() if not split_section(key)[0]})
    settings.source = {**dict.fromkeys(from_file, "file"), **dict.fromkeys(from_args, "args")}
    settings.notices = file.notices
    if preset is not None:
        settings.preset = preset.name
        settings.preset_keys = frozenset(from_preset.keys() - given.keys())
        settings.notices = [*about_preset(preset, replaced), *file.notices]
        raw = {"preset": preset.name, **raw}
    settings.arguments = tuple((key, str(value)) for key, value in raw.items())
    asked = {key for key in (*from_file, *from_args) if is_grid_key(key)} | ({"grid"} if published else set())
    settings.given = frozenset(key for key in asked if key != "per_layer_lr" or parsed.get(key))
    if all(key in parsed for key in raw if is_grid_key(key) and key not in SOURCES):
        # A value that did not parse would only lead to wrong conclusions.
        settings.encoders = _encoder_settings(parsed, settings.source)
        problems.add_all(contradictions(settings).values())
    return settings


def _read_file(name: Any, problems: Problems) -> GridFile:
    """The grid file, or an empty one where it cannot be read (the problem is noted)."""
    if not str(name or "").strip():
        problems.add("grid: is empty; give the name of a .toml or .json file")
        return GridFile()
    try:
        return load_grid_file(str(name))
    except ValueError as error:
        problems.add(f"grid: {error}")
        return GridFile()


def _check_unread(file: GridFile, problems: Problems) -> None:
    """Notes settings that stand beside a published block, where they are not read."""
    for key in filter(is_grid_key, file.unread):
        problems.add(
            f"{file.name}: {key} stands beside a published block, where it is not read: put it into --network_args"
        )
    others = [key for key in file.unread if not is_grid_key(key)]
    if others:
        file.notices.append(f"{file.name}: only its published block is read, not {', '.join(others)}")


def _parse_all(raw: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    parsed = {}
    for key, value in raw.items():
        if not is_grid_key(key):
            continue
        name = split_section(key)[1]
        parse = PARSERS.get(name, parse_indices)
        if value is None or (isinstance(value, str) and not value.strip() and not is_indices(name)):
            problems.add(f"{key}: is empty")
            continue
        try:
            parsed[key] = parse(value)
        except ValueError as error:
            problems.add(f"{key}: {error}")
    return parsed


def _build(parsed: Mapping[str, Any]) -> GridSettings:
    settings = GridSettings()
    for key, value in parsed.items():
        if key.startswith("loraplus_"):
            name = key.removeprefix("loraplus_").removesuffix("lr_ratio").rstrip("_")
            settings.loraplus[name or None] = value
        elif is_indices(key):
            settings.block_indices[stack_of_indices(key)] = value
        elif key in RANK_PARSERS:
            settings.ranks.set(key, value)
        elif key.removesuffix("_lr") in COMPONENTS:
            settings.component_lr[key.removesuffix("_lr")] = value
        elif key != "per_layer_lr":
            setattr(settings, key, value)
    return settings


def _encoder_settings(parsed: Mapping[str, Any], source: dict[str, str]) -> dict[str, GridSettings]:
    """The settings of each text encoder: those of te_, then its own; those of a file, then the arguments."""
    result = {}
    for encoder in ENCODERS:
        keys = [key for key in parsed if split_section(key)[0] in ("te", encoder)]
        keys.sort(key=lambda key: (source.get(key) == "args", split_section(key)[0] == encoder))
        own = {split_section(key)[1]: parsed[key] for key in keys}
        if own:
            result[encoder] = _build(own)
            result[encoder].given = frozenset(own)
            result[encoder].spelling = {split_section(key)[1]: key for key in keys}
            result[encoder].prefix = f"{encoder}_"
            result[encoder].source = source
    return result
