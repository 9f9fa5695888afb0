"""The outcome of each optimizer with each scheduler: measured (movements.py), kept (movements.json), and read again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from inventories.optimizer_cases import OPTIMIZERS, SCHEDULERS, lr_of
from inventories.running import run_inventory

FILE = Path(__file__).parent / "movements.json"

KEPT, FLAT, BENT, STILL, REFUSED, DIED = "kept", "flat", "bent", "still", "not built", "dies"
"""2 : 1 in every step that moves; 1 : 1 in every one; something else; never moved; refused by the trainer, or by the
class itself, before the first step; an exception in a step."""
_TOLERANCE = 0.01

Outcomes = dict[str, dict[str, str]]
"""Optimizer -> scheduler -> outcome."""


def outcome(measured: Mapping[str, Any]) -> str:
    """Of one cell, from what movements.py tells."""
    if measured["error"]:
        return DIED if measured["step"] else REFUSED
    if measured["ratio"] is None:
        return STILL
    least, most = map(float, measured["ratio"])  # "nan" stays one, and is bent
    for ratio, name in ((2, KEPT), (1, FLAT)):
        if abs(least / ratio - 1) <= _TOLERANCE and abs(most / ratio - 1) <= _TOLERANCE:
            return name
    return BENT


def measure(
    trainer: Any, name: str, path: Path, optimizers: Iterable[str] | None = None, schedulers: Iterable[str] = SCHEDULERS
) -> Outcomes:
    """Measured in the trainer's environment, in one process.

    Args:
        trainer: as run_inventory takes it.
        name: sd-scripts or musubi-tuner.
        path: a folder of further optimizers.
        optimizers, schedulers: which of its cases (None: all).
    """
    chosen = None if optimizers is None else set(optimizers)
    among = set(schedulers)
    cases = [
        {
            "optimizers": {key: value for key, value in every.items() if chosen is None or key in chosen},
            "schedulers": {key: SCHEDULERS[key] for key in keys if key in among},
            "lrs": {key: lr_of(key) for key in every},
        }
        for every, keys in OPTIMIZERS[name].values()
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cases.json"
        file.write_text(json.dumps(cases), encoding="utf-8")
        found = run_inventory("movements.py", trainer, name, str(file), path=[path])
    return {
        optimizer: {key: outcome(cell) for key, cell in cells.items()} for optimizer, cells in found.items() if cells
    }


def known() -> dict[str, Outcomes]:
    """Trainer -> the outcomes that were measured last."""
    data = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        trainer: {
            optimizer: {key: name for name, keys in by_outcome.items() for key in keys}
            for optimizer, by_outcome in optimizers.items()
        }
        for trainer, optimizers in data.items()
    }


def write(trainer: str, found: Outcomes) -> None:
    """Keeps a trainer's outcomes, for each optimizer the schedulers by outcome."""
    data = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    data[trainer] = {}
    for optimizer, cells in found.items():
        by_outcome: dict[str, list[str]] = {}
        for key, name in cells.items():
            by_outcome.setdefault(name, []).append(key)
        data[trainer][optimizer] = by_outcome
    lines = [
        f"{json.dumps(trainer)}: {{\n"
        + ",\n".join(f"{json.dumps(name)}: {json.dumps(cells)}" for name, cells in optimizers.items())
        + "\n}"
        for trainer, optimizers in data.items()
    ]
    FILE.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")
