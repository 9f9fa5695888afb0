"""The LR of every module of a released model under some arguments, by the planner: conversions are held against it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from functools import cache
from typing import Any

from lr_grid.binding import bind_settings
from lr_grid.errors import Problems
from lr_grid.grid_settings import GridSettings
from lr_grid.models import find_model
from lr_grid.plan import ModuleFacts, TrainerLrs
from lr_grid.planner import make_plan
from lr_grid.settings import read_settings
from lr_grid.sites import Site, Sites

BASE = 1e-4
FACTS = ModuleFacts(16, 16.0, has_up=True)


@cache
def sites_of(model: str, asked: tuple[str, ...] = (), one_a: str = "module") -> Sites:
    """The modules that the trainer's network module makes.

    Args:
        asked: arguments of the network module that bring more modules.
        one_a: ``module`` gives all; ``cell`` one module of each block and component, since without regexes all modules
            of a cell have one LR; ``block`` one module of each block, for grids that know no components either.
    """
    blueprint = find_model(model)
    network = blueprint.networks[0]
    sites: dict[Any, Site] = {}
    for layer in network.layers:
        if not layer.needs or layer.needs in asked:
            site = layer.site
            cell = (site.part, site.place, site.component)
            sites.setdefault({"module": site.name, "cell": cell, "block": cell[:2]}[one_a], site)
    layouts = dict(network.encoder_layouts)
    return Sites(tuple(sites.values()), blueprint.layout, dict(network.encoder_of), (), layouts)


def module_lrs(model: str, arguments: dict[str, Any], one_a: str = "cell") -> dict[str, tuple[float, float]]:
    """Module name -> (down, up) LR, absolute; (0, 0) where it is frozen."""
    asked = tuple(key for key in ("train_llm_adapter",) if arguments.get(key) == "true")
    problems = Problems()
    settings = read_settings(arguments, problems)
    problems.raise_if_any()
    # Settings that parse to the same have the same plan, which takes most of a test's time.
    key = (model, asked, one_a, repr(replace(settings, arguments=(), source={})))
    if key not in _PLANS:
        if len(_PLANS) > 50:
            _PLANS.clear()
        _PLANS[key] = _planned(settings, sites_of(model, asked, one_a))
    return _PLANS[key]


_PLANS: dict[Any, dict[str, tuple[float, float]]] = {}


def _planned(settings: GridSettings, sites: Sites) -> dict[str, tuple[float, float]]:
    problems = Problems()
    if not settings.encoders:  # the text encoders of a grid that says nothing of them are no part of the question
        sites = Sites(tuple(site for site in sites.all if site.part == "unet"), sites.layout, {}, ())
    grid = bind_settings(settings, sites, problems)
    problems.raise_if_any()
    facts = {site.name: FACTS for site in sites.all}
    plan = make_plan(grid, facts, TrainerLrs(BASE, text_encoders=(BASE / 2,)), ["unet", *sites.encoder_layouts])
    return {row.site.name: (row.lr_down, row.lr_up) for row in plan.rows}


def upstream_regex_lrs(model: str, text: str, names: Collection[str]) -> dict[str, float]:
    """Module name -> absolute LR under network_reg_lrs as sd-scripts reads it (lora_flux; Anima: whole dotted path)."""
    rules = dict(pair.split("=", 1) for pair in text.split(","))
    searches = [(re.compile(regex), float(lr)) for regex, lr in rules.items()]
    result = {}
    for site in sites_of(model).all:
        if site.name in names:
            found = (lr for regex, lr in searches if _upstream_finds(regex, site, model))
            result[site.name] = next(found, BASE)
    return result


def _upstream_finds(regex: re.Pattern[str], site: Site, model: str) -> bool:
    return bool(regex.fullmatch(site.path) if model == "anima" else regex.search(site.name))


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether two results speak of the same modules and give them equal LRs (to the last digits)."""
    if first == second or first.keys() != second.keys():
        return first == second

    def near(a: float, b: float) -> bool:
        return abs(a - b) <= 1e-12 * max(abs(a), abs(b))

    for name, lr in first.items():
        other = second[name]
        pairs = zip(lr, other, strict=True) if isinstance(lr, tuple) else [(lr, other)]
        if not all(near(a, b) for a, b in pairs):
            return False
    return True
