"""What a grid costs before the first step: upstream's networks.lora_flux and networks.lora_flux_grid, FLUX.1 19+38.

Both sides run in one process, in turn: make the network, apply it, prepare the optimizer's parameters; the grid's side
also prints the grid. Prints medians, their ratio and their difference.

    python benchmarks/plan_time.py --sd_scripts /path/to/sd-scripts [--rank 16] [--rounds 9]

Needs an environment with sd-scripts' requirements and lr-grid.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

GRID = {
    "depth_strategy": "linear",
    "self_attn_lr": "1.5x",
    "ffn_lr": "0.5x",
    "block_lr_weight": "double_0-6:0.3,single:0.8,single_7:0",
    "loraplus_unet_lr_ratio": "16",
}


def measure(options: Any) -> list[Any]:
    """As ``python -m benchmarks`` runs it: this file in the trainer's environment."""
    from benchmarks.measuring import Table
    from benchmarks.training_step import ready_trainer

    trainer = ready_trainer(options)
    command = [trainer.python, __file__, "--sd_scripts", trainer.folder, "--rounds", str(options.rounds)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **trainer.environment}
    )
    lines = tuple((line,) for line in done.stdout.splitlines()[-2:])
    return [Table("Before the first step: a FLUX.1 network made, applied and planned", ("measured",), lines)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sd_scripts", type=Path, required=True, help="folder of sd-scripts")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    sys.path.insert(0, str(options.sd_scripts))
    flux_models = importlib.import_module("library.flux_models")
    modules = {name: importlib.import_module(f"networks.{name}") for name in ("lora_flux", "lora_flux_grid")}
    logging.disable(logging.CRITICAL)

    seconds: dict[str, list[float]] = {name: [] for name in modules}
    shown = io.StringIO()
    args = argparse.Namespace(learning_rate=1e-4, unet_lr=None, output_dir=None)
    for _ in range(options.rounds + 1):
        for name, module in modules.items():
            with torch.device("meta"):
                model = flux_models.Flux(flux_models.configs["dev"].params)
            shown = io.StringIO()
            began = time.perf_counter()
            with contextlib.redirect_stdout(shown):
                grid = GRID if name.endswith("_grid") else {}
                network = module.create_network(1.0, options.rank, options.rank, None, [None, None], model, **grid)
                if hasattr(network, "prepare_network"):
                    network.prepare_network(args)
                network.apply_to([None, None], model, False, True)
                network.prepare_optimizer_params_with_multiple_te_lrs(None, None, 1e-4)
            seconds[name].append(time.perf_counter() - began)
    print(shown.getvalue())
    rounds = list(zip(*(seconds[name][1:] for name in modules), strict=True))  # the first round warms up
    upstream, grid_time = (statistics.median(side) for side in zip(*rounds, strict=True))
    ratio = statistics.median(with_grid / without for without, with_grid in rounds)
    difference = statistics.median(with_grid - without for without, with_grid in rounds)
    print(f"medians: upstream {upstream:.3f} s, with the grid {grid_time:.3f} s")
    print(f"round by round: ratio {ratio:.3f}, difference {difference:+.3f} s")


if __name__ == "__main__":
    main()
