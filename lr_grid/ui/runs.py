"""Values of blocks as the shortest text of the block grammar that is still easy to read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from lr_grid.convert.texts import number_text

Run = tuple[int, int, Any]
"""(first block, last block, value)"""


def runs_of(values: Sequence[Any]) -> list[Run]:
    """Stretches of equal values."""
    found: list[Run] = []
    for block, value in enumerate(values):
        if found and found[-1][2] == value:
            found[-1] = (found[-1][0], block, value)
        else:
            found.append((block, block, value))
    return found


def entry(stack: str, size: int, run: Run, text: Callable[[Any], str] = str) -> str:
    """``double_0-6:0.3``, ``double_3:0.3``, or ``double:0.3`` of a whole stack."""
    first, last, value = run
    if (first, last) == (0, size - 1):
        return f"{stack}:{text(value)}"
    return f"{stack}_{first}:{text(value)}" if first == last else f"{stack}_{first}-{last}:{text(value)}"


def filled(values: Sequence[float], live: Collection[int]) -> list[float] | None:
    """The values with those of blocks that nothing reaches taken from the block before (or the first that is reached);
    None where nothing is reached."""
    if not live:
        return None
    result, last = [], values[min(live)]
    for block, value in enumerate(values):
        last = value if block in live else last
        result.append(last)
    return result


def weight_entries(stack: str, values: Sequence[float], live: Collection[int]) -> list[str]:
    """The entries of one stack: stretches that are not 1, or one value for all and the stretches that differ."""
    full = filled(values, live)
    if full is None:
        return []
    size, runs = len(full), runs_of(full)
    plain = [entry(stack, size, run, number_text) for run in runs if run[2] != 1]
    counts: dict[float, int] = {}
    for block in sorted(live):
        counts[full[block]] = counts.get(full[block], 0) + 1
    base = max(counts, key=lambda value: counts[value])  # of several, the first that comes
    if base == 1:
        return plain
    based = [entry(stack, size, run, number_text) for run in runs if run[2] != base]
    based = [f"{stack}:{number_text(base)}", *based]
    return based if len(based) < len(plain) else plain


def weights_text(stacks: Mapping[str, Sequence[float]], live: Callable[[str], Collection[int]]) -> str:
    """block_lr_weight of all stacks; empty where every multiplier is 1.

    Args:
        live: stack -> the blocks that a multiplier reaches.
    """
    reached = {stack: live(stack) for stack in stacks}
    entries = [one for stack, values in stacks.items() for one in weight_entries(stack, values, reached[stack])]
    if not entries:
        return ""
    listed = [
        number_text(value)
        for stack, values in stacks.items()
        for value in (filled(values, reached[stack]) or [1.0] * len(values))
    ]
    return min(",".join(entries), ",".join(listed), key=len)  # the entries, where both are as long


def sparse_text(
    by_block: Mapping[str, Mapping[int, Any]], stacks: Mapping[str, int], is_dead: Callable[[str, int], bool]
) -> str:
    """Values of some blocks, stretch by stretch; blocks that nothing reaches interrupt no stretch."""
    entries = []
    for stack, size in stacks.items():
        runs: list[Run] = []
        for block, value in sorted(by_block.get(stack, {}).items()):
            if runs and runs[-1][2] == value and all(is_dead(stack, b) for b in range(runs[-1][1] + 1, block)):
                runs[-1] = (runs[-1][0], block, value)
            else:
                runs.append((block, block, value))
        entries += [entry(stack, size, run) for run in runs]
    return ",".join(entries)
