"""Settings of one source that exclude each other. (--network_args may overrule a file: that is no contradiction.)"""

from __future__ import annotations

from collections.abc import Iterator

from lr_grid.grid_settings import GridSettings


def contradictions(settings: GridSettings) -> dict[str, str]:
    """By the key that is in the way: what is wrong, as text that begins with the key."""
    found: dict[str, str] = {}
    for clashes in (_of_curve, _of_levels, _of_rank_curve, _of_left_out):
        for key, text in clashes(settings):
            found.setdefault(key, text)
    return found


def _clash(settings: GridSettings, name: str, other: str) -> bool:
    """Whether ``name`` was given, and no other source than its own decides about ``other``."""
    source, key, other = settings.source, settings.key(name), settings.key(other)
    return key in source and (other not in source or source[key] == source[other])


def _deciding(settings: GridSettings, name: str, strategy: str) -> str:
    """How the user would spell the strategy that decides about a key."""
    given = settings.key(strategy)
    return given if given in settings.source else f"{settings.key(name).removesuffix(name)}{strategy}"


def _of_curve(settings: GridSettings) -> Iterator[tuple[str, str]]:
    """What shapes a depth curve that is not there."""
    ranks = settings.ranks
    for name in ("min_depth_factor", "peak_position", "depth_scope", "depth_levels", "max_groups"):
        if name == "depth_scope" and ranks.rank_strategy != "flat":  # one word for both curves
            continue
        yield from _without_curve(settings, name, "depth_strategy", settings.depth_strategy, "peak_position")
    yield from _zero_geometric(
        settings, "min_depth_factor", settings.min_depth_factor, "depth_strategy", settings.depth_strategy
    )


def _of_levels(settings: GridSettings) -> Iterator[tuple[str, str]]:
    """Two settings that both say how many depth levels there are. (Of two sources the later one wins.)"""
    if settings.max_groups and settings.depth_levels:
        levels = settings.key("depth_levels")
        yield "max_groups", f"max_groups picks the depth levels, and {levels} gives them: keep one of the two"


def _of_rank_curve(settings: GridSettings) -> Iterator[tuple[str, str]]:
    """The same of the curve of ranks; and what rounds ranks where nothing is rounded."""
    ranks = settings.ranks
    for name in ("min_rank_factor", "rank_peak_position"):
        yield from _without_curve(settings, name, "rank_strategy", ranks.rank_strategy, "rank_peak_position")
    yield from _zero_geometric(settings, "min_rank_factor", ranks.min_rank_factor, "rank_strategy", ranks.rank_strategy)
    for name in ("rank_multiple", "min_rank"):
        if name in ranks.keys and ranks.rank_strategy == "flat" and ranks.rank_budget is None:
            key = settings.key(name)
            yield key, f"{key} has no effect without rank_strategy or rank_budget: given ranks are taken as they are"
    if ranks.lowest_rank % ranks.rank_multiple:
        key = settings.key("min_rank")
        yield key, f"{key}: {ranks.lowest_rank} is no multiple of rank_multiple ({ranks.rank_multiple})"


def _without_curve(
    settings: GridSettings, name: str, strategy: str, curve: str, peak: str
) -> Iterator[tuple[str, str]]:
    key, deciding = settings.key(name), _deciding(settings, name, strategy)
    if curve == "flat" and _clash(settings, name, strategy):
        yield key, f"{key} has no effect with {deciding}=flat: set {deciding}, or leave {key} out"
    elif name == peak and curve not in ("flat", "inverted_u") and _clash(settings, name, strategy):
        yield key, f"{key} belongs to {deciding}=inverted_u, not to {curve}"


def _zero_geometric(
    settings: GridSettings, name: str, lowest: float, strategy: str, curve: str
) -> Iterator[tuple[str, str]]:
    if curve.endswith("geometric") and lowest == 0:
        key, deciding = settings.key(name), settings.key(strategy)
        yield key, f"{key}: 0 makes {deciding}={curve} zero everywhere but at one end: give more than 0"


def _of_left_out(settings: GridSettings) -> Iterator[tuple[str, str]]:
    """LRs of components that do not train. (Their ranks may matter: trained weights of theirs are kept.)"""
    for component, rate in settings.component_lr.items():
        by, name = settings.left_out_by(component), f"{component}_lr"
        if by and rate.value and _clash(settings, name, by):
            key, chosen = settings.key(name), settings.key(by)
            yield key, f"{key} is set, but {chosen} leaves {component} out: keep one of the two"
    trained = settings.train_components
    if trained is not None and settings.exclude_components - trained:
        key, other = settings.key("exclude_components"), settings.key("train_components")
        idle = ", ".join(sorted(settings.exclude_components - trained))
        yield key, f"{key}: {idle}: {other} leaves that out already"
