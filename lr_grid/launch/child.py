"""What stands before the script in the command that ``lr-grid launch`` starts: ``python child.py [-m] SCRIPT ARGS``.

Runs the script as Python would, and puts a grid on the optimizer that it makes.
"""

from __future__ import annotations

import json
import os
import sys


def main(words: list[str]) -> int:
    """Runs a script, or behind -m a module."""
    sys.path.pop(0)  # this folder
    sys.path.insert(0, os.getcwd())
    try:
        from lr_grid.errors import GridError
        from lr_grid.launch.command import SETTINGS
        from lr_grid.rehearse.job import Job
        from lr_grid.rehearse.missing import CannotRehearse
        from lr_grid.rehearse.script import find_file, run_script
    except ModuleNotFoundError as error:
        print(
            f"lr-grid: error: {sys.executable} has no {error.name}: install lr-grid into the trainer's environment",
            file=sys.stderr,
        )
        return 2
    is_module = words[:1] == ["-m"]
    script, *arguments = words[1:] if is_module else words
    job = Job("" if is_module else script, script if is_module else "", "", "", tuple(arguments), "")
    grid = json.loads(os.environ[SETTINGS])

    def hook(names: dict[str, object]) -> None:
        from lr_grid.launch.hooks import hook_in

        hook_in(names, grid)

    try:
        run_script(find_file(job), job, hook)
    except (GridError, CannotRehearse) as error:
        print(f"lr-grid: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
