"""Ranks in a network that the wrapped module has just made: what it obeys itself, and what is made again."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from lr_grid.binding import BoundGrid
from lr_grid.convolutions import is_large_conv
from lr_grid.errors import Problems
from lr_grid.facts import rank_and_alpha
from lr_grid.planner import frozen_names
from lr_grid.rank_arguments import about_alphas, idle_ranks
from lr_grid.rank_budgets import spend_budgets
from lr_grid.ranks import Choice, MadeModule, choose_ranks
from lr_grid.remake import ParameterCounts, call_of, forget_calls, remade
from lr_grid.upstream import module_name, own_parameters, replace_modules


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
    trained = {name: _known_alpha(new.get(name, by_name[name])) for name in chosen.keys() - frozen}
    return [*notices, *idle_ranks(grid, frozen), *about_alphas(chosen, made, trained)]


def _known_alpha(module: nn.Module | None) -> tuple[int | None, float | None]:
    """(rank, alpha); no alpha where a module keeps another number in its place (rs_lora: alpha times the square root of
    its rank)."""
    rank, alpha = rank_and_alpha(module)
    return rank, None if getattr(module, "rs_lora", False) else alpha


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


def _check_blocks(module: nn.Module, blocks: int) -> None:
    """OFT's rank is its number of blocks. networks.oft does not check that it divides the layer, and stops at the first
    step. Raises ValueError."""
    if not hasattr(module, "oft_blocks"):
        return
    for width in getattr(module, "split_dims", None) or [module.out_dim]:
        if int(width) % blocks:
            raise ValueError(f"{blocks} blocks do not divide its {width} outputs")
