"""Ranks in a network that the wrapped module has just made: what it obeys itself, and what is made again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from lr_grid.anatomy import Layout
from lr_grid.binding import BoundGrid
from lr_grid.errors import Problems
from lr_grid.facts import rank_and_alpha
from lr_grid.grid_settings import GridSettings
from lr_grid.passed_on import BLOCK_WEIGHTS
from lr_grid.placing import original_of
from lr_grid.planner import frozen_names
from lr_grid.rank_budgets import spend_budgets
from lr_grid.rank_settings import BLOCK_KEYS
from lr_grid.ranks import Choice, MadeModule, choose_ranks
from lr_grid.remake import ParameterCounts, call_of, forget_calls, remade
from lr_grid.sites import Sites
from lr_grid.upstream import module_name, own_parameters, replace_modules

DEFAULT_DIM = 4
"""The rank that kohya's modules take without --network_dim."""


def hand_over(
    settings: GridSettings, arguments: Mapping[str, Any], known: frozenset[str], base: str, layout: Layout
) -> set[str]:
    """The keys of ranks that the wrapped module itself takes and obeys as they stand.

    ``block_dims`` and its like are, as positional lists, networks.lora's own: left to it alone, the network is the one
    it would make without lr-grid, random numbers and all. Beside other keys of ranks the grid obeys all of them.
    """
    keys = settings.ranks.keys
    own = {key for key in keys & known - set(BLOCK_KEYS) if settings.source.get(key) == "args"}
    block_keys = keys & set(BLOCK_KEYS)
    as_upstream = (
        keys <= {*BLOCK_KEYS, *own}
        and block_keys <= known
        and all(settings.source.get(key) == "args" and _is_list(key, arguments.get(key)) for key in block_keys)
        # It reads these beside block_dims or block weights only, and alphas of convolutions beside their ranks.
        and any(key in arguments for key in ("block_dims", *BLOCK_WEIGHTS))
        and ("conv_block_alphas" not in block_keys or "conv_block_dims" in block_keys)
        and not (base == "networks.lora_fa" and layout.family == "sdxl")  # there it has no block numbers for SDXL
    )
    return own | block_keys if as_upstream else own


def _is_list(key: str, value: object) -> bool:
    """Whether upstream can read it: numbers, one a block; whole ones for ranks."""
    parse = int if key.endswith("dims") else float
    try:
        return [parse(item) for item in str(value).split(",")] != []
    except ValueError:
        return False


def base_ranks_notice(arguments: Mapping[str, Any], settings: GridSettings, base: str) -> list[str]:
    """A line about the wrapped module's own keys of ranks (img_attn_dim, ...), which the grid's replace or scale."""
    theirs = [key for key in arguments if key.endswith(("_dim", "_dims"))]
    theirs = [key for key in theirs if key not in ("conv_dim", "network_reg_dims")]
    ours = sorted(key for key in settings.ranks.keys if key.endswith(("_dim", "_dims", "strategy", "budget")))
    if not (theirs and ours):
        return []
    return [f"{', '.join(theirs)} of {base} give the ranks that {', '.join(ours)} replace or scale"]


def check_lengths(keys: set[str], settings: GridSettings, layout: Layout, problems: Problems) -> None:
    """Notes positional lists of the wrong length among keys that the wrapped module is about to be handed."""
    for key in sorted(keys & set(BLOCK_KEYS)):
        resolved = settings.ranks.get(key).resolve(layout.stacks, layout.family)
        problems.add_all(f"{key}: {problem}" for problem in resolved.problems)


def is_large_conv(original: object) -> bool:
    """Whether a module of the model is a convolution larger than 1x1 (kohya's ``conv_dim`` speaks of those)."""
    kernel = getattr(original, "kernel_size", ())
    return any(size != 1 for size in (kernel if isinstance(kernel, tuple) else (kernel,)))


def check_conv_dim(
    arguments: Mapping[str, Any], modules: Iterable[nn.Module], base: str, family: str, problems: Problems
) -> None:
    """Notes ``conv_dim`` where the network has no convolution larger than 1x1: it would do nothing. (LyCORIS' is left
    alone: GUIs send it along.)"""
    given = str(arguments.get("conv_dim", "0")).strip() != "0"
    if given and not base.startswith("lycoris") and not any(is_large_conv(original_of(m)) for m in modules):
        problems.add(f"conv_dim: {base} trains no convolution larger than 1x1 in {family}: leave it out")


def unasked_convs(settings: GridSettings, sites: Sites, modules: Iterable[nn.Module]) -> set[str]:
    """Names of the modules on convolutions that conv_block_dims does not speak of."""
    values = settings.ranks.conv_block_dims
    named = values.resolve(sites.layout.stacks, sites.layout.family).values if values else {}
    place = {site.name: site.place for site in sites.all}
    convs = [module_name(module) for module in modules if is_large_conv(original_of(module))]
    return {name for name in convs if place[name] not in named}


def put_ranks(
    network: nn.Module, modules: list[nn.Module], grid: BoundGrid, base: str, keys: list[str], problems: Problems
) -> list[str]:
    """Gives every module its rank and alpha; tells ``grid`` why, and which modules were taken out.

    Args:
        modules: the network's, made under ``remake.noted`` and not yet attached.
        keys: the keys of ranks that were given.

    Returns: lines about what was decided.

    Raises: GridError with what cannot be.
    """
    by_name = {module_name(module): module for module in modules}
    made = _made_modules(by_name)
    if not made:
        problems.add(f"{', '.join(keys)}: no module of {base} has a rank")
    chosen = choose_ranks(grid, made, problems) if made else {}
    problems.raise_if_any()
    counts = ParameterCounts()
    others = {name: sum(p.numel() for _, p in own_parameters(by_name[name])) for name in by_name.keys() - made.keys()}

    def count(name: str, rank: int) -> int:
        return counts.of(by_name[name], rank)

    frozen = frozen_names(grid)
    chosen, notices = spend_budgets(grid, chosen, made, frozen, others, count, problems)
    problems.raise_if_any()
    new = _remake_all(by_name, made, chosen, base, problems)
    forget_calls(modules)
    forget_calls([module for module in new.values() if module is not None])
    replace_modules(network, new)
    grid.rank_why = {name: choice.why for name, choice in chosen.items()}
    grid.no_lora = {name for name, module in new.items() if module is None}
    trained = {name: new.get(name, by_name[name]) for name in chosen.keys() - frozen}
    return [*notices, *_idle_in_this_run(grid, frozen), *_about_alphas(chosen, made, trained)]


def _made_modules(by_name: Mapping[str, nn.Module]) -> dict[str, MadeModule]:
    """What is known of the modules that have a rank."""
    made = {}
    for name, module in by_name.items():
        call = call_of(module)
        if call is not None and rank_and_alpha(module)[0] is not None:
            weight = getattr(call.original, "weight", None)
            numbers = 0 if weight is None else weight.numel()
            made[name] = MadeModule(call.rank, call.alpha, is_large_conv(call.original), numbers)
    return made


def _remake_all(
    by_name: Mapping[str, nn.Module],
    made: Mapping[str, MadeModule],
    chosen: Mapping[str, Choice],
    base: str,
    problems: Problems,
) -> dict[str, nn.Module | None]:
    """The modules that are not as they were made, by name; None where there is no LoRA. Raises GridError."""
    new: dict[str, nn.Module | None] = {}
    refused: dict[str, list[str]] = {}
    for name, choice in chosen.items():
        if choice.rank == 0:
            new[name] = None
        elif (choice.rank, choice.alpha) != (made[name].rank, made[name].alpha.resolve(made[name].rank)):
            try:
                _check_blocks(by_name[name], choice.rank)
                new[name] = remade(by_name[name], choice.rank, choice.alpha)
            except (AssertionError, ValueError) as error:
                what = f"{choice.why}: {base} cannot make a module of rank {choice.rank}: {error}"
                refused.setdefault(what, []).append(name)
    problems.add_all(f"{what} ({len(names)} modules, e.g. {names[0]})" for what, names in refused.items())
    problems.raise_if_any()
    return new


def _idle_in_this_run(grid: BoundGrid, frozen: set[str]) -> list[str]:
    """Lines about ranks of components of which nothing trains: no mistake, trained weights of theirs may be kept."""
    lines = []
    for part in grid.parts.values():
        training = {site.component for site in grid.sites.all if site.part == part.part and site.name not in frozen}
        ranks = part.settings.ranks
        given = [(f"{c}_dim", c) for c, rank in ranks.component_dim.items() if rank]
        given += [(f"{c}_alpha", c) for c in ranks.component_alpha]
        keys = [part.settings.key(name) for name, component in given if component not in training]
        lines += [f"{key}: nothing of it trains in this run" for key in keys]
    return list(dict.fromkeys(lines))


def _check_blocks(module: nn.Module, blocks: int) -> None:
    """OFT's rank is its number of blocks. networks.oft does not check that it divides the layer, and stops at the first
    step. Raises ValueError."""
    if not hasattr(module, "oft_blocks"):
        return
    for width in getattr(module, "split_dims", None) or [module.out_dim]:
        if int(width) % blocks:
            raise ValueError(f"{blocks} blocks do not divide its {width} outputs")


def _about_alphas(
    chosen: Mapping[str, Choice], made: Mapping[str, MadeModule], trained: Mapping[str, nn.Module | None]
) -> list[str]:
    """What should be known of alphas: those that stay while ranks change, and those that a module refuses.

    Args:
        trained: the modules that train, as they are now; None where there is no LoRA.
    """
    lines, ratios, stays, own = [], set(), False, []
    for name, module in trained.items():
        rank, alpha = rank_and_alpha(module)
        if not rank or alpha is None:
            continue
        ratios.add(round(alpha / rank, 6))
        choice = chosen[name]
        stays = stays or (choice.rank != made[name].rank and choice.asked_alpha is None)
        rs_lora = getattr(module, "rs_lora", False)  # saves alpha times the square root of its rank
        if choice.asked_alpha is not None and not rs_lora and not math.isclose(alpha, choice.alpha, rel_tol=1e-5):
            own.append(name)
    if stays and len(ratios) > 1:
        lines.append(
            f"alpha stays as it was where only the rank is set, so alpha/rank goes from {min(ratios):.3g} to"
            f" {max(ratios):.3g} (an alpha of 0.5x is half of each module's rank, e.g. module_alphas=.:0.5x)"
        )
    if own:
        lines.append(
            f"{len(own)} modules keep an alpha of their own, their rank (LoKr whose matrices are whole), e.g. {own[0]}"
        )
    return lines
