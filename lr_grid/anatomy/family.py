"""What a family's table holds: how to know the model, where its lists of blocks are, which path is which component.

Paths are dotted; a rule is a regular expression searched in the path, first match wins. Modulation comes before
attention and feed-forward, because its names often contain theirs.

In double-stream models the text stream counts as cross_attn (attention and feed-forward alike), the image stream as
self_attn and ffn; a Linear that holds attention and feed-forward at once is fused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from lr_grid.anatomy.layout import Rule
from lr_grid.blocks import Block

Numbering = Callable[[nn.Module], tuple[dict[str, int], dict[str, Block]]]


class Family(NamedTuple):
    """One row: how to know the model, where its blocks are, what its modules are."""

    name: str
    classes: tuple[str, ...]
    """Names of the model classes of this family."""
    has: tuple[str, ...]
    """Dotted attributes the model must have (tells families apart that share a class name)."""
    rules: tuple[Rule, ...]
    """For modules inside a stack."""
    outside_rules: tuple[Rule, ...]
    """For modules outside every stack."""
    stacks: dict[str, str] | None = None
    """Dotted path of a list of blocks -> stack name; one that a model does not have is passed over. None:
    ``numbering`` tells."""
    numbering: Numbering | None = None
