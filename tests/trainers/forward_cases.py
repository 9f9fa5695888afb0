"""One input through a model in several cases: bare, merged with a LoRA, under a network. Part of a forward script.

``Case`` is the tests' side, ``run`` that of the scripts ``sd_forward.py`` and ``musubi_forward.py``, which run in the
trainer's own venv, load models as the trainer does and leave one tensor per case.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import json
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """A model to put the input through: the tiny one where nothing else is said.

    A network is made from ``network_args``, dim and alpha, as for a training run (its modules keep that scale, whatever
    alpha ``weights`` holds); without ``network_args`` from ``weights`` alone, as ``--dim_from_weights`` does.
    """

    checkpoint: Path | None = None  # instead of the tiny model
    merged: Path | None = None  # a LoRA that the trainer itself merges into the model in memory
    module: str | None = None  # of the network on the model
    weights: Path | None = None  # what that network loads
    network_args: tuple[str, ...] | None = None
    network_dim: int = 4
    network_alpha: float = 2


@dataclass(frozen=True)
class Subject:
    """A model as the trainer loads it, a run of it, and what the trainer hands to a network module beside it."""

    model: Any
    run: Callable[[Any, Any], Any]  # (a model, a torch.Generator) -> the output
    vae: Any = None
    text_encoder: Any = None


def write(cases: Mapping[str, Case], checkpoint: Path, file: Path) -> None:
    entries = {name: dataclasses.asdict(case) for name, case in cases.items()}
    for entry in entries.values():
        entry["checkpoint"] = entry["checkpoint"] or checkpoint
    file.write_text(json.dumps(entries, default=str), encoding="utf-8")


def run(
    load: Callable[[Case], Subject],
    put_network: Callable[[Case, Subject, Any, Mapping[str, str]], Any],
    cases_file: str,
    output: str,
) -> None:
    """Every case on a model of its own. ``put_network`` is given a network module and the arguments for it."""
    import torch
    from safetensors.torch import save_file

    outputs, loaded = {}, {}
    for name, entry in json.loads(Path(cases_file).read_text(encoding="utf-8")).items():
        case = Case(**entry)
        key = case.checkpoint, case.merged
        if key not in loaded:
            loaded[key] = load(case)
        subject = dataclasses.replace(loaded[key], model=copy.deepcopy(loaded[key].model))
        subject.model.to(torch.float32).eval().requires_grad_(False)
        if case.module is not None:
            arguments = dict(argument.split("=", 1) for argument in case.network_args or ())
            network = put_network(case, subject, importlib.import_module(case.module), arguments)
            network.to(torch.float32).eval()
        with torch.no_grad():
            outputs[name] = subject.run(subject.model, torch.Generator().manual_seed(0)).contiguous()
    save_file(outputs, output)


def trainer_arguments(case: Case) -> Namespace:
    """What a network that asks for the trainer's command line finds there: nothing that a forward run depends on."""
    return Namespace(
        learning_rate=1e-3,
        unet_lr=None,
        text_encoder_lr=None,
        network_train_unet_only=True,
        network_train_text_encoder_only=False,
        network_module=case.module,
        network_dim=case.network_dim,
        network_alpha=case.network_alpha,
        network_args=list(case.network_args or ()),
        network_weights=None if case.network_args is not None else case.weights,
        dim_from_weights=case.network_args is None,
        network_dropout=None,
        scale_weight_norms=None,
        optimizer_type="AdamW",
        optimizer_args=None,
        lr_scheduler="constant",
        lr_scheduler_type="",
        lr_scheduler_args=None,
        lr_warmup_steps=0,
        max_train_steps=1,
        resume=None,
        output_dir=None,
        output_name=None,
    )
