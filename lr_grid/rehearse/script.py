"""A trainer's script, run in two halves: its definitions, then what it does as a program. Hooks go in between."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lr_grid.rehearse.job import Job
from lr_grid.rehearse.missing import CannotRehearse

_MAIN = "__main__"


def find_file(job: Job) -> Path:
    """The script's file.

    Raises: CannotRehearse where it is not here.
    """
    if not job.module:
        path = Path(job.script).absolute()
        if not path.is_file():
            raise CannotRehearse(f"{job.script}: no such file (looked for {path}): run it in the trainer's folder")
        return path
    sys.path[0] = str(Path.cwd())  # as `python -m` has it
    try:
        spec = importlib.util.find_spec(job.module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise CannotRehearse(f"no module {job.module} in this environment ({sys.executable})")
    return Path(spec.origin)


def run_script(path: Path, job: Job, between: Callable[[dict[str, Any]], None]) -> None:
    """Runs a script as ``python SCRIPT ARGUMENTS`` does.

    Args:
        between: called with the script's names when all of them are defined, before its ``if __name__ == "__main__":``.
    """
    if not job.module:
        sys.path[0] = str(path.parent)
    sys.argv = [job.script or str(path), *job.arguments]
    tree = ast.parse(path.read_bytes(), str(path))
    at = next((i for i, node in enumerate(tree.body) if _is_main(node)), None)
    if at is None:
        raise CannotRehearse(f'{path.name} has no `if __name__ == "__main__":`: it cannot be rehearsed')
    module = type(sys)(_MAIN)
    module.__file__ = str(path)
    sys.modules[_MAIN] = module  # what is defined there is looked up there (pickle, dataclasses)
    for body, then in ((tree.body[:at], between), (tree.body[at:], None)):
        # `exec` of the trainer's own file, as runpy does it.
        exec(compile(ast.Module(body, tree.type_ignores), str(path), "exec"), module.__dict__)
        if then is not None:
            then(module.__dict__)


def _is_main(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Name)
        and node.test.left.id == "__name__"
    )
