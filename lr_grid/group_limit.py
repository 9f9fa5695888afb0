"""How many optimizer groups a grid makes under more or fewer depth levels, and the most levels that ``max_groups``
leaves room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from lr_grid.blocks import Block
from lr_grid.depth_levels import Merged, distinct, merge
from lr_grid.plan import Row, lr_key
from lr_grid.words import MAIN_PART

FEWEST_LEVELS = 2
"""One level would be flat."""


class CurvedLr(NamedTuple):
    """The LR of a module that follows the depth curve, taken apart."""

    base: float
    """Absolute LR of its component."""
    block: Block
    weight: float
    """The block's weight (a factor)."""


class _Cell(NamedTuple):
    lr: CurvedLr
    label: str
    has_down: bool
    ratio: float
    """LoRA+; 1 without."""


class GroupCount(NamedTuple):
    """The groups of a plan, counted without making it again."""

    fixed: dict[str, str]
    """LRs (as ``lr_key`` writes them) that do not follow the curve of the U-Net or DiT, and what they belong to."""
    cells: tuple[_Cell, ...]
    """What follows it, each only once."""
    loraplus: bool
    weighted: bool

    @classmethod
    def of(
        cls,
        rows: Sequence[Row],
        curve_of: Callable[[Row], CurvedLr | None],
        ratio_of: Callable[[Row], float | None],
    ) -> GroupCount:
        """
        Args:
            rows: the plan's; of those that differ by their module alone one will do.
            curve_of: the LR of a row that follows the curve of the U-Net or DiT, taken apart; None for others.
            ratio_of: the LoRA+ ratio of a row; None without.
        """
        fixed: dict[str, str] = {}
        cells: dict[_Cell, None] = {}
        for row in rows:
            if row.frozen:
                continue
            own = curve_of(row)
            if own is not None:
                cells[_Cell(own, row.site.component, row.lr_down != 0, ratio_of(row) or 1.0)] = None
                continue
            what = row.rule if row.rule not in ("component", "") else row.site.component
            label = what if row.site.part == MAIN_PART else row.site.part
            for lr in (row.lr_down, row.lr_up):
                if lr:
                    fixed.setdefault(lr_key(lr), label)
        loraplus = any(row.has_loraplus for row in rows)
        return cls(fixed, tuple(cells), loraplus, len({cell.lr.weight for cell in cells}) > 1)

    def under(self, factors: Mapping[Block, float]) -> dict[str, str]:
        """The distinct LRs under these depth factors, one a group, and what each belongs to."""
        label_of: dict[float, str] = {}
        for (base, block, weight), label, has_down, ratio in self.cells:
            lr = base * factors[block] * weight  # in the planner's order, so that it is the same to the last bit
            if has_down:
                label_of.setdefault(lr, label)
            label_of.setdefault(lr * ratio, label)
        found = dict(self.fixed)
        for lr, label in label_of.items():
            found.setdefault(lr_key(lr), label)
        return found


def most_levels(count: GroupCount, exact: Mapping[Block, float], limit: int) -> tuple[Merged | None, str]:
    """(depth factors on as many levels as keep the groups within ``limit``, "" or why there are none)

    A limit that the exact curve keeps merges nothing.
    """
    if len(count.under(exact)) <= limit:
        return Merged(dict(exact), 0), ""
    fewest: dict[str, str] = {}
    # Levels that happen to meet other LRs can make more levels fewer groups: the first that fits, from above, is taken.
    for levels in range(min(distinct(exact) - 1, limit), FEWEST_LEVELS - 1, -1):
        merged = merge(exact, levels)
        groups = count.under(merged.factors)
        if len(groups) <= limit:
            return merged, ""
        if not fewest or len(groups) < len(fewest):
            fewest = groups
    fewest = fewest or count.under(merge(exact, FEWEST_LEVELS).factors)
    makers = Counter(fewest.values())
    parts = ", ".join(f"{what} {number}" for what, number in makers.items())
    also = [what for what, is_so in (("LoRA+", count.loraplus), ("block weights", count.weighted)) if is_so]
    times = f"; {' and '.join(also)} {'multiplies' if also == ['LoRA+'] else 'multiply'} them" if also else ""
    return None, (
        f"max_groups: {limit} groups cannot be: with the fewest depth levels there are {len(fewest)} ({parts}{times})."
        f" Give max_groups={len(fewest)} or more, or leave out what tells them apart"
    )
