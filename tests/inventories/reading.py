"""How lr_grid reads a model of the inventory: everything that holds parameters, with its place and component."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache

from inventories.diffusers_models import build
from torch import nn

from lr_grid.anatomy import Layout
from lr_grid.anatomy.detect import read_layout
from lr_grid.blocks import Block

MATRICES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Entry:
    """What holds parameters of its own: a module, or a parameter that hangs in a block or in the model itself."""

    path: str
    kind: str
    """``matrix`` (Linear, convolution), ``norm``, ``embedding`` or ``parameter``."""
    block: Block | None
    component: str | None


@dataclass(frozen=True)
class Reading:
    """How a size was read; the model itself is gone."""

    cls: str
    layout: Layout
    entries: tuple[Entry, ...]
    lists: frozenset[str]
    """Paths of lists whose items are all alike: their numbers say nothing about the component."""

    def count(self, kind: str) -> Counter[str | None]:
        """Entries of a kind by component."""
        return Counter(entry.component for entry in self.entries if entry.kind == kind)


@cache
def read(size: str) -> Reading:
    """Builds a size, reads it and lets it go."""
    model = build(size)
    layout = read_layout(model)
    entries: list[Entry] = []
    lists = set()
    for path, module in model.named_modules():
        alike = isinstance(module, nn.ModuleList) and len({type(item) for item in module}) == 1
        if alike and (len(module) > 1 or path.endswith("_blocks")):
            lists.add(path)
        own = [name for name, _ in module.named_parameters(recurse=False)]
        if not own:
            continue
        if isinstance(module, MATRICES):
            entries.append(Entry(path, "matrix", layout.block_of(path), layout.component_of(path, module)))
        elif "Norm" in type(module).__name__:
            entries.append(Entry(path, "norm", layout.block_of(path), layout.component_of(path, module)))
        elif isinstance(module, nn.Embedding):
            entries.append(Entry(path, "embedding", layout.block_of(path), layout.component_of(path, module)))
        else:
            names = [f"{path}.{name}" if path else name for name in own]
            entries += [Entry(n, "parameter", layout.block_of(n), layout.component_of(n)) for n in names]
    return Reading(type(model).__name__, layout, tuple(entries), frozenset(lists))
