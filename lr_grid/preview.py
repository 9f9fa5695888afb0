"""The plan of a model by name, without trainer, weights or torch: what a run under these arguments would train.

The way is the run's own (network.py, grid_network.py): the same settings, checks and planner. Only what the wrapped
module would make comes from the shipped models in place of a live network; a test holds both against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lr_grid.advice import many_groups, one_sided, one_te_lr, same_names
from lr_grid.arguments import GRID_OFF, split_off
from lr_grid.binding import BoundGrid, bind_settings
from lr_grid.block_curves import weights_of
from lr_grid.errors import GridError, Problems, did_you_mean
from lr_grid.grid_settings import GridSettings
from lr_grid.groups import build_groups
from lr_grid.keys import OF_THE_RUN, is_grid_key, is_indices, split_section
from lr_grid.models.blueprint import Blueprint, NetworkBlueprint, known_arguments
from lr_grid.models.made import Made
from lr_grid.models.stand_in import StandIn
from lr_grid.module_names import LOOP_MODULE, grid_module, wrapped_module
from lr_grid.passed_on import about_reg_dims
from lr_grid.plan import Plan, TrainerLrs
from lr_grid.planner import make_plan, make_plan_without_grid
from lr_grid.quirks import idle_arguments
from lr_grid.rank_arguments import DEFAULT_DIM, base_ranks_notice
from lr_grid.settings import read_settings
from lr_grid.sides import side_of
from lr_grid.values import Rate
from lr_grid.words import MAIN_PART

_ONE_ENCODER_LR = ("networks.lora", "networks.lora_fa", "networks.dylora", "networks.oft", "networks.oft_flux")
"""Network modules without a way to take a list of text encoder LRs."""

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
    folded: bool = False
    """Whether the optimizer takes factors on a group's LR, so that a part is one group."""


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
    active = bool(settings.preset or settings.given - passed.keys() - OF_THE_RUN)
    obeyed = {key: value for key, value in passed.items() if not problems.about(key)}
    asked = _with_convs(obeyed, settings, known, run) if active else obeyed
    split = asked.get("split_qkv") == "True"
    indices = tuple(filter(is_indices, asked)) if split or not active else ()
    try:
        weights = weights_of(base, obeyed, model.layout.family == "sdxl")
        unmade = () if active or weights is None else [block for block, weight in enumerate(weights) if weight == 0]
        stand_in = StandIn(network, base, asked, run.network_dim, run.network_alpha, indices, frozenset(unmade))
        stand_in.check()
        made = Made(base, stand_in, "conv_dim" in asked and "conv_dim" not in obeyed, settings, model.layout)
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
    lrs, after = (run.lrs, []) if active else _lrs_of(base, run.lrs)
    if active:
        plan = make_plan(grid, facts, lrs, parts)
        # A module that does not train is not made.
        plan = replace(plan, rows=tuple(row._replace(saved=0) if row.frozen else row for row in plan.rows))
    else:
        plan = make_plan_without_grid(grid, facts, lrs, parts, base)
        notices = [GRID_OFF.format(base), *notices]
    plan = replace(plan, element_size=run.element_size)
    shapes = made.named_shapes(plan)
    groups, descriptions = (
        build_groups(plan, shapes, folded=run.folded) if active else _groups_without_grid(plan, grid, shapes, base)
    )
    advice = many_groups(len(groups), settings, run.folded) if active else []
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


def _with_convs(passed: Mapping[str, Any], settings: GridSettings, known: frozenset[str], run: Run) -> dict[str, Any]:
    """The arguments, with a conv_dim where conv_block_dims alone speaks of convolutions (network.py does the same)."""
    asked = settings.ranks.conv_block_dims is not None and "conv_dim" in known and "conv_dim" not in passed
    return {**passed, **({"conv_dim": str(run.network_dim or DEFAULT_DIM)} if asked else {})}


def _lrs_of(base: str, lrs: TrainerLrs) -> tuple[TrainerLrs, list[str]]:
    """(the LRs as a network module takes them without a grid, a line where it takes the first for all encoders)"""
    if base not in _ONE_ENCODER_LR or not lrs.text_encoders:
        return lrs, []
    differ = len(set(lrs.text_encoders)) > 1
    return lrs._replace(text_encoders=lrs.text_encoders[:1]), [one_te_lr(base, lrs.text_encoders[0])] if differ else []


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
