"""Names for a state that was saved without: proven by the layout that the wrapped module itself would have made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lr_grid.resume.saved import SavedState
from lr_grid.words import Shape

_ASIDE = 2
"""Tensors of fewer dimensions (steps, scales of 8-bit optimizers, Adafactor's rows) say nothing of a shape."""

Named = Sequence[tuple[str, Shape]]


@dataclass(frozen=True)
class Layout:
    """Groups that the wrapped module makes under some arguments: (name, shape) of their parameters."""

    words: str
    groups: Sequence[Named]

    def within(self, names: set[str]) -> Layout:
        """Without what is not among the names, and without groups that are empty then."""
        kept = [[(name, shape) for name, shape in group if name in names] for group in self.groups]
        return Layout(self.words, [group for group in kept if group])


def name_by_layout(saved: SavedState, layouts: Sequence[Layout]) -> tuple[SavedState | None, str]:
    """The state with names, where exactly one layout has its groups: as many, as large, with the same shapes in the
    same order; else None and what is in the way.
    """
    possible = [layout.within(set(saved.weights)) for layout in layouts]
    differences = [_difference(saved, layout) for layout in possible]
    fitting = [layout for layout, difference in zip(possible, differences, strict=True) if not difference]
    if not fitting:
        return None, next((difference for difference in differences if difference), "there is no layout to compare to")
    names = [[[name for name, _ in group] for group in layout.groups] for layout in fitting]
    if any(other != names[0] for other in names[1:]):
        return None, f"several layouts fit it: {', '.join(layout.words for layout in fitting)}"
    return saved.with_names(names[0]), ""


def _difference(saved: SavedState, layout: Layout) -> str:
    """What sets a saved state apart from a layout, for people; empty where nothing does."""
    then, now = [len(group["params"]) for group in saved.groups], [len(group) for group in layout.groups]
    if then != now:
        return f"it has {_groups(then)}, {layout.words} makes {_groups(now)}"
    for group, named in zip(saved.groups, layout.groups, strict=True):
        for position, (name, shape) in zip(group["params"], named, strict=True):
            wrong = misfit(saved.state.get(position, {}), shape)
            if wrong:
                return f"where {layout.words} has {name} {shape} it holds {wrong}"
    return ""


def misfit(state: object, shape: Shape) -> Shape | None:
    """The shape of a tensor in a parameter's state that cannot belong to a parameter of this shape; None: all fit."""
    for value in state.values() if isinstance(state, dict) else ():
        other = tuple(getattr(value, "shape", ()))
        if len(other) >= _ASIDE and len(other) == len(shape) and other != shape:
            return other
    return None


def _groups(sizes: Sequence[int]) -> str:
    shown = ", ".join(map(str, sizes[:4])) + (", ..." if len(sizes) > 4 else "")
    return f"{len(sizes)} group{'s' if len(sizes) != 1 else ''} of {shown} tensors"
