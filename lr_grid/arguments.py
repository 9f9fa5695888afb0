"""--network_args told apart: what the grid takes itself, and what is handed on to the wrapped module, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lr_grid.anatomy import Layout
from lr_grid.errors import Problems
from lr_grid.grid_settings import GridSettings
from lr_grid.keys import HINTS, RANK_PARSERS, is_grid_key
from lr_grid.passed_on import check_arguments, check_block_curves, check_patterns, check_regex_pairs
from lr_grid.quirks import check_flags
from lr_grid.rank_arguments import check_lengths, hand_over

GRID_OFF = "no argument of the grid's own was given: these are {}'s groups, untouched"
"""A line for runs without a grid, with the wrapped module's name."""


def settings_among(base: str, known: frozenset[str] | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that the grid's settings are read from: all but a ``preset`` that is the wrapped module's own (the
    grid's is grid_preset there).

    Args:
        base: the wrapped module.
        known: the keys it takes; None where that is not known (LyCORIS has a preset).
    """
    theirs = base.startswith("lycoris") if known is None else "preset" in known
    return {key: value for key, value in arguments.items() if not (theirs and key == "preset")}


def split_off(
    base: str,
    known: frozenset[str] | None,
    arguments: Mapping[str, Any],
    settings: GridSettings,
    layout: Layout,
    problems: Problems,
) -> dict[str, Any]:
    """The arguments that are handed on to the wrapped module; rank keys among them leave ``settings``.

    Notes what the module would drop or misread.

    Args:
        base: the wrapped module.
        known: the keys it takes; None where that is not known.
        arguments: all of --network_args.
    """
    own_ranks = hand_over(settings, arguments, known or frozenset(), base, layout)
    check_lengths(own_ranks, settings, layout, problems)
    passed = {
        key: value
        for key, value in arguments.items()
        if not is_grid_key(key) or (key in (known or ()) and (key not in RANK_PARSERS or key in own_ranks))
    }
    settings.ranks = settings.ranks.without(own_ranks)
    check_arguments(base, known, passed, HINTS, problems)
    check_regex_pairs(passed, problems)
    check_patterns(base, passed, problems)
    check_block_curves(passed, problems)
    check_flags(base, passed, problems)
    return passed
