"""Diffusion transformers as diffusers writes them."""

from __future__ import annotations

from lr_grid.anatomy.family import Family

FAMILIES: tuple[Family, ...] = ()
