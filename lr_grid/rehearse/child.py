"""The child's side: ``python -m lr_grid.rehearse.child SCRATCH`` rehearses the job of a scratch folder."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from lr_grid.rehearse.errors import tell_error
from lr_grid.rehearse.fence import Fence
from lr_grid.rehearse.job import Job, Report


def main(scratch: str) -> int:
    """Runs the job; what came of it is the report in the scratch folder."""
    began = time.monotonic()
    job, report = Job.read(scratch), Report()
    fence = Fence(scratch)
    fence.put_up()
    error: BaseException | None = None
    rehearsal: Any = None
    try:
        rehearsal = _rehearse(job, report)
    except KeyboardInterrupt:
        return 130
    except BaseException as stopped:
        error = stopped
        traceback.print_exc()  # into the log that --keep keeps
    finally:
        rehearsal = rehearsal or _current
        _tell_end(rehearsal, error, report)
        report.data["seconds"] = round(time.monotonic() - began, 2)
        report.data["peak_mb"] = _peak_mb()
        report.data["refused"] = fence.refused
        if fence.refused:
            first = fence.refused[0]
            report.note(
                f"{len(fence.refused)} writes or connections of the trainer's were held back (the first: {first})"
            )
        report.write(scratch)
    return report.code


_current: Any = None


def _rehearse(job: Job, report: Report) -> Any:
    global _current  # noqa: PLW0603 - what was seen so far is told also after an error
    from lr_grid.rehearse.missing import Finished
    from lr_grid.rehearse.script import find_file, run_script

    path = find_file(job)
    try:
        from lr_grid.rehearse import hollow, musubi, sd_scripts
        from lr_grid.rehearse.rehearsal import Rehearsal
    except ModuleNotFoundError as missing:
        from lr_grid.rehearse.missing import CannotRehearse

        where = f"{sys.executable} has no {missing.name}"
        raise CannotRehearse(f"{where}: install lr-grid into the trainer's environment, or name it: --python") from None
    hollow.keep_meta()
    hollow.read_headers_only()
    hollow.hollow_modules()
    hooks: Any = sd_scripts if job.trainer == "sd-scripts" else musubi
    if hooks is musubi:
        musubi.before_import()
    rehearsal = _current = Rehearsal(job, report)
    rehearsal.watch_parsers()
    with contextlib.suppress(Finished):
        run_script(path, job, lambda names: hooks.put_in(names, rehearsal))
    return rehearsal


def _tell_end(rehearsal: Any, error: BaseException | None, report: Report) -> None:
    if error is not None:
        tell_error(error, report)
    if rehearsal is None:
        return
    try:
        rehearsal.end(error)
    except Exception:
        traceback.print_exc()
        report.impossible = (
            report.impossible or f"the rehearsal itself failed: {traceback.format_exc(limit=-1).strip()}"
        )


def _peak_mb() -> int | None:
    """The most memory the process held; None on Windows, which does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 if sys.platform.startswith("linux") else 1024 * 1024)


if __name__ == "__main__":
    sys.exit(main(str(Path(sys.argv[1]))))
