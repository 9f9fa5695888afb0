"""How two parameter groups move under a trainer's own optimizers and schedulers: measured, printed as JSON.

Two groups with LRs of 1 : 0.5 get the same gradients, step by step. What the optimizer then does in each step is the
LR it really gave them: their movements stand 2 : 1 where it obeys. Every group holds a tensor that begins away from
zero and one that begins at zero, like the two sides of a LoRA. The gradients differ from element to element (an
optimizer that takes off their mean would see none otherwise), mostly keep their sign, and vary from step to step.

Runs in the trainer's venv: python movements.py TRAINER CASES_FILE TRAINER_FOLDER. The cases: a list of {"optimizers":
{name: arguments}, "schedulers": {name: arguments}, "lrs": {optimizer: learning_rate}}; the result: optimizer ->
scheduler -> {"ratio": [least, greatest] of the movements of the steps that move, "steps": how many those are, "error":
what it raised, "step": in which step (0: before the first)}.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import math
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from optimizer_cases import STEPS

SIZE = 64
"""64 x 64 elements: from there on bitsandbytes keeps the states in 8 bits."""
STILL = 1e-9
"""A smaller mean movement is none."""
ROUNDING = 2**-24
"""Of a float32, relative: what a weight gains or loses by being stored."""
PRECISE = 500
"""How many times the rounding a movement must be for its ratio to be worth a look: then it is good to 0.4 %."""

Build = Callable[[list[str], list[dict[str, Any]]], tuple[Any, Any]]
"""(arguments of the command line, groups) -> (optimizer, scheduler), as the trainer makes them."""


def sd_scripts(folder: Path) -> Build:
    sys.path[:0] = [str(folder), str(Path(__file__).parent.parent / "trainers/torchvision_stand_in")]
    from library import train_util

    parser = argparse.ArgumentParser()
    train_util.add_optimizer_arguments(parser)
    train_util.add_training_arguments(parser, True)

    def build(arguments: list[str], groups: list[dict[str, Any]]) -> tuple[Any, Any]:
        args = parser.parse_args(arguments)
        _, _, optimizer = train_util.get_optimizer(args, groups)
        return optimizer, train_util.get_scheduler_fix(args, optimizer, 1)

    return build


def musubi_tuner(folder: Path) -> Build:
    sys.path.append(str(Path(__file__).parent.parent / "trainers/torchvision_stand_in"))
    from musubi_tuner.hv_train_network import NetworkTrainer, setup_parser_common

    parser, trainer = setup_parser_common(), NetworkTrainer()

    def build(arguments: list[str], groups: list[dict[str, Any]]) -> tuple[Any, Any]:
        args = parser.parse_args(arguments)
        optimizer, train = trainer.get_optimizer(args, groups)[2:4]
        train()
        return optimizer, trainer.get_lr_scheduler(args, optimizer, 1)

    return build


TRAINERS = {"sd-scripts": sd_scripts, "musubi-tuner": musubi_tuner}


def new_groups(lr: float) -> list[dict[str, Any]]:
    """Two groups as lr-grid makes them, the second at half the LR."""
    import torch

    def group(name: str, lr: float) -> dict[str, Any]:
        starts = {"lora_down": 0.02, "lora_up": 0.0}
        params = [torch.nn.Parameter(torch.full((SIZE, SIZE), start)) for start in starts.values()]
        return {"params": params, "lr": lr, "param_names": [f"{name}.{side}.weight" for side in starts]}

    return [group("first", lr), group("second", lr / 2)]


def new_gradients() -> list[Any]:
    """One a step, of unit size."""
    import torch

    generator = torch.Generator().manual_seed(0)
    sign = torch.randn(SIZE, SIZE, generator=generator).sign()
    return [sign + 0.3 * torch.randn(SIZE, SIZE, generator=generator) for _ in range(STEPS)]


def measure(build: Build, arguments: list[str], lr: float) -> dict[str, Any]:
    groups = new_groups(lr)
    first, second = ([*group["params"]] for group in groups)
    result: dict[str, Any] = {"ratio": None, "steps": 0, "error": None, "step": None}
    step, ratios = 0, []
    try:
        optimizer, scheduler = build([*arguments, f"--learning_rate={lr}", f"--max_train_steps={STEPS}"], groups)
        for step, gradient in enumerate(new_gradients(), 1):  # noqa: B007
            before = [p.detach().clone() for p in (*first, *second)]
            for parameter in (*first, *second):
                parameter.grad = gradient.clone()
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad(set_to_none=True)
            moved = [float((p.detach() - b).abs().mean()) for p, b in zip((*first, *second), before, strict=True)]
            least = max(PRECISE * ROUNDING * max(float(p.detach().abs().max()) for p in (*first, *second)), STILL)
            pairs = [(a, b) for a, b in zip(moved[:2], moved[2:], strict=True) if max(a, b) > 2 * least]
            result["steps"] += bool(pairs)
            ratios += [a / max(b, STILL) for a, b in pairs]
    except Exception as error:
        result |= {"error": f"{type(error).__name__}: {error}"[:200], "step": step}
    if ratios:
        finite = all(map(math.isfinite, ratios))
        result["ratio"] = [round(min(ratios), 4), round(max(ratios), 4)] if finite else ["nan", "nan"]
    return result


def main(trainer: str, cases: Path, folder: Path) -> None:
    warnings.simplefilter("ignore")
    given = json.loads(cases.read_text(encoding="utf-8"))
    build = TRAINERS[trainer](folder)
    logging.disable(logging.CRITICAL)
    found: dict[str, Any] = {}
    for part in given:
        for name, optimizer in part["optimizers"].items():
            lr = part["lrs"][name]
            found[name] = {
                key: measure(build, [*optimizer, *scheduler], lr) for key, scheduler in part["schedulers"].items()
            }
            gc.collect()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
