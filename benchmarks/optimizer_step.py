"""What an optimizer's step costs by the number of groups: torch's own and lr_grid.optim's, on the tensors of a LoRA.

All variants run in one process, in turn. Told are medians in ms, and the medians of the ratios round by round: to the
stock optimizer (torch's in foreach, lion-pytorch's) with one group, and with as many groups as a full grid has cells.
Twice: on tensors so small that overhead is all there is, and as they are at rank 16 in a transformer of width 3072.
lion-pytorch and bitsandbytes: where present.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.optim import Optimizer

from benchmarks.measuring import Options, Table
from lr_grid import optim
from lr_grid.scales import SCALES

FULL_GRID = 456
"""57 blocks x 4 components x 2 sides."""
GROUPS = (1, 57, 228, FULL_GRID, 912)
TENSORS, SMALL = 1216, 48
"""Of a LoRA on all of FLUX.1; what their widths are divided by."""
REAL_TENSORS = 760
"""At their own width: 0.9 GB a variant."""
REAL = ("AdamW for-loop", "AdamW fused", "lr_grid.optim.AdamW")
"""What of the variants is measured at real width."""
RANK = 16
LAYERS = ((3072, 3072), (3072, 9216), (3072, 12288), (12288, 3072))
"""(in, out) of a block's layers."""
LR = 1e-4
STOCK = {"AdamW": "AdamW foreach", "SGD": "SGD foreach", "Lion": "Lion (lion-pytorch)"}
"""Optimizer -> the variant that it is compared to."""

Shape = tuple[int, int]
Make = Callable[[list[dict[str, Any]]], Optimizer]


def shapes(tensors: int, shrink: int) -> list[Shape]:
    """Of down and up sides in turn, widths divided by ``shrink``."""
    pairs = itertools.chain.from_iterable(
        ((RANK, max(1, wide // shrink)), (max(1, out // shrink), RANK)) for wide, out in itertools.cycle(LAYERS)
    )
    return list(itertools.islice(pairs, tensors))


def grouped(sizes: Sequence[Shape], gradients: Sequence[torch.Tensor], groups: int, scaled: bool) -> list[dict]:
    """Parameters in groups of distinct LRs, or in one group with as many distinct factors on its LR."""
    params = [torch.nn.Parameter(torch.randn(size)) for size in sizes]
    for param, gradient in zip(params, gradients, strict=True):
        param.grad = gradient
    places = [i * groups // len(params) for i in range(len(params))]
    if scaled:
        return [{"params": params, "lr": LR, SCALES: [1 + place / groups for place in places]}]
    made: dict[int, dict[str, Any]] = {}
    for param, place in zip(params, places, strict=True):
        made.setdefault(place, {"params": [], "lr": LR * (1 + place / groups)})["params"].append(param)
    return list(made.values())


def variants(tensors: int) -> Iterator[tuple[str, Make, int, bool]]:
    """(label, what makes it of groups, how many LRs, whether they are factors in one group)"""
    counts = [count for count in GROUPS if count <= tensors]
    torchs: list[tuple[str, Callable[..., Optimizer], dict[str, Any]]] = [
        ("AdamW foreach", torch.optim.AdamW, {"foreach": True}),
        ("AdamW for-loop", torch.optim.AdamW, {"foreach": False}),
        ("AdamW fused", torch.optim.AdamW, {"fused": True}),
        ("SGD foreach", torch.optim.SGD, {"foreach": True, "momentum": 0.9}),
    ]
    for name, module, options in (("Lion (lion-pytorch)", "lion_pytorch", {}), ("AdamW8bit", "bitsandbytes.optim", {})):
        try:
            found = __import__(module, fromlist=["*"])
        except ImportError:
            continue
        torchs.append((name, getattr(found, name.partition(" ")[0]), options))
    for name, cls, options in torchs:
        for count in counts if name == "AdamW foreach" else (1, FULL_GRID):
            yield (
                f"{name}, {count}",
                lambda groups, cls=cls, options=options: cls(groups, lr=LR, **options),
                count,
                False,
            )
    for name, options in (("AdamW", {}), ("SGD", {"momentum": 0.9}), ("Lion", {})):
        cls, count = getattr(optim, name), FULL_GRID
        for scaled in (True, False):
            where = f"1 with {count} LRs" if scaled else str(count)
            make = lambda groups, cls=cls, options=options: cls(groups, lr=LR, **options)  # noqa: E731
            yield f"lr_grid.optim.{name}, {where}", make, count, scaled


def step_seconds(tensors: int, shrink: int, rounds: int, only: Sequence[str]) -> dict[str, list[float]]:
    """Seconds of each variant's steps, round by round.

    Args:
        only: words, one of which is in a variant's label; what these are compared to is always there.
    """
    torch.manual_seed(0)
    sizes = shapes(tensors, shrink)
    gradients = [torch.randn(size) for size in sizes]
    optimizers = {
        label: make(grouped(sizes, gradients, count, scaled))
        for label, make, count, scaled in variants(tensors)
        if label in compared_to("AdamW") or any(word in label for word in only)
    }
    seconds: dict[str, list[float]] = {label: [] for label in optimizers}
    for optimizer in optimizers.values():  # makes its state
        optimizer.step()
    for _ in range(rounds):
        for label, optimizer in optimizers.items():
            began = time.perf_counter()
            optimizer.step()
            seconds[label].append(time.perf_counter() - began)
    return seconds


def compared_to(label: str) -> tuple[str, str]:
    """The stock optimizer with one group and with a full grid's."""
    name = label.removeprefix("lr_grid.optim.").partition(",")[0].partition(" ")[0].removesuffix("8bit")
    return f"{STOCK[name]}, 1", f"{STOCK[name]}, {FULL_GRID}"


def rows_of(seconds: dict[str, list[float]]) -> tuple[tuple[str, ...], ...]:
    """A row a variant."""
    rows = []
    for label, own in seconds.items():
        ratios = []
        for other in compared_to(label):
            rounds = zip(own, seconds.get(other, ()), strict=False)
            ratios.append(f"{statistics.median(a / b for a, b in rounds):.2f}" if other in seconds else "")
        rows.append((label, f"{1e3 * statistics.median(own):.1f}", *ratios))
    return tuple(rows)


def measure(options: Options) -> list[Table]:
    """Small tensors and real ones."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [
            _table("small tensors", TENSORS, SMALL, 3 * options.rounds, ("",)),
            _table("real tensors", REAL_TENSORS, 1, options.rounds, REAL),
        ]
    finally:
        torch.set_num_threads(threads)


def _table(what: str, tensors: int, shrink: int, rounds: int, only: Sequence[str]) -> Table:
    seconds = step_seconds(tensors, shrink, rounds, only)
    numbers = sum(a * b for a, b in shapes(tensors, shrink))
    about = f"{tensors} tensors, {numbers:,} numbers, one thread of {os.cpu_count()}, {rounds} rounds."
    columns = ("optimizer, groups", "ms", "ratio to stock with 1", f"to stock with {FULL_GRID}")
    return Table(f"A step of the optimizer, {what}", columns, rows_of(seconds), about)
