"""The grid for training loops of one's own (diffusers, accelerate, PEFT): optimizer groups from a live model."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from lr_grid.anatomy.detect import known_inside, read_layout
from lr_grid.binding import bind_settings
from lr_grid.errors import GridError, Problems, did_you_mean
from lr_grid.facts import facts_from
from lr_grid.grid_settings import GridSettings
from lr_grid.gridfile import ONETRAINER_BLOCK, PUBLISHED_BLOCK, read_table
from lr_grid.groups import build_groups
from lr_grid.keys import HINTS, is_grid_key
from lr_grid.norms.start import norms_file, start_norms
from lr_grid.placing import site_in, unknown_notice
from lr_grid.plan import Plan, TrainerLrs
from lr_grid.planner import make_plan
from lr_grid.report.announce import announce
from lr_grid.settings import read_settings
from lr_grid.sites import Sites
from lr_grid.steps import StepWatch
from lr_grid.trained import (
    TrainedModule,
    freeze,
    is_distributed,
    trained_modules,
    trained_modules_of_adapter,
    unwrap,
)
from lr_grid.values import number
from lr_grid.words import MAIN_PART


def param_groups(
    model: nn.Module,
    grid: Mapping[str, Any] | str | Path | None = None,
    *,
    lr: float,
    adapter: nn.Module | None = None,
    plan_file: str | Path | None = None,
    quiet: bool = False,
    folded: bool = False,
) -> list[dict[str, Any]]:
    """Optimizer groups for everything that trains in a model, under a grid.

    What trains is what has ``requires_grad``: the adapters inside the model (PEFT's and others' that stand in the
    model's modules), or, without any, the model's own weights (full fine-tuning). An LR of 0 freezes: such parameters
    get ``requires_grad=False`` and are in no group; a later call leaves them so, until ``requires_grad_(True)``.

    Call it once the adapter is there, and before DistributedDataParallel (``accelerator.prepare``) takes the model.

    Args:
        model: the model; one wrapped by PEFT or torch.compile does as well.
        grid: settings (``{"self_attn_lr": "1.5x", "depth_strategy": "linear"}``), or a grid file (.toml, .json).
        lr: the base LR (absolute): what relative LRs multiply, and what no rule names.
        adapter: an adapter that lives outside the model (kohya's networks, LyCORIS), already applied; then its
            parameters train, and the model only tells where they belong.
        plan_file: where to write the whole plan as JSON (and, with matplotlib, its picture beside it).
        quiet: do not print the grid.
        folded: one group with ``lr_scales``, a factor on its LR for each parameter; for the optimizers of
            lr_grid.optim alone, whose step it keeps as fast as without a grid.

    Returns: groups with ``params``, ``lr`` (absolute) and ``param_names`` (as ``named_parameters()`` has them), for
    any torch optimizer. Schedulers that scale each group's own LR keep the grid's ratios.

    Raises: GridError with every problem of the settings.
    """
    problems = Problems()
    base_lr = _check(model, lr, plan_file, problems)
    settings = _settings(grid, problems)
    if settings.encoders:
        problems.add(
            "te_ keys: a text encoder is a model of its own here: give it to param_groups, with keys without te_"
        )
    if settings.ranks.keys:
        asked = [key + settings.origin(key) for key in sorted(settings.ranks.keys)]
        problems.add(
            f"{', '.join(asked)}: ranks are the adapter's own here, and it is already made"
            " (PEFT: LoraConfig's rank_pattern and alpha_pattern)"
        )
    if settings.log_grad_norms and plan_file is None:
        problems.add("log_grad_norms: give plan_file: the norms go to a file of its name beside it")
    problems.raise_if_any()
    trained = _trained(model, adapter)
    bare = unwrap(model)
    bound = bind_settings(settings, _sites(trained, bare), problems)
    facts = {m.path: facts_from(m.rank, m.alpha, m.parameters, _numbers(m)) for m in trained}
    if settings.loraplus and not any(fact.has_up for fact in facts.values()):
        problems.add("loraplus: nothing that trains here has an up side (lora_B), so LoRA+ sets nothing")
    problems.raise_if_any()

    plan = make_plan(bound, facts, TrainerLrs(base_lr, words="the base LR"), [MAIN_PART])
    plan = _keep_frozen(plan, trained)
    groups, descriptions = build_groups(plan, {module.path: module.parameters for module in trained}, folded=folded)
    held = {id(parameter) for group in groups for parameter in group["params"]}
    left = [parameter for module in trained for _, parameter in module.parameters if id(parameter) not in held]
    if left and is_distributed(model if adapter is None else adapter):
        raise GridError(
            [
                f"an LR of 0 would freeze {len(left)} parameters that DistributedDataParallel already waits for:"
                " call param_groups before accelerator.prepare or DistributedDataParallel"
            ]
        )
    freeze(left)
    if folded:
        _watch_for_scales(model if adapter is None else adapter, groups)
    path = None if plan_file is None else Path(plan_file).expanduser()
    announce(plan, "lr_grid.param_groups", groups, descriptions, path, quiet=quiet)
    if settings.log_grad_norms and path is not None:
        named = {module.path: module.parameters for module in trained}
        recorder = start_norms(plan, named, norms_file(path), quiet)
        if recorder is not None:
            weakref.finalize(model if adapter is None else adapter, recorder.close)
    return groups


def _watch_for_scales(owner: nn.Module, groups: list[dict[str, Any]]) -> None:
    """Stops the first step of an optimizer that would ignore ``lr_scales``."""

    def check(optimizer: Optimizer) -> None:
        if not getattr(optimizer, "takes_lr_scales", False):
            raise GridError(
                [
                    f"folded=True: {type(optimizer).__name__} does not know lr_scales and would train everything at one"
                    " LR: take an optimizer of lr_grid.optim, or leave folded out"
                ]
            )
        watch.close()

    watch = StepWatch((parameter for group in groups for parameter in group["params"]), check)
    weakref.finalize(owner, watch.close)  # which holds it for as long


def _check(model: object, lr: object, plan_file: str | Path | None, problems: Problems) -> float:
    """Notes arguments of the wrong kind; returns the LR."""
    if not isinstance(model, nn.Module):
        cure = "give the model, e.g. pipeline.transformer or pipeline.unet"
        raise GridError([f"model: {type(model).__name__} is no torch module: {cure}"])
    if plan_file is not None and Path(plan_file).suffix != ".json":
        problems.add(f"plan_file: {plan_file} is no .json file (the picture lands beside it)")
    try:
        return number(None if isinstance(lr, str) else lr)
    except ValueError:
        problems.add(f"lr: {lr!r} is not a number: give the base LR, e.g. 1e-4")
        return 0.0


def _trained(model: nn.Module, adapter: nn.Module | None) -> list[TrainedModule]:
    try:
        trained = trained_modules(model) if adapter is None else trained_modules_of_adapter(adapter, model)
    except ValueError as error:
        raise GridError([f"adapter: {error}"]) from None
    if any(module.parameters for module in trained):
        return trained
    cure = "" if adapter is None else "; was adapter.apply_to() called?"
    raise GridError(
        [f"nothing trains in this {'model' if adapter is None else 'adapter'}: no parameter has requires_grad{cure}"]
    )


def _numbers(module: TrainedModule) -> int:
    return sum(parameter.numel() for _, parameter in module.parameters)


def _keep_frozen(plan: Plan, trained: list[TrainedModule]) -> Plan:
    """The plan with what an earlier call froze: it stays so."""
    gone = {module.path for module in trained if module.frozen_before and not module.parameters}
    if not gone:
        return plan
    why = "frozen by an earlier call"
    rows = [
        row._replace(lr_down=0.0, lr_up=0.0, frozen=True, why=why) if row.site.path in gone else row
        for row in plan.rows
    ]
    if all(row.frozen for row in rows):
        cure = "requires_grad_(True) makes it train again"
        raise GridError([f"all that this grid would train was frozen by an earlier call: {cure}"])
    thawed = sum(not row.frozen for row in plan.rows if row.site.path in gone)
    notices = plan.notices
    if thawed:
        cure = "requires_grad_(True) makes them train again"
        notices = (*notices, f"{thawed} modules stay frozen, as an earlier call left them: {cure}")
    return replace(plan, rows=tuple(rows), notices=notices)


def _settings(grid: Mapping[str, Any] | str | Path | None, problems: Problems) -> GridSettings:
    arguments = {str(key): value for key, value in grid.items()} if isinstance(grid, Mapping) else {}
    if any(isinstance(arguments.get(block), Mapping) for block in (PUBLISHED_BLOCK, ONETRAINER_BLOCK)):
        try:
            return read_settings({}, problems, read_table("grid", arguments), words="grid")
        except ValueError as error:
            raise GridError([str(error)]) from None
    if isinstance(grid, (str, Path)):
        arguments = {"grid": str(grid)}
    elif grid is not None and not isinstance(grid, Mapping):
        raise GridError([f"grid: {type(grid).__name__} is neither a table of settings nor the name of a grid file"])
    for key in arguments:
        if not is_grid_key(key):
            problems.add(f"{key}: is no setting of a grid.{did_you_mean(key, HINTS)}")
    return read_settings(arguments, problems, words="grid")


def _sites(trained: list[TrainedModule], model: nn.Module) -> Sites:
    layout = read_layout(model)
    sites, unknown = [], []
    for module in trained:
        site, is_known = site_in(layout, module.path, module.path, MAIN_PART, module.module)
        sites.append(site)
        if not is_known:
            unknown.append(module.path)
    known = known_inside(model) if layout.family == type(model).__name__ else ""
    hint = (f"{known}: give that, if it is all that trains",) if known else ()
    return Sites(tuple(sites), layout, {}, (*unknown_notice(unknown), *hint))


__all__ = ["GridError", "param_groups"]
