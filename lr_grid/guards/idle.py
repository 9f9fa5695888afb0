"""Options of the trainer that are taken and ignored: those that look like a grid's, and dropout."""

from __future__ import annotations

import argparse

# Of anima_train_network.py: it takes them, but only full fine-tuning reads them. -> what does it for a LoRA.
_FULL_TUNING_LRS = {
    "self_attn_lr": "self_attn_lr",
    "cross_attn_lr": "cross_attn_lr",
    "mlp_lr": "ffn_lr",
    "mod_lr": "mod_lr",
    "llm_adapter_lr": "block_lr=llm_adapter:...",
}


def idle_options(args: argparse.Namespace, base: str = "", takes_dropout: bool = True) -> list[str]:
    """Lines about options of the trainer that are taken and ignored: those that look like a grid's, and dropout where
    it does not reach the wrapped module."""
    lines = []
    if getattr(args, "network_dropout", None) and not takes_dropout:
        cure = ": give dropout=... in --network_args" if base.startswith("lycoris") else ""
        lines.append(f"--network_dropout {args.network_dropout:g} does nothing to {base} here{cure}")
    return lines + [
        f"--{option} is for full fine-tuning, the trainer ignores it here: put {key} into --network_args"
        for option, key in _FULL_TUNING_LRS.items()
        if getattr(args, option, None) is not None
    ]
