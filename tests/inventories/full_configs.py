"""Sample configs of full fine-tuning under the trainer's own parsers and readers, and on the real models (on meta).

Runs in the trainer's venv: python full_configs.py sd_scripts|musubi JOBS.json TRAINER_FOLDER. A job names a training
config and the size of its model; printed is, as JSON, what came of each, a list of problems first of all.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import inventory
import torch
from config_datasets import read_full_sd_scripts, read_musubi
from config_parsers import commands, parse, parse_training, parser_of, trainer_of, wrong_keys
from config_paths import with_real_paths

from lr_grid.full.attach import GRID, attach


def check(kind: str, models: ModuleType, job: dict[str, str], folder: Path) -> dict[str, Any]:
    """One config and its dataset config, all the way to the grid of the optimizer."""
    training = Path(job["training"])
    os.chdir(training.parent)  # the commands name files beside them
    problems: list[str] = []
    result: dict[str, Any] = {"problems": problems, "scripts": []}
    try:
        *before, (script, *given) = commands(training)
        for other, *arguments in before:  # the caching scripts
            parse(other, arguments)
            result["scripts"].append(other)
        module, args = parse_training(script, given)
        result["scripts"].append(script)
        problems += wrong_keys(training, parser_of(module))
        read = read_full_sd_scripts if kind == "sd_scripts" else read_musubi
        read(module, args, with_real_paths(Path(args.dataset_config), folder))
        case = next(case for case in models.CASES if case.size == job["size"])
        with torch.device("meta"):
            unet, encoders = case.build()
            result["plan"] = plan(kind, module, args, unet, encoders, folder, job.get("grid"))
    except Exception as error:
        problems.append(f"{type(error).__name__}: {error} ({traceback.format_exc().strip().splitlines()[-3].strip()})")
    return result


def plan(
    kind: str,
    module: ModuleType,
    args: argparse.Namespace,
    unet: Any,
    encoders: Any,
    folder: Path,
    grid: str | None,
) -> dict[str, Any]:
    """The grid of a config: the trainer's own get_optimizer on its own parameter groups.

    ``encoders`` and ``unet`` are found by these names, as in the trainers' frames.
    """
    args.output_dir = str(folder)
    groups = groups_of(module, args, unet, encoders)
    if kind == "sd_scripts":
        train_util = import_module("library.train_util")
        optimizer = train_util.get_optimizer(args, trainable_params=groups)[2]
    else:
        optimizer = trainer_of(module)().get_optimizer(args, groups)[2]
    if grid is not None:  # what lr-grid launch does
        attach(optimizer, {"grid": grid}, options=optimizer.defaults)
    made = getattr(optimizer, GRID).run.plan
    trained = [row for row in made.rows if not row.frozen]
    return {
        "lrs": sorted({row.lr_down for row in trained}),
        "parts": sorted({row.site.part for row in trained}),
        "params": sum(row.params for row in trained),
        "frozen": len(made.rows) - len(trained),
        "notices": list(made.notices),
        "settings": sorted(made.arguments),
    }


def groups_of(module: ModuleType, args: argparse.Namespace, unet: Any, encoders: Any) -> list[dict[str, Any]]:
    """The parameter groups that a script makes."""
    if module.__name__ == "anima_train":
        own = {f"{name}_lr": getattr(args, f"{name}_lr") for name in ("self_attn", "cross_attn", "mlp", "mod")}
        adapter = args.llm_adapter_lr
        return module.anima_train_utils.get_anima_param_groups(unet, args.learning_rate, **own, llm_adapter_lr=adapter)
    if getattr(args, "block_lr", None):
        groups = module.get_block_params_to_optimize(unet, [float(lr) for lr in args.block_lr.split(",")])
    else:
        groups = [{"params": [p for p in unet.parameters() if p.requires_grad], "lr": args.learning_rate}]
    if getattr(args, "train_text_encoder", False):
        encoders = encoders if isinstance(encoders, (list, tuple)) else [encoders]
        lrs = ("learning_rate_te",) if len(encoders) == 1 else ("learning_rate_te1", "learning_rate_te2")
        for encoder, lr in zip(encoders, lrs, strict=True):
            groups.append({"params": list(encoder.parameters()), "lr": getattr(args, lr)})
    return groups


def main(kind: str, jobs: str, trainer: str) -> None:
    inventory.prepare()
    sys.path.append(trainer if kind == "sd_scripts" else f"{trainer}/src")
    results = []
    with mock.patch.object(torch.cuda, "current_device", return_value=0):  # asked for at import, here may be none
        models = import_module(kind)
        for job in json.loads(Path(jobs).read_text(encoding="utf-8")):
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
                results.append({**job, **check(kind, models, job, Path(folder))})
    print(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
