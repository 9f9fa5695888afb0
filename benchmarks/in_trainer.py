"""Runs a training script several times at once in one process, the sides in turn from step to step, and times the steps
by torch's own hook.

Started by training_step.py in the trainer's environment, with a job as JSON.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import runpy
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook


class Side:
    """One training run, in a thread that goes from step to step when it is told to. Only one of them ever runs."""

    def __init__(self, name: str, script: str, arguments: list[str], baton: threading.Semaphore):
        self.name, self.script, self.arguments, self.baton = name, script, arguments, baton
        self.turn = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()
        self.began = (0.0, 0.0)
        self.last = (0.0, 0.0)
        """Seconds and seconds of CPU time, from the last step's end to the next."""
        self.groups = 0
        self.failed: BaseException | None = None

    def go_on(self) -> tuple[float, float]:
        """Lets it run to the end of its next step, or of the script."""
        self.began = _now()
        self.turn.release()
        self.baton.acquire()
        if self.failed is not None:
            raise self.failed
        return self.last

    def after_step(self, optimizer: Any) -> None:
        """At a step's end, in the side's own thread: waits for its next turn."""
        self.last = tuple(after - before for before, after in zip(self.began, _now(), strict=True))  # type: ignore[assignment]
        self.groups = len(optimizer.param_groups)
        self.baton.release()
        self.turn.acquire()

    def _run(self) -> None:
        self.turn.acquire()
        sys.argv = [self.script, *self.arguments]
        try:
            runpy.run_path(self.script, run_name="__main__")
        except BaseException as error:
            self.failed = error
        self.baton.release()


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


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
    baton = threading.Semaphore(0)
    sides: dict[str, Side] = {}
    register_optimizer_step_post_hook(
        lambda optimizer, *_: sides[threading.current_thread().name].after_step(optimizer)
    )
    for number, (name, arguments) in enumerate(job["sides"].items()):
        output = Path(job["work"]) / str(number)
        places = [f"--output_dir={output}", "--output_name=lora", f"--logging_dir={output / 'log'}"]
        sides[name] = Side(name, script, [*places, *arguments], baton)
        for _ in range(job["left_out"]):
            sides[name].go_on()
        _forget_strategies()
    seen: dict[str, Any] = {name: {"seconds": [], "cpu": []} for name in sides}
    gc.collect()
    for round_ in range(job["rounds"]):
        for side in list(sides.values())[:: 1 if round_ % 2 == 0 else -1]:
            for what, spent in zip(("seconds", "cpu"), side.go_on(), strict=True):
                seen[side.name][what].append(spent)
    for number, side in enumerate(sides.values()):
        side.go_on()  # to the script's end: that many steps were asked for
        side.thread.join()
        seen[side.name]["groups"] = side.groups
        seen[side.name]["scalars"] = lr_scalars(Path(job["work"]) / str(number) / "log")
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


def _forget_strategies() -> None:
    """sd-scripts keeps one strategy of each kind a process; the next run sets its own, which is the same."""
    from library import strategy_base

    for kept in vars(strategy_base).values():
        if isinstance(kept, type) and "_strategy" in vars(kept):
            kept._strategy = None


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
