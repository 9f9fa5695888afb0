"""Saves the state of a rehearsed run, as a run of real size would: python hollow_state.py SCRATCH

SCRATCH holds a job with whole tensors (lr_grid.rehearse.job); the state lands in SCRATCH/state, saved by accelerate
through the trainer's own hooks.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lr_grid.rehearse import child
from lr_grid.rehearse.missing import Finished
from lr_grid.rehearse.rehearsal import Rehearsal

SCRATCH = Path(sys.argv[1])
real = Rehearsal.batch


def batch(self: Rehearsal, accelerator: Any, network: Any) -> Any:
    try:
        return real(self, accelerator, network)
    except Finished:
        accelerator.save_state(str(SCRATCH / "state"))
        raise


Rehearsal.batch = batch  # type: ignore[method-assign]
sys.exit(child.main(str(SCRATCH)))
