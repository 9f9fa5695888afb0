"""Norms in the trainer's own log: by stack and component, at the trainer's own step numbers."""

from __future__ import annotations

import math

import pytest
import torch

accelerate = pytest.importorskip("accelerate")

from accelerate.tracking import GeneralTracker, on_main_process  # noqa: E402

from lr_grid.norms.cells import ABSENT, NormCell  # noqa: E402
from lr_grid.norms.read import read_norms  # noqa: E402
from lr_grid.norms.recorder import NormRecorder  # noqa: E402
from lr_grid.norms.scalars import Scalars  # noqa: E402
from lr_grid.norms.writer import NormsWriter  # noqa: E402

CELLS = [NormCell("unet", "double", block, "ffn", side) for block in (0, 1) for side in ("down", "up")]


class Recorder(GeneralTracker):
    """A tracker that keeps what it is given."""

    requires_logging_directory = False
    name = ""

    def __init__(self, name, error=None):
        super().__init__()
        self.name, self.error, self.lines = name, error, []

    @property
    def tracker(self):
        return self

    @on_main_process
    def log(self, values, step=None, **kwargs):
        if self.error and "loss" not in values:
            raise self.error
        self.lines.append((step, dict(values)))

    @property
    def norms(self):
        """(step, values) of what is not the trainer's own."""
        return [(step, values) for step, values in self.lines if "loss" not in values and values]


@pytest.fixture
def run(tmp_path):
    """run(tracker, ...): (accelerator, step(gradient), recorder, its file)."""
    made = []

    def begin(*trackers, writer=True):
        accelerator = accelerate.Accelerator(cpu=True, log_with=list(trackers))
        if trackers:
            accelerator.init_trackers("run")
        cells = [[torch.nn.Parameter(torch.ones(1))] for _ in CELLS]
        file = tmp_path / "run.lr_grid.norms"
        facts = {"model": "m", "stacks": {"double": 2}, "base_lr": 1.0, "cells": [c.to_dict() for c in CELLS]}
        recorder = NormRecorder(CELLS, cells, NormsWriter(file, facts) if writer else None)
        optimizer = torch.optim.SGD([p for cell in cells for p in cell], lr=0.25)
        made.append((recorder, accelerator))

        def step(gradient):
            for cell in cells:
                cell[0].grad = torch.tensor([gradient])
            optimizer.step()

        return accelerator, step, recorder, file

    yield begin
    for recorder, accelerator in made:
        recorder.close()
        accelerator.trackers.clear()


def test_the_log_has_them_at_the_trainers_step_right_after_its_own_values(run):
    board = Recorder("tensorboard")
    accelerator, step, _, _ = run(board)
    accelerator.log({}, step=0)
    for number, gradient in ((1, 1.0), (2, 2.0)):
        step(gradient)
        accelerator.log({"loss": 0.5}, step=number)
    accelerator.log({"loss": 0.5}, step=1)  # of an epoch
    assert [s for s, _ in board.norms] == [1, 2]
    assert board.norms[0][1] == {
        "grad_norm/double.ffn": pytest.approx(2.0),
        "weight_norm/double.ffn": pytest.approx(1.5),
        "update_ratio/double.ffn": pytest.approx(0.5 / 1.5),
    }
    assert board.norms[1][1]["grad_norm/double.ffn"] == pytest.approx(4.0)
    assert [("loss" in values, s) for s, values in board.lines if values] == [
        (True, 1),
        (False, 1),
        (True, 2),
        (False, 2),
        (True, 1),
    ]


def test_a_log_of_several_calls_a_step_has_them_once(run):
    board = Recorder("tensorboard")
    accelerator, step, _, _ = run(board)
    accelerator.log({"loss": 1.0}, step=0)  # musubi-tuner logs every batch, also those before a step
    step(1.0)
    accelerator.log({"loss": 1.0}, step=1)
    accelerator.log({"loss": 1.0}, step=1)
    assert [s for s, _ in board.norms] == [1]


def test_a_run_that_logs_without_a_step_to_wandb_gets_a_line_of_its_own_with_global_step(run):
    wandb, board = Recorder("wandb"), Recorder("tensorboard")
    accelerator, step, _, _ = run(wandb, board)
    step(1.0)
    logs = {"loss": 0.5}
    board.log(logs, step=40)
    logs |= {"global_step": 40, "epoch": 2}  # what sd-scripts does with Weights & Biases open
    wandb.log(logs)
    (companion,) = [tracker for tracker in accelerator.trackers if tracker.name == "lr_grid"]
    companion.log(logs, step=40)
    ((step_of_wandb, values),) = wandb.norms
    assert step_of_wandb is None
    assert (values["global_step"], values["epoch"], "grad_norm/double.ffn" in values) == (40, 2, True)
    ((step_of_board, values),) = board.norms
    assert (step_of_board, "global_step" in values) == (40, False)


def test_a_run_that_gives_wandb_its_step_gets_them_on_the_same_line(run):
    wandb = Recorder("wandb")
    accelerator, step, _, _ = run(wandb)
    step(1.0)
    accelerator.log({"loss": 0.5}, step=1)
    assert [s for s, _ in wandb.norms] == [1]


def test_the_file_takes_the_trainers_step_numbers(run):
    accelerator, step, recorder, file = run(Recorder("tensorboard"))
    for number in (101, 102, 104):  # it began at 100, and its scaler skipped a step
        step(1.0)
        accelerator.log({"loss": 0.5}, step=number)
    step(1.0)
    recorder.flush()
    assert read_norms(str(file)).runs[0].steps == [101, 102, 104, 105]


def test_a_log_now_and_then_has_the_last_step_and_the_file_has_all(run):
    board = Recorder("tensorboard")
    accelerator, step, recorder, file = run(board)
    for number in range(1, 71):
        step(float(number))
        if number % 35 == 0:
            accelerator.log({"loss": 0.5}, step=number)
    recorder.flush()
    assert [(s, values["grad_norm/double.ffn"]) for s, values in board.norms] == [(35, 70.0), (70, 140.0)]
    assert read_norms(str(file)).runs[0].steps == list(range(1, 71))


def test_the_end_of_the_training_writes_what_is_left(run):
    accelerator, step, _, file = run(Recorder("tensorboard"))
    step(1.0)
    accelerator.log({"loss": 0.5}, step=1)
    assert read_norms(str(file)).runs[0].steps == []
    accelerator.trackers[-1].finish()
    assert read_norms(str(file)).runs[0].steps == [1]


def test_without_a_log_there_is_the_file_and_without_a_file_the_log(run):
    accelerator, step, recorder, file = run()
    step(1.0)
    recorder.close()
    assert read_norms(str(file)).runs[0].steps == [1]
    assert getattr(accelerator, "trackers", []) == []
    board = Recorder("tensorboard")
    accelerator, step, _, _ = run(board, writer=False)
    step(1.0)
    accelerator.log({"loss": 0.5}, step=1)
    assert len(board.norms) == 1


def test_a_log_that_refuses_them_is_one_line_and_the_trainers_own_go_on(run, capsys):
    board = Recorder("tensorboard", error=RuntimeError("quota"))
    accelerator, step, recorder, file = run(board)
    for number in (1, 2, 3):
        step(1.0)
        accelerator.log({"loss": 0.5}, step=number)
    recorder.flush()
    assert [s for s, _ in board.lines] == [1, 2, 3]
    assert capsys.readouterr().out == (
        "[lr_grid] norms are no longer put into the trainer's log: quota. Training goes on\n"
    )
    assert read_norms(str(file)).runs[0].steps == [1, 2, 3]


def test_rows_without_gradient_have_no_number_and_nan_is_passed_on():
    scalars = Scalars(CELLS)
    none = [ABSENT] * 4
    assert scalars.of(none, [1.0] * 4, none) == {"weight_norm/double.ffn": 2.0}
    found = scalars.of([math.nan, 1.0, ABSENT, ABSENT], [0.0] * 4, [0.0] * 4)
    assert math.isnan(found["grad_norm/double.ffn"])
    assert "update_ratio/double.ffn" not in found, "weights that are 0 and stay 0 have no ratio"


def test_what_is_measured_in_turns_keeps_its_last_ratio():
    scalars = Scalars(CELLS)
    scalars.of([1.0] * 4, [2.0] * 4, [1.0, 1.0, ABSENT, ABSENT])
    found = scalars.of([1.0] * 4, [2.0] * 4, [ABSENT, ABSENT, 0.5, 0.5])
    assert found["update_ratio/double.ffn"] == pytest.approx(math.sqrt(2 * 1 + 2 * 0.25) / 4)
