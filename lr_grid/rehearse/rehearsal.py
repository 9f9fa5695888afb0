"""One rehearsal in the child: what the hooks of both trainers share, from the arguments to the last step."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any

import torch

from lr_grid.rehearse import overrides
from lr_grid.rehearse.dataset import tell_dataset
from lr_grid.rehearse.job import PASSED, Job, Report
from lr_grid.rehearse.measure import Measure
from lr_grid.rehearse.missing import Finished
from lr_grid.rehearse.optimizer import Optimizers
from lr_grid.rehearse.pretrained import hook_pretrained
from lr_grid.rehearse.schedule import Schedule
from lr_grid.rehearse.tell import tell_movement


class Rehearsal:
    """Collects what the hooks see."""

    def __init__(self, job: Job, report: Report) -> None:
        self.job, self.report = job, report
        self.args: argparse.Namespace | None = None
        self.optimizers = Optimizers(report, job.whole)
        self.schedule = Schedule(report)
        self.measure: Measure | None = None
        self.dataset: Any = None
        self.resume: str | None = None
        self.parsers: list[argparse.ArgumentParser] = []

    def watch_parsers(self) -> None:
        """Remembers the trainer's own parser."""
        real = argparse.ArgumentParser.parse_known_args

        def parse_known_args(parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> Any:
            self.parsers.append(parser)
            return real(parser, *args, **kwargs)

        argparse.ArgumentParser.parse_known_args = parse_known_args  # type: ignore[method-assign, assignment]

    def begin(self, args: argparse.Namespace) -> None:
        """``train(args)`` was called: the arguments are read, nothing else has happened."""
        self.args = args
        values = vars(args)
        parser = self.parsers[-1] if self.parsers else argparse.ArgumentParser()
        given = [name for name, value in values.items() if value != parser.get_default(name)]
        self.report.data["options"] = sorted(action.dest for action in parser._actions)
        self.report.verify(
            "arguments", f"{self.job.name} took them: {len(given)} of {len(values)} differ from its defaults"
        )
        self.resume = getattr(args, "resume", None)  # lr-grid's own resume may put another folder in its place
        hook_pretrained(self.report)
        overrides.redirect(args, self.job, self.report)

    def checked(self, args: argparse.Namespace) -> None:
        """The trainer found its arguments consistent."""
        overrides.onto_cpu(args, self.report)

    def batch(self, accelerator: Any, network: Any) -> torch.Tensor:
        """A batch came: a loss whose gradient is the same in every element of what trains.

        Raises: Finished after the last step.
        """
        if self.measure is None:
            self.measure = self._first_batch(accelerator, network)
        if len(self.measure.steps) >= self.job.steps:
            raise Finished
        return self.measure.loss()

    def _first_batch(self, accelerator: Any, network: Any) -> Measure:
        assert self.args is not None
        unwrapped = accelerator.unwrap_model(network)
        if self.dataset is not None:
            tell_dataset(self.dataset, self.args, self.report)
        quiet_norms(unwrapped)
        held = accelerator._optimizers[-1]
        optimizer = getattr(held, "optimizer", held)
        return Measure(unwrapped, optimizer, self.resume, self.job, self.optimizers, self.schedule, self.report)

    def end(self, error: BaseException | None) -> None:
        """The script is over, one way or another."""
        if self.measure is not None:
            self.measure.close()
            self.schedule.judge()
            tell_movement(self.measure, stopped=error is not None and not isinstance(error, Finished))
        elif self.report.code == PASSED:  # no images, --help, ...
            text = "the trainer ended before its first step, without an error of its own: see its last lines"
            self.report.find("steps", text)


def quiet_norms(network: Any) -> None:
    """Statistics that some networks make of their weights at each step are left out: they read the base weights."""
    for name in ("update_norms", "update_grad_norms"):
        if hasattr(network, name):
            object.__setattr__(network, name, lambda *args, **kwargs: None)
    for name in ("weight_norms", "grad_norms", "combined_weight_norms"):
        if callable(getattr(network, name, None)):
            object.__setattr__(network, name, lambda *args, **kwargs: None)


def do_nothing(*_: Any, **__: Any) -> None:
    """In place of what a rehearsal leaves out."""


def empty_items(classes: Iterable[Any], item: Callable[[], dict[str, Any]]) -> None:
    """Datasets give an item without images."""
    for cls in classes:
        cls.__getitem__ = lambda self, index: item()
