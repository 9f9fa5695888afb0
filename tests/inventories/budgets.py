"""rank_budget on models at their released size, on torch's meta device, through the grid's own network modules.

Runs in the trainer's venv: python budgets.py sd_scripts|musubi TRAINER_FOLDER. Prints JSON: a result for each case.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any
from unittest import mock

import inventory
import torch

from lr_grid.facts import facts_of
from lr_grid.upstream import module_name, network_modules

SHAPES = (
    "rank_strategy=flat",
    "rank_strategy=linear min_rank_factor=0.25",
    "rank_strategy=inverted_u rank_peak_position=0.4 ffn_dim=32 cross_attn_dim=2",
)
BUDGETS = ("flat", "20M", "47.3M")


def measure(create: Any, base: str, unet: Any, encoders: Any, arguments: str) -> dict[str, Any]:
    """A network of rank 16 under a budget: what it came to."""
    given = dict(argument.split("=", 1) for argument in arguments.split())
    with torch.device("meta"):
        network = create(1.0, 16, 8.0, None, encoders, unet, neuron_dropout=None, **given)
        modules = [m for m in network_modules(network, base) if module_name(m).startswith("lora_unet")]
    facts = {module_name(m): facts_of(m) for m in modules}
    places = {site.name: site for site in network._grid_state.grid.sites.all}
    return {
        "params": sum(torch.Size(shape).numel() for fact in facts.values() for shape in fact.shapes),
        "ranks": [[places[n].stack, places[n].block, places[n].component, fact.rank] for n, fact in facts.items()],
        "notices": network._grid_state.notices,
    }


def main(trainer: str, folder: str) -> None:
    inventory.prepare()
    sys.path.append(folder if trainer == "sd_scripts" else f"{folder}/src")
    if trainer == "sd_scripts":
        import sd_scripts as models

        cases = [("FLUX.1 dev", "networks.lora_flux", models.flux("dev")), ("SDXL", "networks.lora", models.sdxl)]
    else:
        with mock.patch.object(torch.cuda, "current_device", return_value=0):  # asked for at import
            import_module("musubi_tuner.wan.modules.t5")
        import musubi as models

        cases = [("Wan 2.1 T2V 14B", "musubi_tuner.networks.lora_wan", models.wan("t2v-14B"))]
    results = []
    for size, base, build in cases:
        grid = import_module(f"{base}_grid" if trainer == "sd_scripts" else "lr_grid.musubi.lora_wan_grid")
        create = grid.create_network if trainer == "sd_scripts" else grid.create_arch_network
        with torch.device("meta"):
            unet, encoders = build()
        for shape in SHAPES:
            for budget in BUDGETS:
                result = measure(create, base, unet, encoders, f"{shape} rank_budget={budget}")
                results.append({"size": size, "shape": shape, "budget": budget, **result})
        flat = measure(create, base, unet, encoders, "self_attn_lr=1x")
        results.append({"size": size, "shape": "", "budget": "", **flat})
    print(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
