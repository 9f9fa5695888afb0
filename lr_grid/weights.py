"""Which modules already hold trained weights that a run must not lose: those of --network_weights and --resume."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors import safe_open

from lr_grid.errors import GridError


def trained_names(args: argparse.Namespace) -> set[str]:
    """Names of the modules in the run's starting weights and in the state it resumes."""
    names: set[str] = set()
    if getattr(args, "network_weights", None):
        names |= module_names(Path(args.network_weights))
    if getattr(args, "resume", None):
        for file in ("model.safetensors", "pytorch_model.bin"):
            names |= module_names(Path(args.resume) / file)
    return names


def module_names(file: Path) -> set[str]:
    """Names of the LoRA modules in a weight file; empty where there is no such file (the trainer says so itself)."""
    if not file.is_file():
        return set()
    try:
        if file.suffix == ".safetensors":
            with safe_open(str(file), "pt") as weights:
                keys = list(weights.keys())
        else:
            keys = list(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # whatever a damaged file makes the readers raise
        raise GridError([f"{file}: the weights cannot be read: {error}"]) from error
    # A state saved by several processes has every key under DDP's "module.".
    return {key.removeprefix("module.").partition(".")[0] for key in keys if "." in key}
