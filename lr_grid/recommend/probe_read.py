"""Finds what a Prodigy run left behind at a path, and reads it: a saved state before a log."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lr_grid.errors import GridError, listed
from lr_grid.recommend.bounds import LR
from lr_grid.recommend.probe import Probe
from lr_grid.recommend.probe_log import read_logs
from lr_grid.recommend.probe_state import read_state


def read_probe(path: str) -> Probe:
    """Reads d from a saved state (its folder, or optimizer.bin) or from a TensorBoard log (its file, or a folder that
    holds it); where ``path`` is a number, it is d itself.

    Raises: GridError where there is nothing to read, more than one run, or a d that never moved.
    """
    number = _as_number(path)
    if number is not None:
        return Probe("--from-probe", number, None, notes=["d was given as a number: nothing of its run was checked."])
    where = Path(path).expanduser()
    if not os.path.exists(where):  # not Path.exists: it raises where a name is longer than a file's can be
        raise GridError([f"--from-probe: {path}: no such file or folder"])
    states, logs = _candidates(where)
    if states:
        return read_state(_only(states, path, "saved states"))
    if logs:
        return read_logs(logs, path)
    raise GridError(
        [
            f"--from-probe: {path}: holds neither a saved state (optimizer.bin, written with --save_state) nor a "
            "TensorBoard log (events.out.tfevents.*, written with --logging_dir)"
        ]
    )


def _as_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if not LR[0] <= number < 1:
        raise GridError([f"--from-probe: d is a number from {LR[0]:g} to below 1, not {text:.40}"])
    return number


def _candidates(where: Path) -> tuple[list[Path], list[Path]]:
    """(optimizer.bin files, event files) at or below a path."""
    if where.is_file():
        is_log = "tfevents" in where.name
        return ([], [where]) if is_log else ([where], [])
    if (where / "optimizer.bin").is_file():
        return [where / "optimizer.bin"], []
    return sorted(where.rglob("optimizer.bin")), sorted(where.rglob("*tfevents*"))


def _only(found: Sequence[Path], path: str, what: str) -> Path:
    if len(found) > 1:
        names = listed(str(one.parent) for one in found)
        raise GridError([f"--from-probe: {path}: holds {len(found)} {what}: name one of {names}"])
    return found[0]
