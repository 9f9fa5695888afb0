"""Full fine-tuning of a narrow FLUX with 19+38 blocks: what it costs to name its tensors and to plan, once, and what a
step of the optimizer costs under a grid, against torch's own AdamW as the trainers make it."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.measuring import Options, Skip, Table, interleaved, milliseconds, ratio
from lr_grid.full.callers import callers
from lr_grid.full.naming import _outermost, _roots, find_roots
from lr_grid.optim import AdamW, Grid

LR = 1e-5
GRID = {
    **{"self_attn_lr": "1.5x", "cross_attn_lr": "0.5x", "ffn_lr": "0.8x", "norm_lr": "0.1x"},
    "depth_strategy": "cosine",
}
STOCK = "torch AdamW, one group"
WIDTHS = (16, 128)


def measure(options: Options) -> list[Table]:
    """Naming and planning; steps at two widths."""
    return [_naming(options), *(_steps(options, width) for width in WIDTHS)]


def _naming(options: Options) -> Table:
    flux = _flux(WIDTHS[0])
    tensors = list(flux.parameters())
    wanted = {id(tensor) for tensor in tensors}
    sides: dict[str, Callable[[], object]] = {
        "names, from the callers' variables": lambda: find_roots(tensors, callers()),
        "names, from a walk over the heap": lambda: _roots(_outermost({}), wanted),
        "the whole optimizer, plain": lambda: AdamW(tensors, lr=LR),
        "the whole optimizer, with a grid": lambda: _quiet(AdamW, tensors, GRID),
    }
    seconds = interleaved(sides, options.rounds)
    rows = tuple((name, milliseconds(each)) for name, each in seconds.items())
    about = f"{len(tensors)} tensors; once in a run. The heap is walked only where callers do not hold the model."
    return Table("Full fine-tuning: naming and planning", ("what", "ms"), rows, about)


def _steps(options: Options, width: int) -> Table:
    flux = _flux(width)
    tensors = [nn.Parameter(tensor.detach().clone()) for tensor in flux.parameters()]
    generator = torch.Generator().manual_seed(0)
    for tensor in (*flux.parameters(), *tensors):
        tensor.grad = torch.randn(tensor.shape, generator=generator)
    gridded = _quiet(AdamW, list(flux.parameters()), GRID)
    by_lr: dict[float, list[Any]] = {}
    for tensor, scale in zip(tensors, gridded.param_groups[0]["lr_scales"], strict=True):
        by_lr.setdefault(LR * scale, []).append(tensor)
    optimizers = {
        STOCK: torch.optim.AdamW(tensors, lr=LR),
        f"torch AdamW, split by hand into {len(by_lr)} groups": torch.optim.AdamW(
            [{"params": params, "lr": lr} for lr, params in by_lr.items()], lr=LR
        ),
        "lr_grid.optim.AdamW, no grid": AdamW(tensors, lr=LR),
        f"lr_grid.optim.AdamW, grid of {len(by_lr)} LRs": gridded,
        "lr_grid.optim.Grid of torch's AdamW, the same grid": _quiet(
            partial(Grid, optimizer="torch.optim.AdamW"), list(flux.parameters()), GRID
        ),
    }
    with contextlib.redirect_stdout(io.StringIO()):
        seconds = interleaved({name: each.step for name, each in optimizers.items()}, options.rounds)
    rows = tuple((name, milliseconds(each), f"{ratio(each, seconds[STOCK]):.2f}") for name, each in seconds.items())
    numbers = sum(tensor.numel() for tensor in tensors)
    about = f"{len(tensors)} tensors, {numbers:,} numbers, fp32, CPU, {torch.get_num_threads()} thread(s)."
    title = f"Full fine-tuning: a step of the optimizer, width {2 * width}"
    return Table(title, ("optimizer", "ms", f"to {STOCK}"), rows, about)


def _quiet(make: Any, tensors: list[Any], grid: dict[str, Any]) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        return make(tensors, lr=LR, **grid)


def _flux(head: int) -> nn.Module:
    """FLUX.1's depth and tensors, two heads of the given width."""
    try:
        from diffusers import FluxTransformer2DModel
    except ImportError:
        raise Skip("it needs diffusers") from None
    rope = (head // 4, 3 * head // 8, 3 * head // 8)
    return FluxTransformer2DModel(
        in_channels=16,
        num_layers=19,
        num_single_layers=38,
        num_attention_heads=2,
        attention_head_dim=head,
        joint_attention_dim=2 * head,
        pooled_projection_dim=2 * head,
        axes_dims_rope=rope,
        guidance_embeds=True,
    )


if __name__ == "__main__":
    began = time.perf_counter()
    for table in measure(Options()):
        print(table.markdown() + "\n")
    print(f"{time.perf_counter() - began:.0f} s")
