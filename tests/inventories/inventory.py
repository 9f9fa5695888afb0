"""What a trainer's network module makes of a model, counted per stack and component. Runs in the trainer's venv."""

from __future__ import annotations

import importlib.util
import itertools
import json
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

from lr_grid.anatomy import Layout
from lr_grid.anatomy.detect import read_layout
from lr_grid.placing import read_sites
from lr_grid.sites import Site
from lr_grid.upstream import network_modules

Models = tuple[nn.Module, Any]
"""(U-Net or DiT, text encoder or the trainer's list of them)"""

OUTSIDE = ""
"""Stands for the name of a stack where a module is in none."""


@dataclass(frozen=True)
class Case:
    """One released size of a model under one of the trainer's network modules."""

    size: str
    module: str
    build: Callable[[], Models]
    args: Mapping[str, str] = field(default_factory=dict)
    encoders: tuple[str, ...] = ()
    """What the text encoders are called, in the order of the trainer's list."""
    also: tuple[str, ...] = ()
    """Further network modules, to see whether they take the same modules of the model."""


MakeNetwork = Callable[[str, nn.Module, Any, Mapping[str, str]], nn.Module]
"""(network module, U-Net or DiT, text encoders, its arguments) -> the trainer's network"""


def prepare() -> None:
    """Quiet logs, a stand-in where torchvision is not installed, and no initial values: on meta they only take time."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    logging.disable(logging.WARNING)
    if importlib.util.find_spec("torchvision") is None:
        sys.path.append(str(Path(__file__).parent.parent / "trainers" / "torchvision_stand_in"))
    for name in ("constant_", "kaiming_uniform_", "normal_", "ones_", "uniform_", "xavier_uniform_", "zeros_"):
        setattr(nn.init, name, lambda tensor, *_, **__: tensor)


def main(cases: Sequence[Case], make_network: MakeNetwork) -> None:
    """Build every case and print the results, a JSON list, as the last line. Cases of one size follow one another."""
    results: list[dict[str, Any]] = []
    for _, same_size in itertools.groupby(cases, key=lambda case: case.size):
        models: Models | None = None
        for case in same_size:
            if models is None:
                with torch.device("meta"):
                    models = case.build()
            results.append(describe(case, models, make_network))
    print(json.dumps(results))


def describe(case: Case, models: Models, make_network: MakeNetwork) -> dict[str, Any]:
    """What the case's network module makes of the models: counts, names, and whatever no rule knows."""
    unet, encoders = models
    with torch.device("meta"):
        network = make_network(case.module, unet, encoders, case.args)
        others = {module: make_network(module, unet, encoders, case.args) for module in case.also}
    modules = network_modules(network, case.module)
    sites = read_sites(modules, unet, encoders)
    given = encoders if isinstance(encoders, list) else [encoders]
    return {
        "size": case.size,
        "module": case.module,
        "args": dict(case.args),
        "also": {module: targets(other) == targets(network) for module, other in others.items()},
        "notices": list(sites.notices),
        "model": part("unet", unet, sites.layout, sites.all),
        "encoders": {
            case.encoders[index]: part(name, given[index], read_layout(given[index]), sites.all)
            for name, index in sorted(sites.encoder_of.items())
        },
    }


def targets(network: nn.Module) -> set[int]:
    """Which modules of the U-Net or DiT a network is for."""
    return {id(module.org_module) for module in network.unet_loras}


def part(name: str, model: nn.Module, layout: Layout, sites: Sequence[Site]) -> dict[str, Any]:
    """One model: its family and stacks, the network's modules in it, and all its matrix modules by component."""
    trained = {site.path: site for site in sites if site.part == name}
    anatomy: dict[str, dict[str, dict[str, list[int]]]] = {}
    unmatched = []
    for path, module in model.named_modules():
        if not isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            continue
        component = layout.component_of(path, module)
        if component is None:
            unmatched.append(path)
            continue
        stack, inner = place(path, layout)
        counts = anatomy.setdefault(stack, {}).setdefault(component, {}).setdefault(inner, [0, 0])
        counts[0] += 1
        counts[1] += path in trained
    cells = Counter((site.stack or OUTSIDE, site.component) for site in trained.values())
    return {
        "class": type(model).__name__,
        "family": layout.family,
        "stacks": layout.stacks,
        "count": len(trained),
        "cells": [[*cell, count] for cell, count in sorted(cells.items())],
        "unmatched": unmatched,
        "anatomy": anatomy,
    }


def place(path: str, layout: Layout) -> tuple[str, str]:
    """(stack, path inside the block), numbers left out that tell equal things apart.

    Outside the stacks, and where a block has no number or nothing but numbers in it, the whole path.
    """
    head = path
    while head and head not in layout.blocks:
        head = head.rpartition(".")[0]
    inner = re.sub(r"^(?:(?:attentions|resnets)\.)?\d+\.(?=[a-z])", "", path[len(head) :].lstrip("."))  # U-Nets
    shown = inner if head and re.search("[a-z]", inner) else path
    shown = re.sub(r"\b(transformer_blocks|layers|\w+_list)\.\d+", r"\1.N", shown)
    return layout.blocks[head][0] if head else OUTSIDE, shown


def built_by(loader: Callable[..., Any], reads_weights: str, *args: Any) -> nn.Module:
    """The model a trainer's loader builds, taken from it when it turns to the weights file.

    For loaders that hold a model's configuration in their middle.
    """

    class Built(Exception):
        pass

    def stop(*_: Any, **__: Any) -> None:
        raise Built

    with mock.patch.object(sys.modules[loader.__module__], reads_weights, stop):
        try:
            loader(*args)
        except Built as reached:
            trace = reached.__traceback__
            while trace is not None:
                if trace.tb_frame.f_code is loader.__code__:
                    model: nn.Module = trace.tb_frame.f_locals["model"]
                    return model
                trace = trace.tb_next
    raise AssertionError(f"{loader.__name__} never called {reads_weights}")
