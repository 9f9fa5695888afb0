"""Network modules on convolutions larger than 1x1: which are such, and what is said where there are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from lr_grid.errors import Problems
from lr_grid.grid_settings import GridSettings
from lr_grid.passed_on import no_convs
from lr_grid.placing import original_of
from lr_grid.sites import Sites
from lr_grid.upstream import module_name


def is_large_conv(original: object) -> bool:
    """Whether a module of the model is a convolution larger than 1x1 (kohya's ``conv_dim`` speaks of those)."""
    kernel = getattr(original, "kernel_size", ())
    return any(size != 1 for size in (kernel if isinstance(kernel, tuple) else (kernel,)))


def check_conv_dim(
    arguments: Mapping[str, Any], modules: Iterable[nn.Module], base: str, family: str, problems: Problems
) -> None:
    """Notes ``conv_dim`` where the network has no convolution larger than 1x1: it would do nothing. (LyCORIS' is left
    alone: GUIs send it along.)"""
    given = str(arguments.get("conv_dim", "0")).strip() != "0"
    if given and not base.startswith("lycoris") and not any(is_large_conv(original_of(m)) for m in modules):
        problems.add(no_convs(base, family))


def unasked_convs(settings: GridSettings, sites: Sites, modules: Iterable[nn.Module]) -> set[str]:
    """Names of the modules on convolutions that conv_block_dims does not speak of."""
    values = settings.ranks.conv_block_dims
    named = values.resolve(sites.layout.stacks, sites.layout.family).values if values else {}
    place = {site.name: site.place for site in sites.all}
    convs = [module_name(module) for module in modules if is_large_conv(original_of(module))]
    return {name for name in convs if place[name] not in named}
