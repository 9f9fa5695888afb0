"""The plan of a model by name, without trainer, weights or torch: what a run under these arguments would train.

The way is the run's own (network.py, grid_network.py): the same settings, checks and planner. Only what the wrapped
module would make comes from the shipped models in place of a live network; a test holds both against each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lr_grid.advice import many_groups, one_sided, one_te_lr, same_names
from lr_grid.anatomy import Layout
from lr_grid.arguments import GRID_OFF, split_off
from lr_grid.binding import BoundGrid, bind_settings
from lr_grid.block_curves import weights_of
from lr_grid.errors import GridError, Problems, did_you_mean
from lr_grid.grid_settings import GridSettings
from lr_grid.groups import build_groups
from lr_grid.keys import is_grid_key, is_indices, split_section
from lr_grid.models.adapters import Tensors, adapter_tensors, facts_at, trained_tensors
from lr_grid.models.blueprint import Blueprint, Layer, NetworkBlueprint, known_arguments
from lr_grid.models.stand_in import StandIn
from lr_grid.passed_on import NO_UP_SIDE, about_reg_dims, no_convs
from lr_grid.plan import ModuleFacts, Plan, TrainerLrs
from lr_grid.planner import frozen_names, make_plan, make_plan_without_grid
from lr_grid.quirks import idle_arguments
from lr_grid.rank_arguments import DEFAULT_DIM, about_alphas, base_ranks_notice, idle_ranks
from lr_grid.rank_budgets import spend_budgets
from lr_grid.ranks import Choice, MadeModule, choose_ranks
from lr_grid.settings import read_settings
from lr_grid.sides import is_known_plus, side_of
from lr_grid.sites import Sites
from lr_grid.values import Rate
from lr_grid.words import MAIN_PART

_ONE_ENCODER_LR = ("networks.lora", "networks.lora_fa", "networks.dylora", "networks.oft", "networks.oft_flux")
"""Network modules without a way to take a list of text encoder LRs."""

LOOP_MODULE = "lr_grid.param_groups"
"""Stands for a network module where the model is trained in a loop of one's own."""
_IN_A_LOOP = (
    "diffusers' models are trained in a loop of one's own: ranks are the adapter's own there, a text encoder is a model"
    " by itself"
)


@dataclass(frozen=True)
class Run:
    """What of a trainer's command line bears on the plan."""

    lrs: TrainerLrs = field(default_factory=lambda: TrainerLrs(1e-4))
    network_module: str = ""
    """As given, a grid's or the wrapped one's; empty: the model's own LoRA module."""
    network_dim: int | None = None
    network_alpha: float | None = 1.0
    trains_unet: bool = True
    trains_text_encoders: bool = False
    element_size: int = 4
    """Bytes of a trained number."""


@dataclass(frozen=True)
class Preview:
    """A plan, and the optimizer groups that it comes to."""

    plan: Plan
    base: str
    """The wrapped network module."""
    groups: list[dict[str, Any]]
    """As the optimizer's, with shapes in place of parameters."""
    descriptions: list[str]
    module: str
    """The network module as it is given to the trainer."""
    is_grid: bool
    """False: no argument of the grid's own was given, the groups are the wrapped module's."""


def grid_module(base: str) -> str:
    """The grid's module around a network module, as it is given to the trainer."""
    if base == LOOP_MODULE:
        return base
    name = f"{base}_grid"
    return name.replace("musubi_tuner.networks.", "lr_grid.musubi.")


def wrapped_module(module: str, arguments: Mapping[str, Any]) -> str:
    """The module that a grid's network module wraps (``networks.lora_flux_grid`` -> ``networks.lora_flux``); another
    one as it is."""
    if module == "lr_grid.network":
        return str(arguments.get("base") or "")
    if not module.endswith("_grid"):
        return module
    name = module.removesuffix("_grid")
    if name.endswith(".lycoris"):
        return "lycoris.kohya"
    return name.replace("lr_grid.musubi.", "musubi_tuner.networks.")


def preview(model: Blueprint, arguments: Mapping[str, Any], run: Run | None = None) -> Preview:
    """The plan of a model under ``arguments``, the trainer's --network_args.

    Raises: GridError with everything that a run would refuse before training, as far as it can be told from the model
        and the arguments.
    """
    run = run or Run()
    base, network = _network(model, run.network_module, arguments)
    problems = Problems()
    if run.network_module == "lr_grid.network":
        arguments = {key: value for key, value in arguments.items() if key != "base"}
    known = known_arguments().get(base, frozenset())
    _check_module(run.network_module, base, arguments, known, problems)
    settings = read_settings(arguments, problems)
    if base == LOOP_MODULE:
        keys = [*sorted(settings.ranks.keys), *(key for key in arguments if split_section(key)[0])]
        problems.add_all(f"{key}: {_IN_A_LOOP}" for key in keys)
    passed = split_off(base, known, arguments, settings, model.layout, problems)
    active = bool(settings.preset or settings.given - passed.keys())
    obeyed = {key: value for key, value in passed.items() if not problems.about(key)}
    asked = _with_convs(obeyed, settings, known, run) if active else obeyed
    split = asked.get("split_qkv") == "True"
    indices = tuple(filter(is_indices, asked)) if split or not active else ()
    try:
        weights = weights_of(base, obeyed, model.layout.family == "sdxl")
        unmade = () if active or weights is None else [block for block, weight in enumerate(weights) if weight == 0]
        stand_in = StandIn(network, base, asked, run.network_dim, run.network_alpha, indices, frozenset(unmade))
        stand_in.check()
        made = _Made(base, stand_in, "conv_dim" in asked and "conv_dim" not in obeyed, settings, model.layout)
    except (AssertionError, ValueError, IndexError) as error:
        problems.add(f"{base} refuses its arguments: {error}")
        raise GridError(problems.found) from None
    rules = stand_in.regex_rules("network_reg_lrs", lambda text: Rate(float(text)))
    grid = bind_settings(settings, made.sites, problems, rules, weights, indices)
    grid.upstream_dims = stand_in.regex_rules("network_reg_dims", int)
    active = made.check_arguments(settings, obeyed, model.layout.family, problems) or active
    notices = idle_arguments(base, {**passed, **dict.fromkeys(settings.ranks.keys)})
    notices += about_reg_dims(passed, settings.given)
    if active and run.trains_text_encoders and base == "networks.dylora" and len(made.sites.encoder_of) > 1:
        problems.add(same_names(base))
    facts, about = made.facts(grid, base_ranks_notice(passed, settings, base), problems)
    problems.raise_if_any()
    parts = [p for p in dict.fromkeys(s.part for s in made.sites.all) if _trains(p, run)]
    after: list[str] = []
    if active:
        plan = make_plan(grid, facts, run.lrs, parts)
        # A module that does not train is not made.
        plan = replace(plan, rows=tuple(replace(row, saved=0) if row.frozen else row for row in plan.rows))
    else:
        lrs, one_lr = _lrs_of(base, run.lrs)
        plan = make_plan_without_grid(grid, facts, lrs, parts, base)
        notices, after = [GRID_OFF.format(base), *notices], one_lr
    plan = replace(plan, element_size=run.element_size)
    shapes = made.named_shapes(plan)
    groups, descriptions = build_groups(plan, shapes) if active else _groups_without_grid(plan, grid, shapes, base)
    advice = many_groups(len(groups), settings) if active else []
    plan = _with_notices(plan, [*notices, *about, *advice, *one_sided(plan, base), *after])
    return Preview(plan, base, groups, descriptions, run.network_module or grid_module(base), active)


def _network(model: Blueprint, module: str, arguments: Mapping[str, Any]) -> tuple[str, NetworkBlueprint]:
    """(the wrapped module, what it may adapt in the model). Raises: GridError where it adapts nothing of it."""
    base = wrapped_module(module, arguments)
    if module == "lr_grid.network" and not base:
        raise GridError(["lr_grid.network needs to know the module to wrap: base=networks.lora"])
    if model.trainer == "musubi-tuner" and base.startswith("networks.") and not module.endswith("_grid"):
        base = f"musubi_tuner.{base}"  # what musubi-tuner itself calls it
    network = model.network(base or model.default_module)
    if network is None:
        raise GridError([_no_network(model, module, base)])
    return base or model.default_module, network


def _check_module(
    module: str, base: str, arguments: Mapping[str, Any], known: frozenset[str], problems: Problems
) -> None:
    """Notes settings of a grid on a module that would ignore them, and ranks where there is no network module."""
    keys = [key for key in arguments if is_grid_key(key) and key not in known]
    if module and base != LOOP_MODULE and not module.endswith("_grid") and module != "lr_grid.network":
        for key in keys:
            problems.add(f"{key}: {module} ignores it: it needs --network_module {grid_module(base)}")


class _Made:
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


def _with_convs(passed: Mapping[str, Any], settings: GridSettings, known: frozenset[str], run: Run) -> dict[str, Any]:
    """The arguments, with a conv_dim where conv_block_dims alone speaks of convolutions (network.py does the same)."""
    asked = settings.ranks.conv_block_dims is not None and "conv_dim" in known and "conv_dim" not in passed
    return {**passed, **({"conv_dim": str(run.network_dim or DEFAULT_DIM)} if asked else {})}


def _lrs_of(base: str, lrs: TrainerLrs) -> tuple[TrainerLrs, list[str]]:
    """(the LRs as a network module takes them without a grid, a line where it takes the first for all encoders)"""
    if base not in _ONE_ENCODER_LR or not lrs.text_encoders:
        return lrs, []
    differ = len(set(lrs.text_encoders)) > 1
    return replace(lrs, text_encoders=lrs.text_encoders[:1]), [one_te_lr(base, lrs.text_encoders[0])] if differ else []


def _groups_without_grid(
    plan: Plan, grid: BoundGrid, shapes: Mapping[str, Sequence[tuple[str, Any]]], base: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """As the network modules make them: equal LRs in one group only within a text encoder or the model, an entry of
    network_reg_lrs, a block with a weight of its own, and a side with LoRA+."""
    together: dict[tuple[Any, ...], dict[str, list[tuple[str, Any]]]] = {}
    for row in plan.rows:
        site, rule = row.site, grid.upstream_rule(row.site)
        part = "te" if base in _ONE_ENCODER_LR and site.part != MAIN_PART else site.part
        block = site.block if part == MAIN_PART and grid.main.block_weight else None
        for name, shape in shapes.get(site.name, ()):
            key = (part, block, rule and id(rule), grid.loraplus(site) is not None and side_of(name) == "up")
            together.setdefault(key, {}).setdefault(site.name, []).append((name, shape))
    groups: list[dict[str, Any]] = []
    descriptions: list[str] = []
    places = list(dict.fromkeys(key[:2] for key in together))
    first = [*map(id, grid.upstream_rules), None]  # what a rule decides comes before the rest
    for key in sorted(together, key=lambda key: (places.index(key[:2]), first.index(key[2]), key[3])):
        named = together[key]
        made, words = build_groups(plan, named)
        groups, descriptions = [*groups, *made], [*descriptions, *words]
    return groups, descriptions


def _trains(part: str, run: Run) -> bool:
    return run.trains_unet if part == MAIN_PART else run.trains_text_encoders


def _with_notices(plan: Plan, notices: Sequence[str]) -> Plan:
    return replace(plan, notices=(*plan.notices, *notices))


def _no_network(model: Blueprint, module: str, base: str) -> str:
    there = [grid_module(module) for network in model.networks for module in network.modules]
    if base.startswith("lycoris"):
        return (
            f"--network_module: LyCORIS chooses modules by presets of its own; of {model.title} only a run can tell its"
            f" grid. Without the trainer there are {', '.join(there)}"
        )
    of_musubi = f"lr_grid.musubi.{module.removeprefix('networks.')}"
    hint = f" In musubi-tuner it is {of_musubi}" if of_musubi in there else did_you_mean(module, there)
    return f"--network_module: {module} is no module that adapts {model.title}; there are {', '.join(there)}.{hint}"
