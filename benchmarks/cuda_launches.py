"""CUDA kernels that an optimizer step launches, by the number of groups, counted by torch's profiler. Needs a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.measuring import Options, Skip, Table

GROUPS = (1, 57, 228, 456)
TENSORS = 912
LAUNCH = "cudaLaunchKernel"


def measure(options: Options) -> list[Table]:
    """Launches of a step of torch's AdamW, foreach and fused."""
    if not torch.cuda.is_available():
        raise Skip("there is no GPU here")
    rows = tuple(
        (name, *(str(_launches(name == "fused", groups, "cuda")) for groups in GROUPS)) for name in ("foreach", "fused")
    )
    return [Table("CUDA launches of a step", ("AdamW", *(f"{n} groups" for n in GROUPS)), rows)]


def _launches(fused: bool, groups: int, device: str) -> int:
    parameters = [nn.Parameter(torch.zeros(16, 16, device=device)) for _ in range(TENSORS)]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    made = [{"params": parameters[i::groups], "lr": 1e-4 * (i + 1)} for i in range(groups)]
    optimizer = torch.optim.AdamW(made, fused=fused, foreach=not fused)
    optimizer.step()
    return count_launches(optimizer.step)


def count_launches(step: Callable[[], Any]) -> int:
    """How many kernels a call launches (0 on a CPU)."""
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])
    with profile(activities=activities) as seen:
        step()
    return sum(event.count for event in seen.key_averages() if event.key.startswith(LAUNCH))
