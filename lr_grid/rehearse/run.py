"""The parent's side: starts the child, waits for it, and puts together what came of it. Needs no torch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from lr_grid.errors import GridError
from lr_grid.rehearse.command import job_of, python_of
from lr_grid.rehearse.fence import make_scratch, scratch_environment
from lr_grid.rehearse.job import LOG, Report
from lr_grid.rehearse.launch import launch_environment, launch_notes
from lr_grid.training.command import TrainingCommand
from lr_grid.training.config import TrainingConfig
from lr_grid.training.finding import Finding

TIMEOUT = 300.0
"""Seconds."""
_NOISE = re.compile(r"^\s*$|^usage:|^\s+\[|it/s|s/it|\d+%\|")
_TAIL = 6  # lines of the trainer's own output beside an error


def rehearse(
    command: TrainingCommand,
    config: TrainingConfig,
    *,
    steps: int = 4,
    timeout: float = TIMEOUT,
    python: str | None = None,
    whole: bool = False,
    keep: bool = False,
) -> Report:
    """Rehearses a command in a child process and returns what was seen.

    Args:
        config: the same command as ``lr_grid.training`` reads it: what it finds in its writing is told, too.
        steps: of the optimizer.
        timeout: seconds.
        python: the Python to use.
        whole: keep the network's tensors whole.
        keep: leave the folder with the child's output; ``data["folder"]`` names it.

    Raises: GridError where the Python cannot be used.
    """
    chosen = python_of(command.launch, python)
    scratch = make_scratch()
    try:
        job_of(command, scratch, steps, whole).write()
        report = _run(chosen, scratch, timeout, launch_environment(command.launch))
        _tell_writing(config.findings, report)
        for note in launch_notes(command.launch):
            report.note(note)
        if keep:
            report.data["folder"] = str(scratch)
        return report
    finally:
        if not keep:
            shutil.rmtree(scratch, ignore_errors=True)


def _run(python: str, scratch: Path, timeout: float, launch: dict[str, str]) -> Report:
    environment = {**os.environ, **launch, **scratch_environment(scratch)}
    environment.setdefault("OMP_NUM_THREADS", "1")  # the tensors are small: more threads only wait for each other
    log = scratch / LOG
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [python, "-m", "lr_grid.rehearse.child", str(scratch)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            ending = f"no end after {timeout:g} s (--timeout); its last line: {_last(log, 1) or '(none)'}"
            return Report(impossible=ending)
        except BaseException:
            process.kill()
            process.wait()
            raise
    report = Report.read(scratch)
    if report is None:
        ended = f"signal {-process.returncode}" if process.returncode < 0 else f"exit code {process.returncode}"
        return Report(impossible=f"the child ended ({ended}) without a report: {_last(log, 3)}")
    report.findings = [_with_last_line(finding, log) for finding in report.findings]
    if any(subject == "steps" for subject, _, _ in report.findings):
        report.data["tail"] = _last(log, _TAIL).splitlines()
    grid = next((line.strip() for line in _lines(log) if "[lr_grid] model=" in line), "")
    if grid:
        report.verified.append(("grid", grid[grid.index("[lr_grid]") + len("[lr_grid] ") :]))
    return report


def _with_last_line(finding: tuple[str, str, str], log: Path) -> tuple[str, str, str]:
    """A trainer that left by its own exit said why in its last line."""
    subject, text, cure = finding
    return (subject, text or _last(log, 1), cure)


def _tell_writing(findings: list[Finding], report: Report) -> None:
    """What is wrong with the way the command is written: repeated flags; keys of a TOML that nobody reads. What the
    trainer's own parser judges is left to it."""
    known = set(report.data.pop("options", ()))
    for finding in findings:
        if finding.severity == "note":
            continue
        unknown = re.search(r" has no (?:--)?(\w+): ", finding.message)
        if unknown and (unknown[1] in known or (known and finding.place.flag)):
            continue  # another version of the trainer takes it
        if finding.severity == "error":
            report.find("arguments", f"{finding.place}: {finding.message}", finding.cure)
        else:
            report.note(f"{finding.place}: {finding.text}")


def _lines(log: Path) -> list[str]:
    try:
        return log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
    except OSError:
        return []


def _last(log: Path, count: int) -> str:
    """The last lines that say something."""
    lines = _lines(log)
    start = next((i for i, line in enumerate(lines) if line.startswith("Traceback (most recent")), len(lines))
    said = [line.strip() for line in lines[:start] if not _NOISE.search(line)]
    return "\n".join(said[-count:])


def require_steps(steps: int, timeout: float) -> None:
    """Raises: GridError for numbers that make no rehearsal."""
    problems = []
    if steps < 1:
        problems.append(f"--steps {steps}: at least 1")
    if not timeout > 0:
        problems.append(f"--timeout {timeout:g}: more than 0 seconds")
    if problems:
        raise GridError(problems)
