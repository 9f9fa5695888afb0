"""What optimizer groups cost around the optimizer: the scheduler's step, the tracker's log, and memory."""

from __future__ import annotations

import statistics
import tempfile
import tracemalloc
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.measuring import Options, Table, interleaved, milliseconds, ratio

GROUPS = (1, 57, 228, 456, 912)


def measure(options: Options) -> list[Table]:
    """Scheduler step, log and memory by the number of groups."""
    made = {number: _scheduler(number) for number in GROUPS}
    steps = interleaved({str(n): _many(scheduler.step) for n, scheduler in made.items()}, options.rounds)
    logs = _logging(made, options)
    rows = []
    for number in GROUPS:
        name = str(number)
        step = f"{statistics.median(steps[name]) * 1e4:.1f}"  # of a hundred steps
        log = milliseconds(logs[name]) if logs else "-"
        rows.append((name, step, f"{ratio(steps[name], steps['1']):.1f}", log, f"{_memory(number) / 1024:.0f}"))
    columns = ("groups", "LambdaLR.step, us", "ratio to 1", "TensorBoard through accelerate, 1 scalar each, ms")
    return [Table("Scheduler, log and memory", (*columns, "optimizer's groups, KiB"), tuple(rows))]


def _groups(number: int) -> list[dict[str, Any]]:
    return [{"params": [nn.Parameter(torch.zeros(1))], "lr": 1e-4 * (i + 1)} for i in range(number)]


def _scheduler(number: int) -> torch.optim.lr_scheduler.LambdaLR:
    optimizer = torch.optim.AdamW(_groups(number), lr=1e-4)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    optimizer.step()  # before the scheduler's, as torch wants it
    return scheduler


def _many(step: Any) -> Any:
    return lambda: [step() for _ in range(100)]


def _memory(number: int) -> int:
    """Bytes that Python holds for an optimizer's groups, its parameters apart."""
    groups = _groups(number)
    tracemalloc.start()
    optimizer = torch.optim.AdamW(groups, lr=1e-4)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del optimizer
    return size


def _logging(made: dict[int, Any], options: Options) -> dict[str, list[float]]:
    try:
        from accelerate import Accelerator

        with tempfile.TemporaryDirectory() as folder:
            accelerator = Accelerator(cpu=True, log_with="tensorboard", project_dir=folder)
            accelerator.init_trackers("benchmark")
            tags = {
                number: {f"lr/unet block {i}": lr for i, lr in enumerate(scheduler.get_last_lr())}
                for number, scheduler in made.items()
            }
            sides = {str(number): partial(accelerator.log, scalars, step=0) for number, scalars in tags.items()}
            seconds = interleaved(sides, options.rounds)
            accelerator.end_training()
            return seconds
    except ImportError:
        return {}
