"""``rank_budget`` held against the chosen ranks of a network: the ranks scaled so that the parameters come to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from lr_grid.binding import BoundGrid, PartGrid
from lr_grid.budget import CellShare, Member, spend
from lr_grid.errors import Problems
from lr_grid.ranks import Choice, MadeModule
from lr_grid.sites import Site
from lr_grid.words import MAIN_PART

_MOST = 4
"""A budget of more times what the layers themselves have is taken for a slip (20G for 20M)."""

Count = Callable[[str, int], int]
"""(module name, rank) -> parameters it would train. Raises AssertionError or ValueError for a rank it cannot have."""


def spend_budgets(
    grid: BoundGrid,
    chosen: Mapping[str, Choice],
    made: Mapping[str, MadeModule],
    frozen: Collection[str],
    others: Mapping[str, int],
    count: Count,
    problems: Problems,
) -> tuple[dict[str, Choice], list[str]]:
    """(the choices with every ``rank_budget`` spent, lines that tell what became of it).

    Args:
        frozen: names of modules that do not train: nothing is spent on them.
        others: parameters of the modules without a rank (norms, whole matrices), by name: they count, too.
    """
    result: dict[str, Choice] = dict(chosen)
    notices: list[str] = []
    for part in grid.parts.values():
        budget = part.settings.ranks.rank_budget
        if budget is None:
            continue
        here = [site for site in grid.sites.all if site.part == part.part and site.name not in frozen]
        sites = [site for site in here if site.name in chosen]
        unranked = sum(others[site.name] for site in here if site.name in others)
        try:
            result |= _spend(part, sites, chosen, made, unranked, count, notices)
        except AssertionError as error:  # a rank that the class cannot have, e.g. DyLoRA beside its unit
            cure = part.settings.key("rank_multiple")
            problems.add(f"{part.settings.key('rank_budget')}: {error} ({cure} keeps ranks to multiples)")
        except ValueError as error:
            problems.add(f"{part.settings.key('rank_budget')}: {error}")
    return result, notices


def _spend(
    part: PartGrid,
    sites: list[Site],
    chosen: Mapping[str, Choice],
    made: Mapping[str, MadeModule],
    unranked: int,
    count: Count,
    notices: list[str],
) -> dict[str, Choice]:
    """The choices of one part under its budget. Raises ValueError where it cannot be spent."""
    ranks, budget = part.settings.ranks, part.settings.ranks.rank_budget
    assert budget is not None
    if not sites:
        raise ValueError(f"no module of {part.part} that trains has a rank")
    limit = budget.params
    if limit is None:
        limit = unranked + sum(count(site.name, budget.flat_rank or made[site.name].rank) for site in sites)
    whole = sum(made[site.name].weights for site in sites)
    if whole and limit > _MOST * whole:
        raise ValueError(
            f"{budget.text} is more than {_MOST} times what the layers themselves have ({whole:,} numbers)"
        )
    final = {site.name: chosen[site.name].rank for site in sites if chosen[site.name].is_final}
    spent = unranked + sum(count(name, rank) for name, rank in final.items() if rank)
    cells: dict[tuple[object, ...], CellShare] = {}
    step = ranks.rank_multiple
    for site in sites:
        choice = chosen[site.name]
        if choice.is_final or not choice.rank:
            continue
        one, two = count(site.name, step), count(site.name, 2 * step)
        member = Member(site.name, 2 * one - two, (two - one) // step)
        key = (site.stack, site.block, site.component, choice.share)
        cells.setdefault(key, CellShare(choice.share, [])).members.append(member)
    if not cells:
        raise ValueError(
            "regexes (module_dims, network_reg_dims) or ranks of 0 decide about every module: none is left"
        )
    result = spend(list(cells.values()), limit - spent, step, ranks.lowest_rank)
    if result is None:
        lowest = spent + sum(cell.cost(ranks.lowest_rank) for cell in cells.values())
        raise ValueError(
            f"{budget.text} ({limit:,} parameters) is not enough:"
            f" {sum(len(cell.members) for cell in cells.values())} modules at rank {ranks.lowest_rank} take"
            f" {lowest - spent:,}" + (f", and what has its rank by a regex, or none, {spent:,}" if spent else "") + "."
            " Leave some out (train_components, a _dim of 0), or give more"
        )
    total = spent + sum(count(name, rank) for name, rank in result.items())
    predicted = spent + sum(m.fixed + m.per_rank * result[m.name] for c in cells.values() for m in c.members)
    if total != predicted:
        raise ValueError(
            "the parameters of these modules do not grow in proportion to their rank (LoKr beyond half its width, OFT,"
            " Tucker convolutions): give ranks instead"
        )
    of_part = "" if part.part == MAIN_PART else f" ({part.part})"
    low, high = min(result.values()), max(result.values())
    notices.append(
        f"{part.settings.key('rank_budget')} {budget.text}{of_part}: {total:,} of {limit:,} parameters"
        f" ({total / limit:.1%}) in {len(result) + sum(map(bool, final.values()))} modules; ranks {low} to {high}"
        + (f", {len(final)} by regex as they are" if final else "")
    )
    words = f", scaled by {part.settings.key('rank_budget')}"
    return {name: replace(chosen[name], rank=rank, why=chosen[name].why + words) for name, rank in result.items()}
