"""The layout of one live model: its stacks, and the place and component of any module in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from lr_grid.blocks import Block

if TYPE_CHECKING:
    from torch import nn

Rule = tuple[str, str]
"""(regular expression, searched in a module's dotted path; the component)"""


_Inside = tuple[str, type]
"""(path inside a block, a module's class)"""


class _InBlock(NamedTuple):
    """The block that a module lies in; None and 0 outside every stack."""

    block: Block | None
    length: int
    """Of the block's dotted path."""
    known: dict[_Inside, str | None] | None
    """Components found in the list it stands in, where what is true of one block is true of the next; else None."""


@dataclass(frozen=True)
class Layout:
    """Stacks and component rules of one live model."""

    family: str
    stacks: dict[str, int]
    """Stack name -> number of blocks, in the model's order."""
    blocks: dict[str, Block]
    """Dotted path of a block (or of a part of one, in a U-Net) -> (stack, position)."""
    rules: Sequence[Rule]
    """Component rules for modules inside a stack; first match wins."""
    outside_rules: Sequence[Rule]
    """Component rules for modules outside every stack; first match wins."""

    @cached_property
    def _inside(self) -> list[tuple[re.Pattern[str], str]]:
        return [(re.compile(pattern), component) for pattern, component in self.rules]

    @cached_property
    def _outside(self) -> list[tuple[re.Pattern[str], str]]:
        return [(re.compile(pattern), component) for pattern, component in self.outside_rules]

    @cached_property
    def _lies_in(self) -> dict[str, _InBlock]:
        """By the dotted path of a block or of what holds a module: the block, if it is or lies in one."""
        return {}

    @cached_property
    def _known(self) -> dict[str, dict[_Inside, str | None]]:
        """By the dotted path of a list of blocks: components found in it."""
        return {}

    def block_of(self, path: str) -> Block | None:
        """The (stack, position) a dotted path lies in, None outside every stack."""
        return self._block(path).block

    def component_of(self, path: str, module: nn.Module | None = None) -> str | None:
        """The component of a module, None when no rule knows it. True norms are known by class, not by name."""
        return self.place_of(path, module)[1]

    def place_of(self, path: str, module: nn.Module | None = None) -> tuple[Block | None, str | None]:
        """Both, at half the price: (``block_of``, ``component_of``)."""
        block, length, known = self._block(path)
        if known is None:
            return block, self._find_component(path, module)
        inside = (path[length:], type(module))
        try:
            return block, known[inside]
        except KeyError:
            component = known[inside] = self._find_component(path, module)
            return block, component

    def _block(self, path: str) -> _InBlock:
        """The block that a path is or lies in."""
        holder = path if path in self.blocks else path[: max(path.rfind("."), 0)]
        return self._lies_in.get(holder) or self._read_block(holder)

    def _read_block(self, path: str) -> _InBlock:
        if path and path not in self.blocks:
            lies_in = self._block(path)
        else:
            siblings, _, index = path.rpartition(".")
            # The first block of a list stands for itself: it may be a stem.
            alike = siblings and index != "0" and index.isdecimal()
            known = self._known.setdefault(siblings, {}) if alike else None
            lies_in = _InBlock(self.blocks.get(path), len(path), known)
        self._lies_in[path] = lies_in
        return lies_in

    def _find_component(self, path: str, module: nn.Module | None) -> str | None:
        if module is not None and "Norm" in type(module).__name__ and not _is_matrix(module):
            return "norm"
        for pattern, component in self._inside if self.block_of(path) else self._outside:
            if pattern.search(path):
                return component
        is_embedding = any(cls.__name__ == "Embedding" for cls in type(module).__mro__)
        return "embed" if is_embedding else None


def _is_matrix(module: nn.Module) -> bool:
    """Whether a module is a Linear or a convolution: a NormalizedLinear is no norm."""
    from torch import nn  # here, because plans of models that are not there need no torch

    return isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d))
