"""Runs a trainer's script in this process, as ``python SCRIPT ARGUMENTS`` would, on a shrunk model.

python run_script.py SHRINK_MODULE FAMILY SCRIPT ARGUMENTS...
SHRINK_MODULE is a Python file (its suffix may be left out) whose FAMILIES are functions that shrink the models of a
family in memory. With the variable PROBE_FILE (FULL_PROBE_FILE) set, the probe (full_probe.py) is loaded too and writes
its report there at the end.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent  # it may be run by a link, under a name that does not look like a script's
PROBE_FILE = "LR_GRID_TRAINER_PROBE_FILE"
FULL_PROBE_FILE = "LR_GRID_TRAINER_FULL_PROBE_FILE"


def load_module(file: Path) -> ModuleType:
    """Import a module of the harness without putting its folder on ``sys.path``, which stays what a user has."""
    spec = importlib.util.spec_from_file_location(f"lr_grid_trainer_harness_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main(shrink: str, family: str, script: str, *arguments: str) -> None:
    sys.path[0] = str(Path(script).parent)
    if importlib.util.find_spec("torchvision") is None:
        sys.path.append(str(HERE / "torchvision_stand_in"))
    load_module(Path(shrink).with_suffix(".py")).FAMILIES[family]()
    for variable, probe in ((PROBE_FILE, "probe.py"), (FULL_PROBE_FILE, "full_probe.py")):
        if variable in os.environ:
            load_module(HERE / probe).install(Path(os.environ[variable]))
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
