"""Arguments that speak of ranks: which of them the wrapped module obeys itself, and what is said of the others.

Nothing here knows a live network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lr_grid.anatomy import Layout
from lr_grid.binding import BoundGrid
from lr_grid.errors import Problems
from lr_grid.grid_settings import GridSettings
from lr_grid.models.counts import whose_blocks
from lr_grid.passed_on import BLOCK_WEIGHTS
from lr_grid.rank_settings import BLOCK_KEYS
from lr_grid.ranks import Choice, MadeModule

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
        resolved = settings.ranks.get(key).resolve(layout.stacks, layout.family, whose_blocks(layout.stacks))
        problems.add_all(f"{key}: {problem}" for problem in resolved.problems)


def idle_ranks(grid: BoundGrid, frozen: set[str]) -> list[str]:
    """Lines about ranks of components of which nothing trains: no mistake, trained weights of theirs may be kept."""
    lines = []
    for part in grid.parts.values():
        training = {site.component for site in grid.sites.all if site.part == part.part and site.name not in frozen}
        ranks = part.settings.ranks
        given = [(f"{c}_dim", c) for c, rank in ranks.component_dim.items() if rank]
        given += [(f"{c}_alpha", c) for c in ranks.component_alpha]
        given = [(name, component) for name, component in given if name not in part.settings.preset_keys]
        keys = [part.settings.key(name) for name, component in given if component not in training]
        lines += [f"{key}: nothing of it trains in this run" for key in keys]
    return list(dict.fromkeys(lines))


def about_alphas(
    chosen: Mapping[str, Choice], made: Mapping[str, MadeModule], trained: Mapping[str, tuple[int | None, float | None]]
) -> list[str]:
    """What should be known of alphas: those that stay while ranks change, and those that a module refuses.

    Args:
        trained: (rank, alpha) of the modules that train, as they are now; None where they have none.
    """
    lines, ratios, stays, own = [], set(), False, []
    for name, (rank, alpha) in trained.items():
        if not rank or alpha is None:
            continue
        ratios.add(round(alpha / rank, 6))
        choice = chosen[name]
        stays = stays or (choice.rank != made[name].rank and choice.asked_alpha is None)
        if choice.asked_alpha is not None and not math.isclose(alpha, choice.alpha, rel_tol=1e-5):
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
