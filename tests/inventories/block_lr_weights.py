"""Prints what sd-scripts' own networks.lora makes of block LR weights.

Arguments: JSON list of {down, mid, up, threshold, is_sdxl}; the trainer's folder. Output: a list of lists of weights.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from pathlib import Path

cases, folder = json.loads(sys.argv[1]), sys.argv[2]
sys.path.append(folder)
if importlib.util.find_spec("torchvision") is None:
    sys.path.append(str(Path(__file__).parent.parent / "trainers" / "torchvision_stand_in"))
logging.disable(logging.CRITICAL)

from networks.lora import get_block_lr_weight  # noqa: E402

print()
print(
    json.dumps(
        [
            get_block_lr_weight(case["is_sdxl"], case["down"], case["mid"], case["up"], case["threshold"])
            for case in cases
        ]
    )
)
