"""Plans of the trainers' real network modules on meta, to hold the plans that need no trainer against.

Runs in the trainer's venv: python live_plans.py CASES.json sd_scripts|musubi FOLDER. CASES.json lists [model, network
module, --network_args, --network_dim, --network_alpha, trains text encoders]; prints a JSON list: a plan each.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import inventory
import torch

from lr_grid.errors import GridError
from lr_grid.report.jsonfile import plan_to_dict


def plan(module: str, models: inventory.Models, arguments: dict[str, str], dim: int, alpha: float, te: bool) -> Any:
    """What a run would plan, or the problems it would stop with."""
    unet, encoders = models
    grid = import_module(module)
    create = getattr(grid, "create_arch_network", None) or grid.create_network
    create.__self__._restore_targets()  # networks.lora keeps the targets of conv_dim for all networks that follow
    made = torch.tensor

    def with_a_value(*values: Any, **options: Any) -> torch.Tensor:  # on meta an alpha would have none
        return made(*values, **{"device": "cpu", **options})

    args = argparse.Namespace(unet_lr=2e-4, learning_rate=1e-4, text_encoder_lr=[3e-5], optimizer_type="AdamW")
    try:
        with torch.device("meta"), mock.patch.object(torch, "tensor", with_a_value):
            network = create(1.0, dim, alpha, None, encoders, unet, neuron_dropout=None, **arguments)
        network.prepare_network(args)
        network.apply_to(encoders, unet, te, True)
        prepare = getattr(network, "prepare_optimizer_params_with_multiple_te_lrs", None)
        if prepare and not module.startswith("lr_grid.musubi"):
            groups, descriptions = prepare([3e-5] if te else None, 2e-4, 1e-4)
        else:
            groups, descriptions = network.prepare_optimizer_params(unet_lr=2e-4, **({} if "musubi" in module else {
                "text_encoder_lr": 3e-5 if te else None, "default_lr": 1e-4}))  # fmt: skip
    except GridError as error:
        return error.problems
    return plan_to_dict(network.grid_plan, "", groups, descriptions or [""] * len(groups))


def main(cases: str, trainer: str, folder: str) -> None:
    inventory.prepare()
    sys.path.append(folder if trainer == "sd_scripts" else f"{folder}/src")
    if trainer == "sd_scripts":
        import sd_scripts as models
    else:
        with mock.patch.object(torch.cuda, "current_device", return_value=0):
            import_module("musubi_tuner.wan.modules.t5")
        import musubi as models
    built: dict[str, inventory.Models] = {}
    results = []
    with mock.patch("builtins.print"):
        for model, *case in json.loads(Path(cases).read_text()):
            if model not in built:
                with torch.device("meta"):
                    built[model] = models.BLUEPRINTS[model][1][0].build()
            module, arguments, dim, alpha, te = case
            results.append(plan(module, built[model], arguments, dim, alpha, te))
    print(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
