"""The grid for training loops of one's own (diffusers, accelerate, PEFT): optimizer groups from a live model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from lr_grid.anatomy import read_layout
from lr_grid.binding import bind_settings
from lr_grid.errors import GridError, Problems, did_you_mean
from lr_grid.groups import build_groups
from lr_grid.keys import HINTS, is_grid_key
from lr_grid.plan import ModuleFacts, TrainerLrs
from lr_grid.planner import make_plan
from lr_grid.report.announce import announce
from lr_grid.settings import GridSettings, read_settings
from lr_grid.sides import side_of
from lr_grid.sites import Site, Sites, unknown_notice
from lr_grid.trained import TrainedModule, trained_modules, trained_modules_of_adapter, unwrap
from lr_grid.words import MAIN_PART


def param_groups(
    model: nn.Module,
    grid: Mapping[str, Any] | str | Path | None = None,
    *,
    lr: float,
    adapter: nn.Module | None = None,
    plan_file: str | Path | None = None,
    quiet: bool = False,
) -> list[dict[str, Any]]:
    """Optimizer groups for everything that trains in a model, under a grid.

    What trains is what has ``requires_grad``: the adapters inside the model (PEFT's and others' that stand in the
    model's modules), or, without any, the model's own weights (full fine-tuning). An LR of 0 freezes: such parameters
    get ``requires_grad=False`` and are in no group.

    Args:
        model: the model; one wrapped by PEFT, DistributedDataParallel or torch.compile does as well.
        grid: settings (``{"self_attn_lr": "1.5x", "depth_strategy": "linear"}``), or a grid file (.toml, .json).
        lr: the base LR (absolute): what relative LRs multiply, and what no rule names.
        adapter: an adapter that lives outside the model (kohya's networks, LyCORIS), already applied; then its
            parameters train, and the model only tells where they belong.
        plan_file: where to write the whole plan as JSON (and, with matplotlib, its picture beside it).
        quiet: do not print the grid.

    Returns: groups with ``params``, ``lr`` (absolute) and ``param_names`` (as ``named_parameters()`` has them), for
    any torch optimizer. Schedulers that scale each group's own LR keep the grid's ratios.

    Raises: GridError with every problem of the settings.
    """
    trained = trained_modules(model) if adapter is None else trained_modules_of_adapter(adapter, model)
    problems = Problems()
    settings = _settings(grid, problems)
    if not trained:
        problems.add("nothing trains in this model: no parameter has requires_grad")
    problems.raise_if_any()
    bound = bind_settings(settings, _sites(trained, unwrap(model)), problems)
    facts = {module.path: _facts(module) for module in trained}
    if (settings.loraplus) and not any(fact.has_up for fact in facts.values()):
        problems.add("loraplus: nothing that trains here has an up side (lora_B), so LoRA+ sets nothing")
    problems.raise_if_any()

    plan = make_plan(bound, facts, TrainerLrs(float(lr)), [MAIN_PART])
    groups, descriptions = build_groups(plan, {module.path: module.parameters for module in trained})
    held = {id(parameter) for group in groups for parameter in group["params"]}
    for module in trained:
        for _, parameter in module.parameters:
            if id(parameter) not in held:
                parameter.requires_grad_(False)
                parameter.grad = None
    path = None if plan_file is None else Path(plan_file)
    announce(plan, "lr_grid.param_groups", groups, descriptions, path, quiet=quiet)
    return groups


def _settings(grid: Mapping[str, Any] | str | Path | None, problems: Problems) -> GridSettings:
    arguments = dict(grid) if isinstance(grid, Mapping) else {} if grid is None else {"grid": str(grid)}
    for key in arguments:
        if not is_grid_key(key):
            problems.add(f"{key}: is no setting of a grid.{did_you_mean(key, HINTS)}")
    return read_settings(arguments, problems)


def _sites(trained: list[TrainedModule], model: nn.Module) -> Sites:
    layout = read_layout(model)
    sites, unknown = [], []
    for module in trained:
        stack, block = layout.block_of(module.path) or (None, None)
        component = layout.component_of(module.path, module.module)
        if component is None:
            unknown.append(module.path)
        sites.append(Site(module.path, module.path, MAIN_PART, stack, block, component or "other"))
    return Sites(tuple(sites), layout, {}, unknown_notice(unknown))


def _facts(module: TrainedModule) -> ModuleFacts:
    sides = {side_of(name) for name, _ in module.parameters}
    return ModuleFacts(module.rank, module.alpha, "up" in sides, "down" in sides)


__all__ = ["GridError", "param_groups"]
