"""What a grid costs before the first step, by the number of modules: places, settings, plan, groups."""

from __future__ import annotations

import itertools
import statistics
import time

import torch
from torch import nn

from benchmarks.measuring import Options, Table, power
from lr_grid.binding import bind_settings
from lr_grid.errors import Problems
from lr_grid.facts import facts_and_parameters
from lr_grid.groups import build_groups
from lr_grid.placing import read_sites
from lr_grid.plan import TrainerLrs
from lr_grid.planner import make_plan
from lr_grid.settings import read_settings

SIZES = (100, 300, 1000, 3000, 5000, 10000)
GRID = {
    "self_attn_lr": "2x",
    "ffn_lr": "0.5x",
    "depth_strategy": "linear",
    "depth_levels": "8",
    "loraplus_lr_ratio": "16",
}
STAGES = ("sites", "settings", "facts", "plan", "groups")
PLANNED = ("sites", "plan", "groups")
WALK = "named_modules"
"""What the planning is to be held against: torch's own walk over the model and the network."""


class Lora(nn.Module):
    """A network module as kohya's, of no size."""

    def __init__(self, name: str, original: nn.Module) -> None:
        super().__init__()
        self.lora_name, self.lora_dim, self.org_module = name, 4, original
        self.lora_down = nn.Linear(8, 4, bias=False, device="meta")
        self.lora_up = nn.Linear(4, 8, bias=False, device="meta")
        self.register_buffer("alpha", torch.tensor(2.0))


def make(size: int) -> tuple[nn.Module, list[Lora]]:
    """(a transformer of ``size`` Linears, eight a block, its network's modules)."""
    with torch.device("meta"):
        blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "attn": nn.ModuleDict({name: nn.Linear(8, 8) for name in ("to_q", "to_k", "to_v", "to_out")}),
                    "mlp": nn.ModuleDict({name: nn.Linear(8, 8) for name in ("fc1", "fc2", "fc3", "fc4")}),
                }
            )
            for _ in range(max(2, size // 8))
        )
    model = nn.Module()
    model.blocks = blocks
    linears = [(path, module) for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    return model, [Lora("lora_unet_" + path.replace(".", "_"), module) for path, module in linears]


def stages(model: nn.Module, modules: list[Lora]) -> list[float]:
    """Seconds of each of STAGES."""
    times = [time.process_time()]
    sites = read_sites(modules, model, None)
    times.append(time.process_time())
    problems = Problems()
    grid = bind_settings(read_settings(GRID, problems), sites, problems)
    problems.raise_if_any()
    times.append(time.process_time())
    facts, named = facts_and_parameters(modules)
    times.append(time.process_time())
    plan = make_plan(grid, facts, TrainerLrs(1e-4), ["unet"])
    times.append(time.process_time())
    build_groups(plan, named)
    times.append(time.process_time())
    return [after - before for before, after in itertools.pairwise(times)]


def walk(model: nn.Module, modules: list[Lora]) -> float:
    """Seconds of torch's own walk over the model and the network's modules."""
    began = time.process_time()
    for module in (model, *modules):
        for _ in module.named_modules():
            pass
    return time.process_time() - began


def measure(options: Options) -> list[Table]:
    """ms of each stage at each size, and how the sum grows."""
    made = {size: make(size) for size in SIZES}
    seconds: dict[int, list[dict[str, float]]] = {size: [] for size in SIZES}
    for round_ in range(options.rounds + 1):
        for size in SIZES:
            measured = dict(zip(STAGES, stages(*made[size]), strict=True))
            planned, total = sum(measured[stage] for stage in PLANNED), sum(measured.values())
            columns = {**measured, " + ".join(PLANNED): planned, "sum": total, WALK: walk(*made[size])}
            if round_:
                seconds[size].append(columns)
    fastest = {size: {name: min(r[name] for r in seconds[size]) for name in seconds[size][0]} for size in SIZES}
    rows = [
        (str(len(made[size][1])), *(f"{s * 1e3:.1f}" for s in columns.values())) for size, columns in fastest.items()
    ]
    totals = [columns["sum"] for columns in fastest.values()]
    each = statistics.linear_regression(SIZES, totals).slope
    about = (
        f"ms of CPU time, the fastest of {options.rounds} rounds (who shares a machine is only ever slowed down)."
        f" The sum grows with the number of modules to the power of {power(SIZES, totals):.2f},"
        f" {each * 1e6:.1f} us a module. {WALK}: torch's own walk over the same modules, which finds out nothing."
    )
    return [Table("Start-up", ("modules", *fastest[SIZES[0]]), tuple(rows), about)]
