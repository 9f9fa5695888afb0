"""Sample configs under the trainer's own parsers and dataset readers, and their grids on the real models (on meta).

Runs in the trainer's venv: python configs.py sd_scripts|musubi JOBS.json TRAINER_FOLDER. A job names a training config
and the size of its model; printed is, as JSON, what came of each, a list of problems first of all.
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

import config_datasets
import inventory
import torch
from config_parsers import commands, parse, parse_training, parser_of, wrong_keys
from config_paths import with_real_paths


def check(kind: str, models: ModuleType, job: dict[str, str], folder: Path) -> dict[str, Any]:
    """One config and its dataset config, all the way to the optimizer's groups."""
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
        read = config_datasets.read_sd_scripts if kind == "sd_scripts" else config_datasets.read_musubi
        read(module, args, with_real_paths(Path(args.dataset_config), folder))
        case = next(case for case in models.CASES if case.size == job["size"])
        with torch.device("meta"):
            unet, encoders = case.build()
            result["plan"] = plan(kind, args, unet, encoders, training.parent, folder)
    except Exception as error:
        problems.append(f"{type(error).__name__}: {error} ({traceback.format_exc().strip().splitlines()[-3].strip()})")
    return result


def plan(kind: str, args: argparse.Namespace, unet: Any, encoders: Any, beside: Path, folder: Path) -> dict[str, Any]:
    """The grid of a config, through the calls that the trainer makes."""
    args.output_dir = str(folder)
    pairs = [argument.replace("/path/to/", f"{beside.as_posix()}/") for argument in args.network_args]
    module = import_module(args.network_module)
    common = (1.0, args.network_dim, args.network_alpha, None, encoders, unet)
    if kind == "sd_scripts":
        kwargs = {"dropout": args.network_dropout, **dict(pair.split("=", 1) for pair in pairs)}
        network = module.create_network(*common, neuron_dropout=args.network_dropout, **kwargs)
        network.prepare_network(args)
        network.apply_to(encoders, unet, not args.network_train_unet_only, True)
        lrs = (args.text_encoder_lr, args.unet_lr, args.learning_rate)
        network.prepare_optimizer_params_with_multiple_te_lrs(*lrs)
    else:
        kwargs = dict(pair.split("=") for pair in pairs)  # as musubi-tuner does: one = and no more
        network = module.create_arch_network(*common, neuron_dropout=args.network_dropout, **kwargs)
        assert hasattr(module, "prepare_network")  # or the trainer would not call the network's
        network.prepare_network(args)
        network.apply_to(None, unet, apply_text_encoder=False, apply_unet=True)
        network.prepare_optimizer_params(unet_lr=args.learning_rate)
    made = network.grid_plan
    trained = [row for row in made.rows if not row.frozen]
    return {
        "lrs": sorted({lr for row in trained for lr in (row.lr_down, row.lr_up)}),
        "parts": sorted({row.site.part for row in trained}),
        "ranks": sorted({row.rank for row in trained if row.rank}),
        "params": sum(p.numel() for p in network.get_trainable_params()),
        "frozen": len(made.rows) - len(trained),
        "notices": list(made.notices),
        "settings": sorted(network._grid_state.grid.settings.given),
    }


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
