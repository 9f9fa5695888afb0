"""A released size as data: its stacks, and every layer that a network module of the trainer may adapt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from lr_grid.anatomy.layout import Layout
from lr_grid.sites import Site
from lr_grid.words import MAIN_PART

DATA = files("lr_grid.models") / "data"


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer that may be adapted, and what decides whether and at which rank."""

    site: Site
    shape: tuple[int, ...]
    """Of its weight: (out, in) of a Linear, (out, in, kernel...) of a convolution."""
    needs: str = ""
    """The argument of the network module without which it is not adapted; empty for one that is by default."""
    rank_keys: tuple[str, ...] = ()
    """Arguments that give its rank in place of --network_dim, the first that is given; ``in_dims:2`` is the third
    number of in_dims."""

    @property
    def is_large_conv(self) -> bool:
        """Whether it is a convolution larger than 1x1."""
        return any(size != 1 for size in self.shape[2:])


@dataclass(frozen=True)
class NetworkBlueprint:
    """What one network module (or several alike) may adapt in a model."""

    modules: tuple[str, ...]
    """Import paths of the network modules, e.g. ``networks.lora_flux``."""
    layers: tuple[Layer, ...]
    """Text encoders' first, each in its model's order."""
    encoder_of: Mapping[str, int]
    """Part (te1, ...) -> index in the trainer's list of text encoders."""
    encoder_layouts: Mapping[str, Layout]
    train_blocks: Mapping[str, tuple[str, ...]]
    """Value of the argument train_blocks -> the stacks that it leaves; "" stands for the modules outside them."""


@dataclass(frozen=True)
class Blueprint:
    """One released size of a model."""

    name: str
    title: str
    trainer: str
    """``sd-scripts``, ``musubi-tuner``, or ``diffusers`` for a loop of one's own."""
    layout: Layout
    """Family and stacks; it holds no rules, since every layer's place is known."""
    networks: tuple[NetworkBlueprint, ...]

    def network(self, module: str) -> NetworkBlueprint | None:
        """The network of a module, named by its import path; None where it is none of this model's."""
        return next((network for network in self.networks if module in network.modules), None)

    @property
    def default_module(self) -> str:
        """The trainer's LoRA module for this model."""
        return self.networks[0].modules[0]


@dataclass(frozen=True, slots=True)
class Outline:
    """What of a model in the catalogue is known without its layers."""

    title: str
    trainer: str
    family: str
    stacks: Mapping[str, int]
    modules: tuple[str, ...]
    """The network modules that adapt it: import paths, without the grid's."""


@cache
def load(name: str) -> Blueprint:
    """The model of a name in the catalogue. Raises: FileNotFoundError for another."""
    data = _read(name)
    layout = _layout(data)
    networks = tuple(_network(network, layout) for network in data["networks"])
    return Blueprint(name, data["title"], data["trainer"], layout, networks)


@cache
def outline(name: str) -> Outline:
    """A model in the catalogue, without its layers."""
    data = _read(name)
    modules = tuple(module for network in data["networks"] for module in network["modules"])
    return Outline(data["title"], data["trainer"], data["family"], dict(data["stacks"]), modules)


def stacks_of(name: str) -> tuple[str, Mapping[str, int]]:
    """(title, stacks) of a model in the catalogue, without its layers."""
    found = outline(name)
    return found.title, found.stacks


@cache
def known_arguments() -> Mapping[str, frozenset[str]]:
    """Network module -> the keys of --network_args that it takes (import paths without the grid's)."""
    return {module: frozenset(keys) for module, keys in _read("modules").items()}


def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return data


def _layout(data: Mapping[str, Any]) -> Layout:
    return Layout(data["family"], dict(data["stacks"]), {}, (), ())


def _network(data: Mapping[str, Any], layout: Layout) -> NetworkBlueprint:
    layers: list[Layer] = []
    encoders: dict[str, int] = {}
    layouts: dict[str, Layout] = {}
    for encoder in data["encoders"]:
        file = _read(f"encoders/{encoder['file']}")
        part = encoder["part"]
        encoders[part], layouts[part] = encoder["index"], _layout(file)
        layers += _layers(file["segments"], part, encoder["prefix"], encoder["needs"])
    layers += _layers(data["segments"], MAIN_PART, data["prefix"])
    choices = {value: tuple(stacks) for value, stacks in data.get("train_blocks", {}).items()}
    return NetworkBlueprint(tuple(data["modules"]), tuple(layers), encoders, layouts, choices)


def _layers(segments: Sequence[Mapping[str, Any]], part: str, prefix: str, needed: str = "") -> Iterator[Layer]:
    for segment in segments:
        blocks = segment["blocks"]
        for block in range(blocks[0], blocks[1] + 1) if blocks else [None]:
            for template, component, shape, *rest in segment["layers"]:
                path = template.format(block)
                needs, rank_keys = rest or ("", "")
                name = f"{prefix}_{path.replace('.', '_')}" if prefix else path
                site = Site(name, path, part, segment["stack"], block, component)
                keys = tuple(rank_keys.split("|")) if rank_keys else ()
                yield Layer(site, tuple(shape), needs or needed, keys)
