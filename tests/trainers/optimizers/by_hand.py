"""An optimizer as one would build it by hand for a grid: torch's AdamW on groups that are really split by LR.

A trainer takes it by its dotted name. The table of LRs (a JSON file: name of a tensor -> absolute LR) comes in an
environment variable; names are those of the full probe. What has an LR of 0 does not train and is in no group.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

TABLE = "LR_GRID_TRAINER_BY_HAND"
PROBE = "lr_grid_trainer_harness_full_probe"


class AdamW(torch.optim.AdamW):
    def __init__(self, params: Iterable[Any], lr: float, **options: Any) -> None:
        table = json.loads(Path(os.environ[TABLE]).read_text(encoding="utf-8"))
        names = sys.modules[PROBE].names_of_living_modules()
        held = list(params)
        groups = held if isinstance(held[0], dict) else [{"params": held}]
        split: list[dict[str, Any]] = []
        for group in groups:
            by_lr: dict[float, list[torch.nn.Parameter]] = {}
            for p in group["params"]:
                by_lr.setdefault(table[names[id(p)]], []).append(p)
            for p in by_lr.pop(0.0, []):
                p.requires_grad_(False)
            split += [{**group, "params": tensors, "lr": its} for its, tensors in by_lr.items()]
        super().__init__(split, lr=lr, **options)
