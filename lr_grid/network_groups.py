"""A network's optimizer groups, planned, shown and watched: its own under a grid, the wrapped module's without."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import nn

from lr_grid.advice import many_groups, one_sided, one_te_lr
from lr_grid.arguments import GRID_OFF
from lr_grid.errors import GridError
from lr_grid.facts import facts_and_parameters, trainer_lrs
from lr_grid.grid_state import GridState
from lr_grid.group_keys import NAMES, RECORD
from lr_grid.groups import build_groups
from lr_grid.guards import check_groups, check_negative, optimizer_name
from lr_grid.log_names import about_folding, log_names
from lr_grid.own_optimizers import takes_scales
from lr_grid.plan import lrs_of_rows
from lr_grid.planner import NOTHING_TRAINS, make_plan
from lr_grid.proof import Proof
from lr_grid.report.announce import announce, say
from lr_grid.report.jsonfile import run_record
from lr_grid.upstream import module_name, network_modules
from lr_grid.watched import plan_of_groups

if TYPE_CHECKING:
    from lr_grid.resume import Resumed

MULTIPLE_TE_LRS = "prepare_optimizer_params_with_multiple_te_lrs"
"""The method that the trainer looks for to hand over a list of text encoder LRs; networks.lora does not have it."""
Lrs = tuple[Any, Any, Any]
"""text_encoder_lr, unet_lr, default_lr as the trainer hands them over (absolute)."""
Prepare = Callable[..., Any]
"""The wrapped module's own way to its groups."""


def own_groups(
    network: nn.Module, state: GridState, lrs: Lrs, prepare: Prepare
) -> tuple[list[dict[str, Any]], list[str]]:
    """The grid's groups, and what the trainer's log calls them."""
    network.requires_grad_(True)
    modules = {module_name(module): module for module in network_modules(network, state.base)}
    parts = {site.part for site in state.grid.sites.all if site.name in modules or site.name in state.dropped}
    facts, named = facts_and_parameters(modules.values())
    plan = make_plan(state.grid, {**state.dropped, **facts}, trainer_lrs(*lrs), sorted(parts))
    plan = replace(plan, element_size=state.element_size)
    kinds: Mapping[str, Hashable] = {}
    state.resumed = _resumed(network, state, lrs, prepare)
    if state.resumed is not None:
        plan = state.resumed.with_saved_lrs(plan, named)
        kinds = state.resumed.kinds(name for parameters in named.values() for name, _ in parameters)
    state.plan = plan
    folded = takes_scales(getattr(state.args, "optimizer_type", None))
    groups, descriptions = build_groups(plan, named, kinds, folded)
    advice = many_groups(len(groups), state.grid.settings, folded)
    state.tell([*state.notices, *advice, *one_sided(plan, state.base)])
    state.trainable = [parameter for group in groups for parameter in group["params"]]
    held = {id(parameter) for parameter in state.trainable}
    state.frozen = [parameter for parameter in network.parameters() if id(parameter) not in held]
    for parameter in state.frozen:
        parameter.requires_grad_(False)
    state.frozen_modules = [modules[row.site.name] for row in plan.rows if row.frozen and row.site.name in modules]
    if state.args is not None:
        check_groups(state.args, [group["lr"] for group in groups])
    logged = log_names(plan, groups, descriptions)
    if getattr(state.args, "logging_dir", None) or getattr(state.args, "log_with", None):
        state.tell(about_folding(logged))
    _announce(state, groups, groups, descriptions, logged)
    return groups, logged


def watch_groups(network: nn.Module, state: GridState, result: Any, lrs: Lrs, prepare: Prepare) -> None:
    """Without a grid argument: the wrapped module's groups, untouched, shown as they are.

    Args:
        result: what the wrapped module answered: groups, or groups and descriptions.
    """
    groups, descriptions = result if isinstance(result, tuple) else (result, None)
    # A group's params may be a view that can be read once: it is handed on as a list of the same order.
    for group in groups:
        group["params"] = list(group["params"])
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    for group in groups:
        group[NAMES] = [names[id(parameter)] for parameter in group["params"]]
    state.resumed = _resumed(network, state, lrs, prepare)
    if state.resumed is not None:
        state.resumed.keep_lrs_in(groups)
    trainers = trainer_lrs(*lrs)
    plan = plan_of_groups(network_modules(network, state.base), state.base, state.grid, groups, trainers)
    state.plan = replace(plan, element_size=state.element_size)
    state.notices += one_sided(state.plan, state.base)
    if not any(group["params"] for group in groups):
        raise GridError([NOTHING_TRAINS])
    if state.args is not None:
        check_negative(state.args, lrs_of_rows(state.plan.rows))
        given = getattr(state.args, "text_encoder_lr", None)
        takes_a_list = hasattr(network, MULTIPLE_TE_LRS)
        if not takes_a_list and isinstance(given, (list, tuple)) and len(set(given)) > 1:
            state.notices.append(one_te_lr(state.base, given[0]))
    state.tell([GRID_OFF.format(state.base), *state.notices])
    planned = [{**group, "lr": float(group.get("lr", trainers.default))} for group in groups]
    _announce(state, groups, planned, descriptions)


def _resumed(network: nn.Module, state: GridState, lrs: Lrs, prepare: Prepare) -> Resumed | None:
    """The state that the trainer will resume, with names, checked against this network."""
    policy = state.grid.settings.resume_grid
    if not getattr(state.args, "resume", None):
        return None
    from lr_grid.resume import layouts_of, resumed_state  # here: the trainer's start need not wait for it

    saved = resumed_state(state.args, policy)
    if saved is None or not (state.active or policy):
        return saved
    if state.args is not None:
        saved.check_optimizer(optimizer_name(state.args))
    saved.check_shapes({name: tuple(tensor.shape) for name, tensor in network.state_dict().items()})
    saved.identify(lambda: layouts_of(network, state.base, prepare, lrs), state.base)
    return saved


def _announce(
    state: GridState,
    groups: Sequence[dict[str, Any]],
    planned: Sequence[dict[str, Any]],
    descriptions: Sequence[str] | None,
    logged: Sequence[str] | None = None,
) -> None:
    """Prints the grid and what becomes of a resumed state; has the first step proven.

    Args:
        groups: as handed to the trainer.
        planned: the same, each with its ``lr`` and ``param_names``.
        logged: what the trainer's log calls the groups, where that is not ``descriptions``.
    """
    sites = {site.name: site for site in state.grid.sites.all}
    resumed, args = state.resumed, state.args
    upstreams_lrs = False
    if resumed is not None and (state.active or resumed.policy):
        resumed.compare(planned)
        state.tell(resumed.lines(sites, state.base))
    elif resumed is not None:
        from lr_grid.resume import check_without_grid

        state.tell(check_without_grid(resumed, planned))
        upstreams_lrs = True
    assert state.plan is not None
    announce(state.plan, state.base, groups, descriptions, state.plan_file, logged=logged)
    record = run_record(state.plan, state.base, state.active, optimizer_name(args) if args else None)
    for group, plain in zip(groups, planned, strict=True):
        group[RECORD] = {"lr": plain["lr"], "run": record, "grid": state.active}
    state.proof = Proof(
        planned,
        sites,
        say,
        resumed=bool(getattr(args, "resume", None)),
        at_first_step=None if resumed is None or args is None else lambda: resumed.done(args),
        own_lrs=not upstreams_lrs,
    )
