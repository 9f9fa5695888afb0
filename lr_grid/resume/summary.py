"""What --resume under another grid did, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from lr_grid.resume.change import Change
from lr_grid.sites import Site

_MOST = 3


def summary(change: Change, sites: Mapping[str, Site], where: str, kept_lrs: bool, inferred: str) -> list[str]:
    """Lines about a state that was carried over.

    Args:
        sites: place of each module, by its name.
        where: the state's folder.
        kept_lrs: whether the saved LRs were restored (resume_grid=keep).
        inferred: the wrapped module whose layout gave the state its names; empty where they were saved.
    """
    lines = [f"--resume {where}: carried over by name: {len(change.kept)} parameters go on with their own moments"]
    if inferred:
        lines.append(
            f"  the state holds no names; its groups and shapes are those that {inferred} makes of this network"
        )
    if kept_lrs:
        lines.append("  at the LRs of the state (resume_grid=keep)")
    elif change.lrs:
        lines.append(f"  {len(change.lrs)} of them at new LRs: {_lrs(change, sites)}")
    if change.frozen:
        lines.append(
            f"  {len(change.frozen)} are frozen now; their trained weights stay: {_cells(change.frozen, sites)}"
        )
    if change.fresh:
        lines.append(
            f"  {len(change.fresh)} did not train before and start with fresh moments: {_cells(change.fresh, sites)}"
        )
    return lines


def _lrs(change: Change, sites: Mapping[str, Site]) -> str:
    """``ffn 1e-04 -> 2e-04 (96), self_attn ...``, the most frequent first."""
    counts = Counter((_component(name, sites), *pair) for name, pair in change.lrs.items())
    told = [
        f"{component} {'none' if old is None else format(old, '.4g')} -> {new:.4g} ({number})"
        for (component, old, new), number in counts.most_common(_MOST)
    ]
    return _shortened(told, len(counts))


def _cells(names: Iterable[str], sites: Mapping[str, Site]) -> str:
    counts = Counter(_component(name, sites) for name in names)
    return _shortened([f"{component} ({number})" for component, number in counts.most_common(_MOST)], len(counts))


def _component(name: str, sites: Mapping[str, Site]) -> str:
    site = sites.get(name.partition(".")[0])
    if site is None:
        return name.partition(".")[0]
    return site.component if site.part == "unet" else f"{site.part} {site.component}"


def _shortened(told: Sequence[str], number: int) -> str:
    return ", ".join(told) + (f" and {number - len(told)} more" if number > len(told) else "")
