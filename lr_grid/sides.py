"""The two sides of an adapter pair, told by a parameter's name.

The up side is the one that writes to the layer's output: LoRA's B (``lora_up``, ``lora_B``), DyLoRA's columns of it
(``lora_B.0``, LyCORIS ``up_list.0``), LoHa's two output factors (``hada_w1_a``, ``hada_w2_a``), LoKr's ``lokr_w1``
(whole or factored). Every other trained tensor (down sides, scalars, DoRA scales, norms, full and orthogonal weights,
GLoRA, T-LoRA) counts as down. LoRA+ gives the up side the higher LR (https://arxiv.org/abs/2402.12354).
"""

from __future__ import annotations

import re
from functools import cache

_UP = re.compile(r"(?:^|\.)(?:lora_up|lora_B|lora_embedding_B|up_list|hada_w[12]_a|lokr_w1|lokr_w1_[ab])(?:\.|$)")
_KNOWN_TO_BASES = re.compile(r"lora_up|lora_B")


@cache  # a network has thousands of tensors, and within their modules a handful of names
def _side(parameter: str) -> str:
    return "up" if _UP.search(parameter) else "down"


def side_of(parameter: str) -> str:
    """``up`` for the output side of an adapter pair, ``down`` for every other trained tensor."""
    return "up" if _UP.search(parameter) else "down"


def side_in(module: str, parameter: str) -> str:
    """As ``side_of``, several times faster, of a parameter whose name begins with its module's."""
    return _side(parameter.removeprefix(module))


def is_known_plus(parameter: str) -> bool:
    """Whether the wrapped modules' own LoRA+ would find an up side (they look for lora_up, DyLoRA for lora_B)."""
    return bool(_KNOWN_TO_BASES.search(parameter))
