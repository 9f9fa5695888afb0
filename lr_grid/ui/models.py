"""A model as the page shows it: its stacks, the components of each, and which blocks have them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

from lr_grid.errors import GridError
from lr_grid.keys import is_grid_key
from lr_grid.models import Blueprint, load, model_names
from lr_grid.models.blueprint import NetworkBlueprint, outline
from lr_grid.models.catalogue import ALIASES, canonical_name
from lr_grid.module_names import LOOP_MODULE, grid_module
from lr_grid.preview import Run, preview
from lr_grid.sites import Site
from lr_grid.ui.cell_names import Cell, Modules, cell_names, template
from lr_grid.words import COMPONENTS, MAIN_PART

_CONVS = "conv_block_dims"
"""The one key of the grid that brings modules: convolutions in the blocks that it names."""


@dataclass(frozen=True, eq=False)
class PageModel:
    """One released model, seen through a network module."""

    blueprint: Blueprint
    network: NetworkBlueprint
    """What the module may adapt."""
    made: Sequence[Site]
    """What it adapts of the U-Net or DiT under the run's arguments."""

    @property
    def name(self) -> str:
        """Its name in the catalogue."""
        return self.blueprint.name

    @property
    def stacks(self) -> dict[str, int]:
        """Stack -> number of blocks, in the model's order."""
        return self.blueprint.layout.stacks

    @property
    def module(self) -> str:
        """The grid's network module for it; empty where it is trained in a loop of one's own."""
        name = grid_module(self.blueprint.default_module)
        return "" if name == LOOP_MODULE else name

    @cached_property
    def rows(self) -> dict[str, dict[str, frozenset[int]]]:
        """Stack -> component -> the blocks that have it, in the order of the words."""
        found: dict[str, dict[str, set[int]]] = {stack: {} for stack in self.stacks}
        for site in self.made:
            if site.stack is not None and site.block is not None:
                found[site.stack].setdefault(site.component, set()).add(site.block)
        return {stack: {c: frozenset(here[c]) for c in COMPONENTS if c in here} for stack, here in found.items()}

    @cached_property
    def outside(self) -> list[str]:
        """The components of modules that stand in no stack."""
        there = {site.component for site in self.made if site.stack is None}
        return [component for component in COMPONENTS if component in there]

    @cached_property
    def components(self) -> list[str]:
        """All components, those outside included."""
        there = {site.component for site in self.made}
        return [component for component in COMPONENTS if component in there]

    @cached_property
    def modules(self) -> Modules:
        """Everything that the network module may adapt, text encoders and what has to be asked for included."""
        return Modules([layer.site for layer in self.network.layers])

    @cached_property
    def cells(self) -> dict[Cell, frozenset[int]]:
        """The cells of the rows -> all their modules, as indices of ``modules.sites``."""
        found: dict[Cell, set[int]] = {}
        for index, site in enumerate(self.modules.sites):
            if site.part == MAIN_PART and site.stack is not None and site.block is not None:
                found.setdefault((site.stack, site.block, site.component), set()).add(index)
        shown = [(s, b, c) for s, here in self.rows.items() for c, blocks in here.items() for b in sorted(blocks)]
        return {cell: frozenset(found[cell]) for cell in shown}

    @cached_property
    def names(self) -> dict[Cell, str]:
        """The regex of each cell; a cell without one is not in it."""
        return cell_names(self.modules.sites, self.cells)

    @cached_property
    def cells_by_name(self) -> dict[str, Cell]:
        """The other way round."""
        return {text: cell for cell, text in self.names.items()}

    def cells_of(self, pattern: re.Pattern[str]) -> list[Cell] | None:
        """The cells whose modules a regex matches; None where it matches anything but whole cells."""
        known = self.cells_by_name.get(pattern.pattern)
        if known:
            return [known]
        matched = self.modules.matched(pattern)
        found = [cell for cell, members in self.cells.items() if members & matched]
        whole = frozenset().union(*(self.cells[cell] for cell in found))
        return found if matched and whole == matched else None

    def to_json(self) -> dict[str, Any]:
        """As the page takes it."""
        return {
            "name": self.name,
            "title": self.blueprint.title,
            "trainer": self.blueprint.trainer,
            "module": self.module,
            "stacks": [
                {"name": stack, "size": size, "rows": [self._row(stack, component) for component in self.rows[stack]]}
                for stack, size in self.stacks.items()
            ],
            "outside": self.outside,
            "components": self.components,
        }

    def _row(self, stack: str, component: str) -> dict[str, Any]:
        blocks = sorted(self.rows[stack][component])
        everywhere = len(blocks) == self.stacks[stack]
        names = {
            block: self.names[stack, block, component] for block in blocks if (stack, block, component) in self.names
        }
        one = template(names, blocks)
        listed = [names.get(block) for block in range(self.stacks[stack])]
        return {"component": component, "blocks": None if everywhere else blocks, "names": one or listed}


def page_model(name: str, module: str = "", arguments: Mapping[str, str] | None = None) -> PageModel:
    """The model that people call ``name``.

    Args:
        module: the network module, a grid's or the wrapped one's; empty: the model's own.
        arguments: --network_args; those of the module itself may make it adapt more, or less.

    Raises: GridError for a model that is not known. (A module that is not known, or arguments that it refuses, are told
        where the plan is made: here, they change nothing.)
    """
    bearing = tuple(sorted((k, v) for k, v in (arguments or {}).items() if not is_grid_key(k) or k == _CONVS))
    canonical = canonical_name(name)
    return _page_model(canonical, "" if module == grid_module(load(canonical).default_module) else module, bearing)


@lru_cache(maxsize=64)
def _page_model(name: str, module: str, arguments: tuple[tuple[str, str], ...]) -> PageModel:
    blueprint = load(name)
    network = blueprint.networks[0]
    if module or arguments:
        try:
            made = preview(blueprint, dict(arguments), Run(network_module=module))
        except GridError:
            pass
        else:
            sites = [row.site for row in made.plan.rows if row.site.part == MAIN_PART]
            return PageModel(blueprint, blueprint.network(made.base) or network, sites)
    own = [layer.site for layer in network.layers if not layer.needs and layer.site.part == MAIN_PART]
    return PageModel(blueprint, network, own)


@cache
def all_models() -> list[dict[str, Any]]:
    """Every model of the catalogue, without its layers."""
    found = []
    for name in model_names():
        one = outline(name)
        aliases = [alias for alias, known in ALIASES.items() if known == name]
        data = {"name": name, "title": one.title, "trainer": one.trainer, "aliases": aliases}
        found.append({**data, "stacks": list(one.stacks.items())})
    return found
