"""Dotted paths as the model itself would say them, without what wrappers put in between."""

from __future__ import annotations

import re
from collections.abc import Iterable

# torch.compile of a block, activation checkpointing, FSDP; PEFT's copy of a module that it trains whole.
_WRAPPERS = re.compile(
    r"(?:^|\.)(?:_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module|original_module|modules_to_save\.[^.]+)(?=\.|$)"
)

_WORDS = ("_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module", "original_module", "modules_to_save")


def any_wrapped(paths: Iterable[str]) -> bool:
    """Whether any of the paths may have something of a wrapper's in it: a look at all of them at once."""
    text = "\n".join(paths)
    return any(word in text for word in _WORDS)


def plain(path: str) -> str:
    """``transformer_blocks.0._orig_mod.attn.to_q`` -> ``transformer_blocks.0.attn.to_q``."""
    if "_" not in path or not any(word in path for word in _WORDS):  # nearly always: a regex takes ten times as long
        return path
    return _WRAPPERS.sub("", path).lstrip(".")
