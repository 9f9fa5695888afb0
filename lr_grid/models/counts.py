"""Whose blocks somebody speaks of who speaks of blocks that the model does not have: settings of another model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from lr_grid.errors import listed
from lr_grid.models.blueprint import stacks_of
from lr_grid.models.catalogue import model_names

_MOST = 3


@cache
def _trainers_models() -> dict[str, Mapping[str, int]]:
    """Title -> its stacks, of the models that kohya's trainers train."""
    return dict(stacks_of(name) for name in model_names() if "/" not in name)


def whose_blocks(here: Mapping[str, int] | None) -> Callable[[str | None, int], str]:
    """What to say of blocks that a model with the stacks ``here`` does not have: a function of (the stack, or None for
    a list over all stacks; how many blocks it would have to have) that gives the end of a sentence, or nothing.

    Args:
        here: stack -> number of blocks; None for a text encoder, of whose layers nothing is said.
    """

    def hint(stack: str | None, blocks: int) -> str:
        if here is None:
            return ""
        if stack is None:
            models = [title for title, stacks in _trainers_models().items() if sum(stacks.values()) == blocks]
            models = models if blocks != sum(here.values()) else []
            return f": {blocks} is the number of blocks of {listed(models, _MOST)}" if models else ""
        sizes = {title: stacks[stack] for title, stacks in _trainers_models().items() if stacks.get(stack, 0) >= blocks}
        if not sizes:
            return ""
        least = min(sizes.values())
        models = [title for title, size in sizes.items() if size == least]
        return f": {stack} 0-{least - 1} is {listed(models, _MOST)}"

    return hint
