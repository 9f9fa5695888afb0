"""The plan's picture in the logs that accelerate keeps for the trainers."""

from __future__ import annotations

import argparse
import sys

import pytest

pytest.importorskip("matplotlib")
accelerate = pytest.importorskip("accelerate")

import numpy as np  # noqa: E402
from accelerate.tracking import GeneralTracker, on_main_process  # noqa: E402
from PIL import Image  # noqa: E402
from test_picture import flux_plan  # noqa: E402

from lr_grid.report.trackers import log_picture  # noqa: E402

TRACKED = argparse.Namespace(logging_dir="logs", log_with=None)


class Recorder(GeneralTracker):
    """A tracker that keeps what it is given."""

    requires_logging_directory = False
    name = ""

    def __init__(self, name, error=None):
        super().__init__()
        self.name, self.error, self.images, self.flushed = name, error, [], 0

    @property
    def tracker(self):
        return self

    def flush(self):
        self.flushed += 1

    @on_main_process
    def store_init_configuration(self, values):
        pass

    @on_main_process
    def log(self, values, step=None, **kwargs):
        pass

    @on_main_process
    def log_images(self, values, step=None, **kwargs):
        if self.error:
            raise self.error
        self.images.append((values, step, kwargs))


@pytest.fixture
def opened():
    """opened(tracker, ...): an accelerator with these trackers open."""
    made = []

    def open_trackers(*trackers):
        made.append(accelerate.Accelerator(cpu=True, log_with=list(trackers)))
        made[-1].init_trackers("run")

    yield open_trackers
    for accelerator in made:
        accelerator.trackers.clear()


def test_tensorboard_gets_a_batch_of_one_image_at_step_0(opened):
    tracker = Recorder("tensorboard")
    opened(tracker)
    log_picture(flux_plan(), TRACKED)
    ((values, step, kwargs),) = tracker.images
    (image,) = values["lr_grid"]
    assert (step, kwargs, tracker.flushed) == (0, {"dataformats": "NHWC"}, 1)
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 50


def test_wandb_gets_a_list_of_one_image(opened):
    tracker = Recorder("wandb")
    opened(tracker)
    log_picture(flux_plan(), argparse.Namespace(log_with="wandb"))
    ((values, step, _),) = tracker.images
    (image,) = values["lr_grid"]
    assert isinstance(image, Image.Image)
    assert step == 0


def test_other_trackers_and_runs_without_a_log_are_left_alone(opened, monkeypatch):
    other, tensorboard = Recorder("aim"), Recorder("tensorboard")
    opened(other, tensorboard)
    monkeypatch.setattr("gc.get_objects", lambda: pytest.fail("looked for an accelerator without a log"))
    log_picture(flux_plan(), argparse.Namespace(logging_dir=None, log_with=None))
    monkeypatch.undo()
    log_picture(flux_plan(), TRACKED)
    assert other.images == []
    assert len(tensorboard.images) == 1


def test_a_log_that_takes_no_image_is_one_line_and_stops_nothing(opened, capsys):
    opened(Recorder("tensorboard", error=RuntimeError("disk full")))
    log_picture(flux_plan(), TRACKED)
    assert capsys.readouterr().out == (
        "[lr_grid] the grid's picture could not be put into the trainer's log: disk full\n"
    )


def test_without_matplotlib_nothing_is_logged_or_said(opened, capsys, monkeypatch):
    tracker = Recorder("tensorboard")
    opened(tracker)
    monkeypatch.setitem(sys.modules, "lr_grid.report.picture", None)
    log_picture(flux_plan(), TRACKED)
    assert tracker.images == []
    assert capsys.readouterr().out == ""


def test_only_the_main_process_logs(opened, monkeypatch):
    tracker = Recorder("tensorboard")
    opened(tracker)
    monkeypatch.setattr(accelerate.Accelerator, "is_main_process", False)
    log_picture(flux_plan(), TRACKED)
    assert tracker.images == []
