"""Presets: settings under a name, each a .toml file beside this one that says where it comes from. No torch here.

A preset's LRs are multiples of the trainer's. Those of a published configuration are divided by the ``learning_rate``
that stands beside them there, so ``--learning_rate`` at that value gives the published absolute LRs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from lr_grid.errors import did_you_mean
from lr_grid.toml_text import load_toml

_SUFFIX = ".toml"


@dataclass(frozen=True, slots=True)
class Preset:
    """One preset, as its file says it."""

    name: str
    title: str
    """What it does, in one line."""
    kind: str
    """How much is known of it: a recipe, or what was measured."""
    models: tuple[str, ...]
    """The models it was published for; none: any."""
    source: str
    address: str
    """Where the source is; empty for a preset of our own."""
    evidence: str
    """What speaks for it and against it, and its limits."""
    published: Mapping[str, float]
    """The published absolute LRs, ``learning_rate`` (what they were divided by) among them; empty for our own."""
    settings: Mapping[str, Any]
    """Keys and values as in a grid file; component LRs may stand in a table ``component_lr``."""
    text: str
    """The whole file."""


def preset_names() -> tuple[str, ...]:
    """The names of all presets, sorted."""
    here = files(__name__)
    return tuple(sorted(f.name.removesuffix(_SUFFIX) for f in here.iterdir() if f.name.endswith(_SUFFIX)))


def load_preset(name: str) -> Preset:
    """The preset of a name (``-`` does for ``_``).

    Raises: ValueError for an unknown name; it lists the known ones.
    """
    names = preset_names()
    wanted = name.strip().lower().replace("-", "_")
    if wanted not in names:
        raise ValueError(f"{name!r} is no preset; there are {', '.join(names)}.{did_you_mean(wanted, names)}")
    return _load(wanted)


@cache
def _load(name: str) -> Preset:
    text = (files(__name__) / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    data = load_toml(text)
    about = data["about"]
    return Preset(
        name=name,
        title=about["title"],
        kind=about["kind"],
        models=tuple(about["models"]),
        source=about["source"],
        address=about.get("address", ""),
        evidence=about["evidence"].strip(),
        published=about.get("published", {}),
        settings=data["settings"],
        text=text,
    )


def arguments_of(preset: Preset) -> list[str]:
    """The preset's settings as ``key=value`` words of --network_args."""
    words = []
    for key, value in preset.settings.items():
        if isinstance(value, Mapping):
            words.append(f"{key}=" + ",".join(f"{name}:{item}" for name, item in value.items()))
        else:
            words.append(f"{key}={value}")
    return words
