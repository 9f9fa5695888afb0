"""The layout of one live model: its stacks, and the place and component of any module in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lr_grid.blocks import Block

if TYPE_CHECKING:
    from torch import nn

Rule = tuple[str, str]
"""(regular expression, searched in a module's dotted path; the component)"""


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
    def _known(self) -> dict[tuple[str, str, type], str | None]:
        """What ``component_of`` found, by the list that a block stands in, the path inside it, and the class: what is
        true of one block is true of the next. (The first block of a list stands for itself: it may be a stem.)"""
        return {}

    def block_of(self, path: str) -> Block | None:
        """The (stack, position) a dotted path lies in, None outside every stack."""
        block = self._path_of_block(path)
        return self.blocks[block] if block else None

    def _path_of_block(self, path: str) -> str:
        """The dotted path of the block that a path lies in; empty outside every stack."""
        while path and path not in self.blocks:
            path = path.rpartition(".")[0]
        return path

    def component_of(self, path: str, module: nn.Module | None = None) -> str | None:
        """The component of a module, None when no rule knows it. True norms are known by class, not by name."""
        block = self._path_of_block(path)
        siblings, _, index = block.rpartition(".")
        if not siblings or index == "0" or not index.isdecimal():
            return self._find_component(path, module)
        key = (siblings, path[len(block) :], type(module))
        if key not in self._known:
            self._known[key] = self._find_component(path, module)
        return self._known[key]

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
