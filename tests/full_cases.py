"""Grids for the full fine-tuning scripts, what no gradient reaches in their tiny models, and runs of them in pairs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from full_oracle import Grid, blocks_of, place_of
from trainers.full_result import FullResult
from trainers.full_scripts import run_full

OURS = "lr_grid.optim.AdamW"
EXACT = ["eps=1e-16", "weight_decay=0"]
"""So that the first step of AdamW moves the largest element of a tensor by its LR, however small its gradient."""
BY_HAND = "by_hand.AdamW"
OPTIMIZERS = Path(__file__).parent / "trainers" / "optimizers"

_COMMON = {"self_attn": "1.5x", "ffn": "0.5x", "norm": "0.2x", "embed": 2e-4, "other": "0.8x"}
_MOD = {**_COMMON, "mod": "0.6x"}
_CROSS = {**_MOD, "cross_attn": "0.25x"}
GRIDS = {
    "fine_tune": Grid({**_CROSS, "other": 0}, 0.4, {("unet", 12): 0.5}),
    "train_db": Grid(_CROSS, 0.3, {("unet", 3): 0}),
    "sdxl_train": Grid(_CROSS, 0.5, {("unet", 11): 2}),
    "flux_train": Grid({**_CROSS, "mod": 0}, 0.4, {("single", 1): 0.5}),
    "flux_train_19_38": Grid({**_CROSS, "mod": 0}, 0.3, {("double", 7): 0, ("single", 20): 2}),
    "sd3_train": Grid(_MOD, 0.3, {("joint", 0): 0.5}),
    "lumina_train": Grid({**_MOD, "norm": 0}, 0.4, {("noise_refiner", 0): 0.1}),
    "anima_train": Grid(_CROSS, 0.4, {("llm_adapter", 1): 0, ("blocks", 1): 2}),
    "hv_train": Grid({**_CROSS, "fused": "0.9x"}, 0.4, {("refiner", 0): 0.5}),
    "qwen_image_train": Grid({**_CROSS, "embed": 0}, 0.4, {("blocks", 1): 0.5}),
    "zimage_train": Grid(_MOD, 0.4, {("layers", 1): 0.5, ("context_refiner", 0): 0}),
    "hidream_o1_train": Grid(_COMMON, 0.4, {("layers", 1): 2}),
}

UNREACHED = {
    "fine_tune": r"mid_block.*attn1\.to_[qk]\.weight",  # one position only: nothing to weigh
    "train_db": r"mid_block.*attn1\.to_[qk]\.weight",
    "sdxl_train": r"CLIPTextModel\.text_model\.(encoder\.layers\.11|final_layer_norm)",  # not read
    "sd3_train": r"joint_blocks\.1\.context_block\.attn\.ln_q",  # the last block's text stream ends there
    "lumina_train": r"norm_final",
    "qwen_image_train": r"blocks\.1\.(attn\.(add_q_proj|to_add_out|norm_added_q)|txt_mlp)",
    "zimage_train": r"_pad_token",
}
"""By script: tensors (a regex) that are in the optimizer, and that no gradient of the tiny model reaches."""


def reached(name: str, tensor: str) -> bool:
    return not (name in UNREACHED and re.search(UNREACHED[name], tensor))


def rates(grid: Grid, result: FullResult) -> dict[str, float]:
    """What the grid gives every tensor of a run, by the oracle: from the LR that the trainer gave its group."""
    counts = blocks_of(list(result.tensors))
    return {name: grid.lr(name, tensor["lr"], counts) for name, tensor in result.tensors.items()}


def by_hand(trainer: Any, name: str, table: dict[str, float], workdir: Path, **options: Any) -> FullResult:
    """The run again under an optimizer whose groups are split by a table of LRs."""
    file = workdir / "by_hand.json"
    file.write_text(json.dumps(table), encoding="utf-8")
    env = {"PYTHONPATH": str(OPTIMIZERS), "LR_GRID_TRAINER_BY_HAND": str(file)}
    result = run_full(trainer, name, workdir=workdir, run="by_hand", optimizer=BY_HAND, env=env, **options)
    assert set(result.expect_success().optimizers) == {BY_HAND}
    return result


def assert_moved_at(name: str, result: FullResult, table: dict[str, float], step: int = 0) -> None:
    """The first step moved every tensor by its LR (an element as near 1 as float32 allows)."""
    wrong = {
        tensor: (moved, table[tensor])
        for tensor, moved in first_moves(result, step).items()
        if abs(moved - (table[tensor] if reached(name, tensor) else 0)) > 1e-3 * table[tensor] + 1.3e-7
    }
    assert wrong == {}


def first_moves(result: FullResult, step: int = 0) -> dict[str, float]:
    """By tensor; what is in no step of an optimizer did not move."""
    return {
        name: tensor["moved"][step] if len(tensor["moved"]) > step else 0.0 for name, tensor in result.tensors.items()
    }


def assert_same_weights(one: FullResult, other: FullResult, frozen: Sequence[str] = ()) -> None:
    """Bit by bit. ``frozen``: tensors that one of them alone holds, and that must not have moved."""
    after, expected = one.after(), other.after()
    assert after.keys() == expected.keys() | set(frozen)
    assert [name for name, digest in expected.items() if after[name] != digest] == []
    still = [one.tensors[name] for name in frozen]
    assert [tensor for tensor in still if any(tensor["moved"]) or tensor["moved_outside"]] == []


def assert_planned(result: FullResult, table: dict[str, float]) -> None:
    """The plan has every tensor's module, nothing else, at its place and its LR; no rule failed inside a block."""
    plan = result.plan()
    modules = {module["name"]: module for module in plan["modules"]}
    found = {tensor: module_of(tensor, modules) for tensor in result.tensors}
    assert [tensor for tensor, module in found.items() if module is None] == []
    assert {module["name"] for module in found.values() if module} == modules.keys()
    for tensor, module in found.items():
        place = (module["part"], module["stack"] or "", module["block"] or 0, module["component"])
        assert place == place_of(tensor), tensor
        assert abs(module["lr_down"] - table[tensor]) <= 1e-12 * table[tensor], tensor
        assert module["frozen"] == (table[tensor] == 0), tensor
    assert [notice for notice in plan["notices"] if notice.startswith("no rule")] == []


def module_of(tensor: str, modules: dict[str, Any]) -> dict[str, Any] | None:
    """The plan's row of a tensor: its module's, or its own where it stands right in a block."""
    path = tensor.partition(".")[2]
    part = place_of(tensor)[0]
    prefix = "" if part == "unet" else f"{part}."
    names = [prefix + its for its in (path, path.rpartition(".")[0])]
    return next((modules[name] for name in names if name in modules), None)
