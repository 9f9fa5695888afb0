"""Finds the place of every network module through the live models."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from lr_grid.anatomy import Layout
from lr_grid.anatomy.detect import read_layout
from lr_grid.anatomy.paths import any_wrapped, plain
from lr_grid.errors import listed
from lr_grid.sites import Site, Sites, part_of
from lr_grid.torch_walk import ORIGINAL, held, paths_of
from lr_grid.upstream import module_name
from lr_grid.words import MAIN_PART


class _Root:
    """A model that modules of the network are for."""

    def __init__(self, encoder: int | None, model: nn.Module, layout: Layout, wanted: set[int]):
        """
        Args:
            encoder: index of a text encoder in the trainer's list; None for the U-Net or DiT.
            wanted: ids of the modules that a network module is for.
        """
        self.encoder, self.layout = encoder, layout
        places = paths_of(wanted, model)
        if any_wrapped(path for path, _ in places.values()):
            places = {key: (plain(path), module) for key, (path, module) in places.items()}
        self.places = places
        """By id: dotted path, module."""


def read_sites(modules: Sequence[nn.Module], unet: nn.Module | None, text_encoders: object) -> Sites:
    """Finds the place of every network module through the live models.

    Must run before ``apply_to``, while a network module still knows the module it is for. Places come from
    ``id(original module)`` -> dotted path, not from taking names apart.

    Args:
        modules: the network's modules.
        unet: the U-Net or DiT.
        text_encoders: None, one encoder, or the trainer's list of them (entries may be None).
    """
    encoders = text_encoders if isinstance(text_encoders, (list, tuple)) else [text_encoders]
    layout = read_layout(unet) if unet is not None else Layout("no U-Net", {}, {}, (), ())
    originals = [id(original_of(module)) for module in modules]
    wanted = set(originals)
    roots = [_Root(None, unet, layout, wanted)] if unet is not None else []
    roots += [_Root(i, model, read_layout(model), wanted) for i, model in enumerate(encoders) if model is not None]

    sites: list[Site] = []
    encoder_of: dict[str, int] = {}
    encoder_layouts: dict[str, Layout] = {}
    unknown: list[str] = []
    for module, key in zip(modules, originals, strict=True):
        name = module_name(module)
        for root in roots:
            if key in root.places:
                break
        else:
            sites.append(Site(name, name, part_of(name), None, None, "other"))
            unknown.append(name)
            continue
        (path, original), encoder, where = root.places[key], root.encoder, root.layout
        part = part_of(name, encoder)
        if encoder is not None:
            encoder_of[part] = encoder
            encoder_layouts[part] = where
        site, known = site_in(where, name, path, part, original)
        sites.append(site)
        if not known and part == MAIN_PART:
            unknown.append(path)
    return Sites(tuple(sites), layout, encoder_of, unknown_notice(unknown), encoder_layouts)


def site_in(layout: Layout, name: str, path: str, part: str, module: nn.Module | None) -> tuple[Site, bool]:
    """(the site of a module by its dotted path, whether a rule knows its component; ``other`` where none does)."""
    place, component = layout.place_of(path, module)
    stack, block = place or (None, None)
    return Site(name, path, part, stack, block, component or "other"), component is not None


def unknown_notice(unknown: Sequence[str]) -> tuple[str, ...]:
    """The line about modules that no rule knows, if there are any."""
    if not unknown:
        return ()
    named = listed(unknown, 4)
    return (f"no rule names the component of {len(unknown)} modules, they count as other: {named}",)


def original_of(module: nn.Module) -> object:
    """The module of the model that a network module is for (LyCORIS keeps it in a list)."""
    original = held(module, ORIGINAL)
    return original[0] if isinstance(original, (list, tuple)) and original else original
