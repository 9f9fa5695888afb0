"""What log_grad_norms costs a step: FLUX.1's LoRA (19 double and 38 single blocks, 304 modules, 608 tensors) with it
and without it, in turn, in one process.

The part of a step that it touches is run whole: clipping, AdamW, zero_grad, the loss and the LRs into a TensorBoard
log. That is a small part of a step. The rest, forward and backward through the blocks, is measured on one double and
one single block of real width and taken times 19 and 38: linear layers and attention, frozen weights, LoRA on every
layer, no recomputation of activations, which makes it shorter than a trainer's.

    python benchmarks/norms_cost.py [--rank 16] [--rounds 15] [--image 512] [--device cpu]

Needs lr-grid, accelerate and tensorboard; about 6 GB of memory.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from lr_grid.norms.recorder import NormRecorder
from lr_grid.norms.start import norms_file, start_norms
from lr_grid.norms.tracker import CompanionTracker
from lr_grid.plan import Plan, Row
from lr_grid.sites import Site

WIDTH, HEADS, DOUBLES, SINGLES, TEXT = 3072, 24, 19, 38, 512
STREAM = {"qkv": (1, 3), "proj": (1, 1), "mlp0": (1, 4), "mlp2": (4, 1), "mod": (1, 6)}
DOUBLE = {
    f"{stream}_{name}": (shape, _component)
    for stream in ("img", "txt")
    for name, shape in STREAM.items()
    for _component in [
        "mod" if name == "mod" else "cross_attn" if stream == "txt" else "ffn" if name[:3] == "mlp" else "self_attn"
    ]
}
SINGLE = {"linear1": ((1, 7), "fused"), "linear2": ((5, 1), "fused"), "modulation": ((1, 3), "mod")}
"""Layer -> (inputs and outputs in widths, component)."""


def lora_of_flux(rank: int, device: str) -> tuple[Plan, dict[str, list[tuple[str, nn.Parameter]]]]:
    """The plan of all modules, and their parameters, each with a gradient."""
    rows, parameters = [], {}
    for stack, count, layers in (("double", DOUBLES, DOUBLE), ("single", SINGLES, SINGLE)):
        for block in range(count):
            for layer, ((inputs, outputs), component) in layers.items():
                name = f"{stack}_{block}_{layer}"
                rows.append(Row(Site(name, name, "unet", stack, block, component), rank, rank, 1e-4, 1e-4, False, ""))
                shapes = {"lora_down": (rank, inputs * WIDTH), "lora_up": (outputs * WIDTH, rank)}
                parameters[name] = [
                    (f"{name}.{side}.weight", nn.Parameter(torch.randn(shape, device=device) * 0.01))
                    for side, shape in shapes.items()
                ]
    for named in parameters.values():
        for _, parameter in named:
            parameter.grad = torch.randn_like(parameter) * 1e-4
    return Plan("flux", {"double": DOUBLES, "single": SINGLES}, tuple(rows), 1e-4), parameters


def forward_backward(layers: dict[str, tuple[tuple[int, int], str]], tokens: int, rank: int, device: str) -> float:
    """Seconds of one block: its layers on the tokens that pass them, and one attention over all tokens."""
    passes = []
    for name, ((inputs, outputs), component) in layers.items():
        here = 1 if component == "mod" else TEXT if name.startswith("txt") else tokens - TEXT * name.startswith("img")
        base = torch.randn(outputs * WIDTH, inputs * WIDTH, device=device) * 0.01
        down = nn.Parameter(torch.randn(rank, inputs * WIDTH, device=device) * 0.01)
        up = nn.Parameter(torch.zeros(outputs * WIDTH, rank, device=device))
        x = torch.randn(here, inputs * WIDTH, device=device, requires_grad=True)
        passes.append((x, base, down, up))
    qkv = torch.randn(3, 1, HEADS, tokens, WIDTH // HEADS, device=device, requires_grad=True)

    def once() -> None:
        for x, base, down, up in passes:
            (nn.functional.linear(x, base) + x @ down.T @ up.T).sum().backward()
        nn.functional.scaled_dot_product_attention(*qkv).sum().backward()

    once()
    return min(_seconds(once, device) for _ in range(2))


def timed(owner: type, *names: str) -> list[float]:
    """Has methods of a class add the time they take to the list that is returned, call by call."""
    spent: list[float] = []

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                spent.append(time.perf_counter() - began)

        return wrapped

    for name in names:
        setattr(owner, name, wrap(getattr(owner, name)))
    return spent


def _seconds(call: Callable[[], None], device: str) -> float:
    _wait(device)
    began = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--image", type=int, default=512, help="pixels a side; FLUX.1 has a token for 16 by 16")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    device = options.device
    inside = [timed(NormRecorder, "_before", "_after"), timed(CompanionTracker, "log")]

    with tempfile.TemporaryDirectory() as folder:
        accelerator = Accelerator(cpu=device == "cpu", log_with="tensorboard", project_dir=folder)
        accelerator.init_trackers("run")
        sides: dict[str, Callable[[int], None]] = {}
        for side in ("without", "with"):
            plan, parameters = lora_of_flux(options.rank, device)
            tensors = [parameter for named in parameters.values() for _, parameter in named]
            optimizer = torch.optim.AdamW(tensors, lr=1e-4)
            grads = [tensor.grad for tensor in tensors]
            if side == "with":
                recorder = start_norms(plan, parameters, norms_file(Path(folder) / "run.lr_grid.json"))

            def step(number: int, tensors=tensors, optimizer=optimizer, grads=grads) -> None:
                for tensor, grad in zip(tensors, grads, strict=True):
                    tensor.grad = grad
                torch.nn.utils.clip_grad_norm_(tensors, 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                accelerator.log({"loss/current": 0.1, "loss/average": 0.1, "lr/unet": 1e-4}, step=number)

            sides[side] = step
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        for number in range(1, options.rounds + 3):
            for side, step in sides.items():
                seconds[side].append(_seconds(lambda step=step, number=number: step(number), device))
        size = (Path(folder) / "run.lr_grid.norms").stat().st_size
        accelerator.end_training()
        assert recorder is not None
        recorder.close()

    rounds = list(zip(seconds["without"][2:], seconds["with"][2:], strict=True))  # the first rounds warm up
    without, difference = (statistics.median(times) for times in zip(*((a, b - a) for a, b in rounds), strict=True))
    # In all its calls: two hooks a step, and one call of two in the log (the other is of the side without).
    hooks, log = inside[0][4:], inside[1][2:]
    cost = 2 * statistics.fmean(hooks) + 2 * statistics.fmean(log)
    numbers = sum(tensor.numel() for tensor in tensors)
    print(f"{len(tensors)} tensors, {numbers / 1e6:.1f} M parameters; medians of {len(rounds)} rounds on {device}")
    print(f"clipping, optimizer and log: {without * 1e3:.1f} ms; with log_grad_norms {difference * 1e3:+.1f} ms")
    print(f"its own calls take {cost * 1e3:.1f} ms")
    tokens = (options.image // 16) ** 2 + TEXT
    passes = [forward_backward(layers, tokens, options.rank, device) for layers in (DOUBLE, SINGLE)]
    whole = passes[0] * DOUBLES + passes[1] * SINGLES
    print(f"forward and backward at {tokens} tokens: {passes[0]:.2f} s a double and {passes[1]:.2f} s a single block")
    most = max(cost, difference)
    print(f"of a step of {whole + without:.1f} s, log_grad_norms takes {100 * most / (whole + without):.3f} %")
    print(f"norms file: {size} bytes so far, of {options.rounds + 2} steps")


if __name__ == "__main__":
    main()
