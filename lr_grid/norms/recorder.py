"""Records norms at every step of the optimizer, to the norms file and into the trainer's log."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from lr_grid.norms.cells import QUANTITIES, NormCell
from lr_grid.norms.measure import Measure, Measured
from lr_grid.norms.scalars import Scalars
from lr_grid.norms.tracker import join_trackers
from lr_grid.norms.writer import NormsWriter
from lr_grid.report.ranks import size
from lr_grid.report.text import PREFIX
from lr_grid.steps import StepWatch

_MOST_WAITING = 32
_LONGEST_WAIT = 15.0
"""Without a log to serve, norms stay on the device for so many steps, or seconds: fetching them waits for it."""


class NormRecorder:
    """Watches the optimizer from its first step on, until it is closed. It changes nothing and stops nothing: where it
    fails, it says so once and is done."""

    def __init__(
        self, cells: Sequence[NormCell], parameters: Sequence[Sequence[nn.Parameter]], writer: NormsWriter | None
    ):
        """
        Args:
            parameters: of each cell.
            writer: None where there is no file to write.
        """
        self._measure = Measure(parameters, [cell.place for cell in cells])
        self._scalars = Scalars(cells)
        self._writer = writer
        self._step = 0
        self._waiting: list[tuple[int, Measured]] = []
        self._since = 0.0
        self._unlogged = False
        self._found: Mapping[str, float] = {}
        self._logs: bool | None = None
        """Whether the trainer has a log; None before the first step."""
        self._watch = StepWatch([p for cell in parameters for p in cell], self._before, self._after)

    @property
    def measure(self) -> Measure:
        """What measures."""
        return self._measure

    def close(self) -> None:
        """Writes what is left. No step is watched any more."""
        self._watch.close()
        self._safely(self.flush)
        self._waiting = []

    def flush(self) -> None:
        """Everything measured so far into the file."""
        self._fetch()
        if self._writer is not None:
            self._writer.flush()

    def _before(self, optimizer: torch.optim.Optimizer) -> None:
        self._safely(self._measure_before, optimizer)

    def _after(self, _: torch.optim.Optimizer) -> None:
        self._safely(self._measure_after)

    def _measure_before(self, optimizer: torch.optim.Optimizer) -> None:
        # A fused optimizer takes gradients as the scaler left them, and divides on its own.
        scale = getattr(optimizer, "grad_scale", None)
        try:
            self._measure.before(scale)
        except (RuntimeError, MemoryError) as error:
            if not self._measure.turns or not _is_out_of_memory(error):
                raise
            wanted = self._measure.copy_bytes
            self._measure.without_copy()
            print(
                f"{PREFIX} log_grad_norms: no memory for a copy of what trains ({size(wanted)}): gradient and"
                " weight norms are recorded, updates are not",
                flush=True,
            )
            self._measure.before(scale)

    def _measure_after(self) -> None:
        measured = self._measure.after()
        if not self._waiting:
            self._since = time.monotonic()
        self._step += 1
        self._waiting.append((self._step, measured))
        self._unlogged = True
        if self._logs is None:
            # Trackers are open by now, and their first call for this step is still to come.
            self._logs = bool(join_trackers(self._of_step, self._finish))
        if len(self._waiting) >= _MOST_WAITING or time.monotonic() - self._since >= _LONGEST_WAIT:
            self._fetch()

    def _of_step(self, step: int | None) -> Mapping[str, float]:
        """What the log gets beside the trainer's own values of a step: the last step's norms, once."""
        result: dict[str, float] = {}

        def take() -> None:
            if step is not None and step > self._step:  # the scaler skipped steps, or the run began further on
                self._waiting[-1:] = [(step, self._waiting[-1][1])] if self._waiting else []
                self._step = step
            self._fetch()
            result.update(self._found)

        if self._unlogged:
            self._unlogged = False
            self._safely(take)
        return result

    def _fetch(self) -> None:
        """Takes the waiting steps off the device: all go to the file, the last one's scalars are kept for the log."""
        for step, measured in self._waiting:
            values = self._measure.of_cells(measured)
            if self._writer is not None:
                packed = values.flatten().to(torch.bfloat16).view(torch.uint8)
                self._writer.add(step, bytes(packed.tolist()))
            if self._logs:
                grad, weight, moved = values.tolist()
                self._found = self._scalars.of(grad, weight, moved)
        self._waiting = []

    def _finish(self) -> None:
        self._safely(self.flush)

    def _safely(self, call: Any, *args: Any) -> None:
        """Norms are worth no run: an error ends the recording, with one line."""
        try:
            call(*args)
        except Exception as error:
            self._watch.close()
            self._waiting = []
            if self._writer is not None:
                self._writer.flush()
            print(f"{PREFIX} norms are no longer recorded: {error}. Training goes on", flush=True)


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or "memory" in str(error).lower()


assert len(QUANTITIES) == 3, "what Measure gives is taken apart here"
