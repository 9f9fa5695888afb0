"""What stopped the trainer, in a few lines: its own message and its own line, not sixty lines of traceback."""

from __future__ import annotations

import os
import re
import traceback

from lr_grid.errors import GridError
from lr_grid.rehearse.job import Report
from lr_grid.rehearse.missing import CannotRehearse, Finished

_OURS = os.sep + os.path.join("lr_grid", "rehearse") + os.sep
_NO_WEIGHTS = re.compile(r"meta tensor|device meta|'meta'|meta device|on device meta|must be on the same device", re.I)
_NO_GPU = re.compile(r"\bcuda\b|\btriton\b|\bNVIDIA\b|\bROCm\b", re.I)
_DOWNLOAD = re.compile(r"not cached locally|couldn't connect to|cannot find the requested files|outgoing traffic", re.I)
_LINES, _WIDTH = 3, 200


def tell_error(error: BaseException, report: Report) -> None:
    """Notes an error as a finding; or as the reason why nothing can be told, where the rehearsal brought it about."""
    if isinstance(error, Finished):
        return
    if isinstance(error, CannotRehearse):
        report.impossible = str(error)
        return
    if isinstance(error, SystemExit):
        if error.code not in (None, 0):
            report.find("arguments", "", "")  # the parent puts the trainer's last line here
            report.data["exit"] = error.code if isinstance(error.code, int) else str(error.code)
        return
    if isinstance(error, GridError):
        for problem in error.problems:
            report.find("lr-grid", problem)
        return
    text = _short(str(error)) or "(no message)"
    where = _where(error)
    if "lr-grid rehearse does not" in text:
        report.impossible = f"the trainer needs to {text.partition('does not ')[2]} ({where})"
    elif isinstance(error, OSError) and _DOWNLOAD.search(text):
        report.impossible = f"the run would download a file that is not on this machine: {text} ({where})"
    elif _NO_WEIGHTS.search(text):
        report.impossible = (
            f"something needs the base model's values, which a rehearsal does not have: {text} ({where})"
        )
    elif _NO_GPU.search(text):
        report.impossible = f"something needs a GPU: {text} ({where})"
    else:
        report.find("trainer", f"{type(error).__name__}: {text} ({where})")


def _short(text: str) -> str:
    """The first lines of a message."""
    lines = [" ".join(line.split()) for line in text.strip().splitlines() if line.strip()]
    cut = [f"{line[:_WIDTH]} ..." if len(line) > _WIDTH else line for line in lines[:_LINES]]
    return "\n".join([*cut, f"... ({len(lines)} lines)"] if len(lines) > _LINES else cut)


def _where(error: BaseException) -> str:
    """File, line and function of the innermost line that is not the rehearsal's."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _OURS not in f.filename]
    own = [f for f in frames if "site-packages" not in f.filename and "lib/python" not in f.filename]
    frame = (own or frames or [None])[-1]  # type: ignore[list-item]
    return "" if frame is None else f"{os.path.basename(frame.filename)}:{frame.lineno}, {frame.name}"
