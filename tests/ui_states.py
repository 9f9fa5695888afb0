"""Random states of the page, for any model: what a user can make with bars, cells, rows and pasted arguments."""

from __future__ import annotations

from random import Random

from lr_grid.depth import CURVES
from lr_grid.ui.live import canonical
from lr_grid.ui.models import page_model
from lr_grid.ui.state import Depth, State

RATES = ("1e-5", "4e-4", "0.0002", "1.5x", "0.5x", "2x", "0", "3E-4", "0.75x")
RATIOS = ("4", "16", "2.5")
WEIGHTS = (0.0, 0.5, 0.3, 1.0, 1.0, 2.25, 0.04, 4.0, 1.3300000000000001, 1e-05)
ALPHAS = ("1x", "0.5x", "8", "1")
KEPT = (
    {"rank_budget": "20M"},
    {"module_dims": "attn:8"},
    {"log_grad_norms": "true", "resume_grid": "keep"},
    {"module_lr": "attn.*proj:0.0001,foo,bar{1,2}:2x"},
    {"network_reg_lrs": "a=1e-4"},
    {"rank_strategy": "linear", "depth_scope": "model"},
    {"max_groups": "40"},
    {"rank_dropout": "0.1", "te_ffn_lr": "1e-5"},
)


def random_state(draw: Random, name: str) -> State:
    """One state, canonical. It need not be one that a run takes."""
    model = page_model(name)
    state = State(model, draw.choice(("1e-4", "5e-05", "0.0003")), dim=draw.choice(("", "16")))
    state.alpha = draw.choice(("", "8"))
    some = lambda chance: draw.random() < chance  # noqa: E731
    if some(0.3):
        state.default_lr = draw.choice(RATES)
    state.components = {c: draw.choice(RATES) for c in model.components if some(0.4)}
    if some(0.3):
        state.components_off = [c for c in model.components if some(0.3)]
    if some(0.6):
        state.depth = _curve(draw)
    for stack in model.stacks:
        _blocks(draw, state, stack)
    state.off = {stack: blocks for stack, blocks in state.off.items() if blocks}
    state.loraplus = {ratio: draw.choice(RATIOS) for ratio in ("", "unet", *model.components) if some(0.15)}
    state.component_dim = {c: draw.choice(("4", "8", "0")) for c in model.components if some(0.2)}
    state.component_alpha = {c: draw.choice(ALPHAS) for c in model.components if some(0.2)}
    for kept in draw.sample(KEPT, draw.choice((0, 0, 1, 2))):
        state.kept |= kept
    if state.depth.strategy != "flat":
        state.kept.pop("depth_scope", None)
    if state.depth.strategy == "flat" or state.depth.levels:
        state.kept.pop("max_groups", None)
    if some(0.2):
        state.command = ["accelerate", "launch", "--mixed_precision=bf16", "train.py", "--output_dir", '"$OUT/a b"']
        state.command += ["--learning_rate", "1e-5"] if some(0.5) else []
    return canonical(state)


def _curve(draw: Random) -> Depth:
    strategy = draw.choice(tuple(CURVES))
    lowest = 0.3 if "geometric" in strategy else draw.choice((0.3, 0.1, 0.0))  # there, 0 is refused
    scope = draw.choice(("stack", "model"))
    return Depth(strategy, lowest, draw.choice((0.5, 0.25)), scope, draw.choice((0, 0, 4)))


def _blocks(draw: Random, state: State, stack: str) -> None:
    """Everything that speaks of the blocks of one stack."""
    blocks = range(state.model.stacks[stack])
    some = lambda chance: draw.random() < chance  # noqa: E731
    state.weights[stack] = draw.choice((_ones, _painted, _stretches, _ramp))(draw, len(blocks))
    if some(0.3):
        chance = draw.choice((0.1, 0.9, 1.0))
        state.off[stack] = [b for b in blocks if some(chance)]
    if some(0.2):
        state.block_lr[stack] = {b: draw.choice(RATES) for b in blocks if some(0.4)}
    if some(0.2):
        state.block_dims[stack] = {b: draw.choice((0, 4, 16)) for b in blocks if some(0.4)}
        state.block_alphas[stack] = {b: draw.choice(ALPHAS) for b in blocks if some(0.4)}
    if some(0.3):
        rows = state.model.rows[stack].items()
        state.cells[stack] = {c: {b: draw.choice(RATES) for b in sorted(here) if some(0.15)} for c, here in rows}


def _ones(draw: Random, size: int) -> list[float]:
    return [1.0] * size


def _painted(draw: Random, size: int) -> list[float]:
    return [draw.choice(WEIGHTS) for _ in range(size)]


def _stretches(draw: Random, size: int) -> list[float]:
    value, row = 1.0, []
    for _ in range(size):
        value = draw.choice(WEIGHTS) if draw.random() < 0.2 else value
        row.append(value)
    return row


def _ramp(draw: Random, size: int) -> list[float]:
    """As a mouse draws it."""
    return [round(1 - 0.7 * block / size, 4) for block in range(size)]
