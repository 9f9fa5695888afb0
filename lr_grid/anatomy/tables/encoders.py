"""Text encoders: CLIP, T5, Gemma 2, Qwen 3. Their layers are one stack, ``layers``."""

from __future__ import annotations

from lr_grid.anatomy.family import Family

FAMILIES: tuple[Family, ...] = ()
