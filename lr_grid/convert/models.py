"""The model a conversion is about, as lr_grid.models knows it: its blocks, and what its network module trains."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

from lr_grid.models import Blueprint
from lr_grid.models import find_model as find_blueprint
from lr_grid.sites import Site
from lr_grid.words import COMPONENTS, MAIN_PART


@dataclass(frozen=True)
class Model:
    """One released model."""

    blueprint: Blueprint

    @property
    def name(self) -> str:
        """Its name in the catalogue."""
        return self.blueprint.name

    @property
    def stacks(self) -> dict[str, int]:
        """Stack name -> number of blocks, in the model's order."""
        return self.blueprint.layout.stacks

    @cached_property
    def blocks(self) -> list[tuple[str, int]]:
        """Every (stack, block), in the model's order."""
        return [(stack, i) for stack, size in self.stacks.items() for i in range(size)]

    @property
    def is_unet(self) -> bool:
        """Whether it is a U-Net that is numbered as in networks.lora's block_dims."""
        return self.is_sdxl or self.stacks == {"unet": 25}

    @property
    def is_sdxl(self) -> bool:
        """Whether it is SDXL's U-Net."""
        return self.stacks == {"unet": 23}

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """What the trainer's network module puts a LoRA on when nothing else is asked of it, text encoders included."""
        return tuple(layer.site for layer in self.blueprint.networks[0].layers if not layer.needs)

    @cached_property
    def components(self) -> tuple[str, ...]:
        """The components of these in the U-Net or DiT."""
        there = {site.component for site in self.sites if site.part == MAIN_PART}
        return tuple(component for component in COMPONENTS if component in there)

    @property
    def network_module(self) -> str:
        """The grid's network module for it; empty for a model of diffusers (a loop of one's own has none)."""
        if self.blueprint.trainer == "diffusers":
            return ""
        name = self.blueprint.default_module.rpartition(".")[2]
        return f"{'lr_grid.musubi' if self.blueprint.trainer == 'musubi-tuner' else 'networks'}.{name}_grid"


@cache
def find_model(name: str) -> Model:
    """The model of a name or an alias.

    Raises: GridError with the names there are.
    """
    return Model(find_blueprint(name))
