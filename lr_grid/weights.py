"""Which modules already hold trained weights that a run must not lose: those of --network_weights and --resume."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from lr_grid.errors import GridError, Problems
from lr_grid.facts import rank_and_alpha
from lr_grid.upstream import module_name

_DOWN = (
    "lora_down.weight",
    "lora_down.0.weight",
    "hada_w1_b",
    "lokr_w2_b",
    "q_layer.weight",
    "lora_A.0",
    "oft_blocks",
    "oft_blocks.0",
)
"""Tensors whose first dimension is the rank."""
_ROUNDING = 0.005
"""Of an alpha saved in bf16."""
_IN_PIECES = ".lora_A."
"""DyLoRA keeps a tensor for every rank (in a saved state; its LoRA files are whole)."""


def trained_names(args: argparse.Namespace) -> set[str]:
    """Names of the modules in the run's starting weights and in the state it resumes."""
    return {name for _, file in _files(args) for name in module_names(file)}


def module_names(file: Path) -> set[str]:
    """Names of the LoRA modules in a weight file; empty where there is no such file (the trainer says so itself)."""
    return {key.partition(".")[0] for key in _tensors(file, ()) if "." in key}


def check_ranks(args: argparse.Namespace, modules: Sequence[nn.Module], no_lora: set[str]) -> None:
    """Raises GridError where the run's starting weights have other ranks or alphas than its modules: they would not
    load, or be lost, or change their strength.

    Args:
        modules: the network's.
        no_lora: names of modules that a rank of 0 keeps from being made.
    """
    problems = Problems()
    by_name = {module_name(module): module for module in modules}
    for option, file in _files(args):
        tensors = _tensors(file, ("alpha", *_DOWN))
        names = {key.partition(".")[0] for key in tensors}
        lost = sorted(no_lora & names)
        if lost:
            problems.add(
                f"{option} {file}: holds weights of {len(lost)} modules where a rank of 0 says no LoRA there (e.g."
                f" {lost[0]}): they would be lost. An LR of 0 keeps them, frozen"
            )
        cure = "" if option == "--resume" else "; --dim_from_weights takes the file's"
        for i, (what, of_file) in enumerate((("rank", _rank), ("alpha", _alpha))):
            differ = []
            for name in sorted(names & by_name.keys()):
                there, here = of_file(tensors, name), rank_and_alpha(by_name[name])[i]
                if there is None or here is None:
                    continue
                # Split into q, k, v (lora_flux's split_qkv), a module is saved as one of the sum of the ranks.
                pieces = len(getattr(by_name[name], "split_dims", None) or ()) if what == "rank" else 1
                if not any(abs(there - here * n) <= _ROUNDING * abs(here * n) for n in {1, pieces or 1}):
                    differ.append(f"{name}: {what} {there:g}, here {what} {here:g}")
            if differ:
                problems.add(
                    f"{option} {file}: holds another {what} than these settings give at {len(differ)} modules (e.g."
                    f" {differ[0]}). Give each the {what} it was trained with{cure}"
                )
    problems.raise_if_any()


def _alpha(tensors: Mapping[str, Any], name: str) -> float | None:
    alpha = tensors.get(f"{name}.alpha")
    return None if alpha is None else float(alpha)


def _rank(tensors: Mapping[str, Any], name: str) -> int | None:
    pieces = [key for key in tensors if key.startswith(f"{name}{_IN_PIECES}")]
    if pieces:
        return len(pieces)
    return next((len(tensors[f"{name}.{key}"]) for key in _DOWN if f"{name}.{key}" in tensors), None)


def _files(args: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    """(option, file) of the weights that a run starts from."""
    if getattr(args, "network_weights", None):
        yield "--network_weights", Path(args.network_weights)
    if getattr(args, "resume", None):
        for file in ("model.safetensors", "pytorch_model.bin"):
            yield "--resume", Path(args.resume) / file


def _tensors(file: Path, wanted: tuple[str, ...]) -> dict[str, Any]:
    """The keys of a weight file, with the tensors whose name within their module is wanted (None for the others)."""
    if not file.is_file():
        return {}
    try:
        if file.suffix == ".safetensors":
            with safe_open(str(file), "pt") as weights:
                found = {key: weights.get_tensor(key) if _is(key, wanted) else None for key in weights.keys()}  # noqa: SIM118
        else:
            whole = torch.load(file, map_location="cpu", weights_only=True)
            found = {key: whole[key] if _is(key, wanted) else None for key in whole}
    except Exception as error:  # whatever a damaged file makes the readers raise
        raise GridError([f"{file}: the weights cannot be read: {error}"]) from error
    # A state saved by several processes has every key under DDP's "module.".
    return {key.removeprefix("module."): value for key, value in found.items()}


def _is(key: str, wanted: tuple[str, ...]) -> bool:
    within = key.removeprefix("module.").partition(".")[2]
    return within in wanted or (bool(wanted) and f".{within}".startswith(_IN_PIECES))
