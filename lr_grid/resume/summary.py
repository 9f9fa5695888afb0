"""What --resume under another grid did, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from lr_grid.resume.change import Change
from lr_grid.sites import Site


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
    """``ffn 1e-04 -> 2e-04 (96), self_attn ...``, with the range where there are several."""
    pairs: dict[str, list[tuple[float | None, float]]] = {}
    for name, pair in change.lrs.items():
        pairs.setdefault(_component(name, sites), []).append(pair)
    told = [
        f"{component} {_range(old for old, _ in lrs)} -> {_range(new for _, new in lrs)} ({len(lrs)})"
        for component, lrs in pairs.items()
    ]
    return ", ".join(told)


def _range(lrs: Iterable[float | None]) -> str:
    known = sorted({f"{lr:.4g}": lr for lr in lrs if lr is not None}.items(), key=lambda item: item[1])
    if not known:
        return "none"
    return known[0][0] if len(known) == 1 else f"{known[0][0]}..{known[-1][0]}"


def _cells(names: Iterable[str], sites: Mapping[str, Site]) -> str:
    counts = Counter(_component(name, sites) for name in names)
    return ", ".join(f"{component} ({number})" for component, number in counts.items())


def _component(name: str, sites: Mapping[str, Site]) -> str:
    site = sites.get(name.partition(".")[0])
    if site is None:
        return name.partition(".")[0]
    return site.component if site.part == "unet" else f"{site.part} {site.component}"
