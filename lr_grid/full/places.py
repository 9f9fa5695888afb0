"""The places of all tensors that a full fine-tuning trains: row by row, as the plan has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from lr_grid.anatomy import Layout
from lr_grid.anatomy.detect import read_layout
from lr_grid.anatomy.paths import plain
from lr_grid.full.naming import Root
from lr_grid.placing import site_in, unknown_notice
from lr_grid.plan import ModuleFacts
from lr_grid.sites import Site, Sites
from lr_grid.words import MAIN_PART

Named = list[tuple[str, nn.Parameter]]
"""(name, parameter)"""


@dataclass(frozen=True, slots=True)
class Places:
    """What the plan needs to know of the models."""

    sites: Sites
    modules: dict[str, Named]
    """Name of a row -> its tensors."""
    facts: dict[str, ModuleFacts]
    """By the same names."""


def read_places(roots: Sequence[Root], wanted: set[int]) -> Places:
    """Finds the place of every module that holds wanted tensors, model by model.

    Args:
        wanted: ids of the tensors that train.
    """
    sites: list[Site] = []
    modules: dict[str, Named] = {}
    facts: dict[str, ModuleFacts] = {}
    unknown: list[str] = []
    layout = Layout("no U-Net", {}, {}, (), ())
    layouts: dict[str, Layout] = {}
    seen: set[int] = set()
    for root in roots:
        own = read_layout(root.model)
        if root.part == MAIN_PART:
            layout = own
        else:
            layouts[root.part] = own
        prefix = "" if root.part == MAIN_PART else f"{root.part}."
        for path, module, named in _holders(root.model):
            # A tensor of two modules, or of two models, counts in the first.
            here = [(f"{prefix}{n}", p) for n, p in named if id(p) in wanted and id(p) not in seen]
            if not here:
                continue
            seen |= {id(parameter) for _, parameter in here}
            name = f"{prefix}{path}"
            site, known = site_in(own, name, path, root.part, module)
            if not known and root.part == MAIN_PART:
                unknown.append(path)
            sites.append(site)
            modules[name] = here
            facts[name] = _facts(here)
    encoder_of = {part: index for index, part in enumerate(layouts)}
    return Places(Sites(tuple(sites), layout, encoder_of, unknown_notice(unknown), layouts), modules, facts)


def _holders(model: nn.Module) -> Iterator[tuple[str, nn.Module | None, Named]]:
    """(path, module, its own tensors) of every module that has tensors itself; a tensor that hangs in a module of
    modules (a modulation table, a token) stands by itself, as in ``trained.trained_modules``."""
    for full_path, module in model.named_modules():
        named = [
            (f"{full_path}.{leaf}" if full_path else leaf, p) for leaf, p in module._parameters.items() if p is not None
        ]
        if not named:
            continue
        if not module._modules:
            yield plain(full_path), module, named
        else:
            for name, parameter in named:
                yield plain(name), None, [(name, parameter)]


def _facts(parameters: Iterable[tuple[str, Tensor]]) -> ModuleFacts:
    tensors = [tensor for _, tensor in parameters]
    shapes = tuple(tuple(tensor.shape) for tensor in tensors)
    return ModuleFacts(None, None, has_up=False, shapes=shapes, saved=sum(tensor.numel() for tensor in tensors))
