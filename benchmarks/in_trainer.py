"""Runs a training script several times in one process, each side in turn, and times its steps by torch's own hooks.

Started by training_step.py in the trainer's environment, with a job as JSON.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import runpy
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook


class Steps:
    """When each step of the optimizer ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.cpu: list[float] = []
        self.groups = 0
        register_optimizer_step_post_hook(self.after_step)

    def after_step(self, optimizer: Any, *_: Any) -> None:
        """Torch's hook; of nested calls (a class and its base) the last one stands."""
        now = time.perf_counter()
        if self.ends and now - self.ends[-1] < 1e-4:
            self.ends.pop()
            self.cpu.pop()
        self.ends.append(now)
        self.cpu.append(time.process_time())
        self.groups = len(optimizer.param_groups)

    def take(self) -> tuple[list[float], list[float]]:
        """(seconds, seconds of CPU time) from each step's end to the next, of the run that is over."""
        both = tuple([after - before for before, after in itertools.pairwise(ends)] for ends in (self.ends, self.cpu))
        self.ends, self.cpu = [], []
        return both[0], both[1]


def main(job: dict[str, Any]) -> None:
    script = job["script"]
    sys.path.insert(0, str(Path(script).parent))
    spec = importlib.util.spec_from_file_location("shrink", job["shrink"])
    assert spec is not None
    assert spec.loader is not None
    shrink = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shrink)
    shrink.FAMILIES["flux"]()
    torch.set_num_threads(1)
    steps = Steps()
    seen: dict[str, Any] = {name: {"seconds": [], "cpu": []} for name in job["sides"]}
    for round_ in range(job["rounds"]):
        names = list(job["sides"])
        for number, name in enumerate(names if round_ % 2 == 0 else names[::-1]):
            output = Path(job["work"]) / f"{round_}_{number}"
            places = [f"--output_dir={output}", "--output_name=lora", f"--logging_dir={output / 'log'}"]
            sys.argv = [script, *places, *job["sides"][name]]
            runpy.run_path(script, run_name="__main__")
            for what, times in zip(("seconds", "cpu"), steps.take(), strict=True):
                seen[name][what].append(times[job["left_out"] :])
            seen[name]["groups"] = steps.groups
            seen[name]["scalars"] = lr_scalars(output / "log")
            _forget_run()
    (Path(job["work"]) / "result.json").write_text(json.dumps(seen), encoding="utf-8")


def lr_scalars(folder: Path) -> int:
    """How many LRs TensorBoard was given at a step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tags: set[str] = set()
    for file in folder.rglob("events.out.tfevents.*"):
        events = EventAccumulator(str(file))
        events.Reload()
        tags.update(tag for tag in events.Tags()["scalars"] if tag.startswith("lr/"))
    return len(tags)


def _forget_run() -> None:
    """accelerate and sd-scripts keep one state a process; the next run makes its own."""
    from accelerate.state import AcceleratorState, GradientState
    from library import strategy_base

    for kept in vars(strategy_base).values():
        if isinstance(kept, type) and "_strategy" in vars(kept):
            kept._strategy = None

    AcceleratorState._reset_state(True)
    GradientState._reset_state()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
