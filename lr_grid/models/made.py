"""What a network module makes of a model, without either: its modules, at the ranks that the settings give them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lr_grid.anatomy import Layout
from lr_grid.binding import BoundGrid
from lr_grid.errors import Problems
from lr_grid.grid_settings import GridSettings
from lr_grid.models.adapters import Tensors, adapter_tensors, facts_at, trained_tensors
from lr_grid.models.blueprint import Layer
from lr_grid.models.stand_in import StandIn
from lr_grid.module_names import LOOP_MODULE
from lr_grid.passed_on import NO_UP_SIDE, no_convs
from lr_grid.plan import ModuleFacts, Plan
from lr_grid.planner import frozen_names
from lr_grid.rank_arguments import about_alphas, idle_ranks
from lr_grid.rank_budgets import spend_budgets
from lr_grid.ranks import Choice, MadeModule, choose_ranks
from lr_grid.sides import is_known_plus, side_of
from lr_grid.sites import Sites


class Made:
    """What the network module makes: its modules with their first ranks, then those that the settings give them."""

    def __init__(self, base: str, stand_in: StandIn, only_named_convs: bool, settings: GridSettings, layout: Layout):
        self.base, self.arguments, self.is_oft = base, stand_in.arguments, stand_in.is_oft
        self.is_loop = base == LOOP_MODULE
        made = {layer.site.name: (layer, stand_in.made(layer)) for layer in stand_in.layers()}
        here = {name: (layer, module) for name, (layer, module) in made.items() if module is not None}
        if only_named_convs:
            asked = settings.ranks.conv_block_dims
            named = asked.resolve(layout.stacks, layout.family).values if asked else {}
            here = {n: (x, m) for n, (x, m) in here.items() if not x.is_large_conv or x.site.place in named}
        self.layers: dict[str, Layer] = {name: layer for name, (layer, _) in here.items()}
        self.modules: dict[str, MadeModule] = {name: module for name, (_, module) in here.items()}
        self.tensors: dict[str, Tensors] = {}
        parts = {layer.site.part for layer in self.layers.values()}
        encoders = {part: index for part, index in stand_in.network.encoder_of.items() if part in parts}
        layouts = {part: stand_in.network.encoder_layouts[part] for part in encoders}
        self.sites = Sites(tuple(layer.site for layer in self.layers.values()), layout, encoders, (), layouts)

    def check_arguments(
        self, settings: GridSettings, passed: Mapping[str, Any], family: str, problems: Problems
    ) -> bool:
        """Notes LoRA+ and conv_dim where there is nothing for them; returns whether the grid has to do LoRA+ itself
        (network.py does the same)."""
        ups: list[str] = []
        loraplus = settings.loraplus or any(encoder.loraplus for encoder in settings.encoders.values())
        if loraplus:
            ranked = () if self.is_oft else self.modules.items()  # OFT has no up side, and not every rank
            tensors = [t for n, m in ranked for t in trained_tensors(self.base, self._tensors_at(n, m.rank))]
            ups = [name for name, _ in tensors if side_of(name) == "up"]
            if not ups:
                problems.add(NO_UP_SIDE)
        convs = any(layer.is_large_conv for layer in self.layers.values())
        if str(passed.get("conv_dim", "0")).strip() != "0" and not convs:
            problems.add(no_convs(self.base, family))
        return not all(map(is_known_plus, ups))

    def facts(
        self, grid: BoundGrid, notices: list[str], problems: Problems
    ) -> tuple[dict[str, ModuleFacts], list[str]]:
        """(facts of every module at the rank that the settings give it, what is to be said of them)"""
        if not any(part.settings.ranks.keys for part in grid.parts.values()):
            as_made = {name: Choice(m.rank, None, m.alpha, "--network_dim", m.rank) for name, m in self.modules.items()}
            return self._facts_of_chosen(as_made, problems), []
        chosen = choose_ranks(grid, self.modules, problems)
        problems.raise_if_any()
        frozen = frozen_names(grid)
        chosen, spent = spend_budgets(grid, chosen, self.modules, frozen, {}, self._count, problems)
        problems.raise_if_any()
        facts = self._facts_of_chosen(chosen, problems)
        grid.rank_why = {name: choice.why for name, choice in chosen.items()}
        grid.no_lora = {name for name, choice in chosen.items() if choice.rank == 0}
        known = {name: (facts[name].rank, facts[name].alpha) for name in chosen.keys() - frozen}
        return facts, [*notices, *spent, *idle_ranks(grid, frozen), *about_alphas(chosen, self.modules, known)]

    def named_shapes(self, plan: Plan) -> dict[str, list[tuple[str, Any]]]:
        """(name within the network, shape) of what trains, by module: what stands for parameters here."""
        names = {row.site.name for row in plan.rows if not row.frozen}
        return {
            name: [(f"{name}.{own}", shape) for own, shape in trained_tensors(self.base, self.tensors[name])]
            for name in names
        }

    def _facts_of_chosen(self, chosen: Mapping[str, Choice], problems: Problems) -> dict[str, ModuleFacts]:
        facts: dict[str, ModuleFacts] = {}
        refused: dict[str, list[str]] = {}
        for name, choice in chosen.items():
            if choice.rank == 0:
                facts[name] = ModuleFacts(0, None, True)
                continue
            try:
                facts[name] = self._facts_at(name, choice.rank, choice.alpha)
            except (AssertionError, ValueError) as error:
                what = f"{choice.why}: {self.base} cannot make a module of rank {choice.rank}: {error}"
                refused.setdefault(what, []).append(name)
        problems.add_all(f"{what} ({len(names)} modules, e.g. {names[0]})" for what, names in refused.items())
        problems.raise_if_any()
        return facts

    def _tensors_at(self, name: str, rank: int) -> Tensors:
        layer = self.layers[name]
        return adapter_tensors(self.base, layer.site.path, layer.shape, rank, self.arguments)

    def _count(self, name: str, rank: int) -> int:
        tensors = trained_tensors(self.base, self._tensors_at(name, rank))
        return sum(math.prod(shape) for _, shape in tensors)

    def _facts_at(self, name: str, rank: int, alpha: float) -> ModuleFacts:
        self.tensors[name] = self._tensors_at(name, rank)
        if self.is_loop:  # ranks are the adapter's, which is not known
            return ModuleFacts(None, None, True)
        return facts_at(self.base, self.tensors[name], rank, alpha)
