"""Norms in the trainer's own log, at the trainer's own step numbers.

accelerate hands everything the trainer logs to each of its trackers, with the step. A tracker of our own among them is
told the step that way, and logs the norms into the others: right after what the trainer says of the same step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lr_grid.report.text import PREFIX
from lr_grid.report.trackers import open_accelerators

OnLog = Callable[[int | None], Mapping[str, float]]
"""Told the trainer's step, gives what is to be logged with it."""


class CompanionTracker:
    """A tracker as accelerate wants one (accelerate.tracking.GeneralTracker)."""

    name = "lr_grid"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, others: list[Any], on_log: OnLog, on_finish: Callable[[], None]):
        self._others, self._on_log, self._on_finish = others, on_log, on_finish

    @property
    def tracker(self) -> CompanionTracker:
        """What accelerate calls the tool behind a tracker."""
        return self

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """The run's arguments: nothing to do."""

    def log(self, values: Mapping[str, Any], step: int | None = None, **_: Any) -> None:
        """Called with what the trainer logs. sd-scripts gives Weights & Biases no step and each call is a line of its
        own there, told apart by ``global_step``; musubi-tuner gives it the step, and calls of one step are one line."""
        scalars = self._on_log(step)
        try:
            for other in self._others if scalars else ():
                if other.name == "wandb" and "global_step" in values:
                    lines = {key: values[key] for key in ("global_step", "epoch") if key in values}
                    other.log({**scalars, **lines})
                else:
                    other.log(dict(scalars), step=step)
        except Exception as error:
            self._others = []
            print(f"{PREFIX} norms are no longer put into the trainer's log: {error}. Training goes on", flush=True)

    def finish(self) -> None:
        """The training ends."""
        self._on_finish()


def join_trackers(on_log: OnLog, on_finish: Callable[[], None]) -> list[CompanionTracker]:
    """Puts a companion beside the open trackers of every accelerator in this process; none where there are none."""
    made = []
    for accelerator in open_accelerators():
        others = [tracker for tracker in accelerator.trackers if not isinstance(tracker, CompanionTracker)]
        companion = CompanionTracker(others, on_log, on_finish)
        accelerator.trackers.append(companion)
        made.append(companion)
    return made
