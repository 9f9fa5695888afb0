"""What a trainer's start waits for the import of a grid module: CPU time on top of the wrapped module, in processes of
their own, with what the trainer has loaded by then."""

from __future__ import annotations

import os
import statistics
import subprocess

from benchmarks.measuring import Options, Table
from benchmarks.training_step import ready_trainer

_CODE = """
import sys, time, importlib
sys.path[:0] = [{folder!r}]
import torch, safetensors.torch, library.flux_models, library.train_util
def cpu(name):
    began = time.process_time()
    importlib.import_module(name)
    return time.process_time() - began
print(cpu("networks.lora_flux"), cpu("networks.lora_flux_grid"))
"""


def measure(options: Options) -> list[Table]:
    """ms of CPU time."""
    trainer = ready_trainer(options)
    environment = {**trainer.environment, "PYTHONDONTWRITEBYTECODE": ""}
    code = _CODE.format(folder=str(trainer.folder))
    seconds = []
    for round_ in range(options.rounds + 1):  # the first one compiles
        output = subprocess.run(
            [trainer.python, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
        ).stdout
        if round_:
            seconds.append([float(word) for word in output.split()[-2:]])
    rows = []
    for told, of in (("median", statistics.median), ("fastest", min)):
        base, grid = (f"{of(side) * 1e3:.1f}" for side in zip(*seconds, strict=True))
        rows.append((told, base, grid))
    columns = ("of the rounds", "networks.lora_flux", "networks.lora_flux_grid on top")
    return [Table("Import, ms of CPU time", columns, tuple(rows))]
