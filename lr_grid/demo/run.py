"""The demo from end to end: base, measure, LoRA under a grid, measure again, pictures, and what it all came to."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from accelerate import PartialState
from torch import Tensor, nn

from lr_grid.demo.base import BaseRecipe, load_or_train
from lr_grid.demo.digits import BASE_CLASSES, NEW_CLASSES, Digits, load
from lr_grid.demo.flow import held_out_loss, sample
from lr_grid.demo.judge import Judge
from lr_grid.demo.lora import attach_network, train_lora, trainer_args
from lr_grid.demo.model import IMAGE_SIZE, NUM_CLASSES, DigitDiT
from lr_grid.demo.options import DemoOptions
from lr_grid.demo.pictures import draw_digits
from lr_grid.errors import GridError
from lr_grid.plan import Plan

DRAWN_A_CLASS = 24
"""Digits drawn of every class, before and again after."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the model can do at one point of the run."""

    loss_new: float
    """Held-out loss on the digits the LoRA learns."""
    loss_base: float
    """Held-out loss on the digits the base knows."""
    drawn: Tensor
    """(classes, samples, 1, 8, 8) in [-1, 1]."""
    read_right: Tensor
    """bool (classes, samples): is the drawing read as what it should be?"""

    @property
    def right_new(self) -> float:
        """Share of the drawn new digits that is read right."""
        return self.read_right[list(NEW_CLASSES)].float().mean().item()

    @property
    def right_base(self) -> float:
        """Share of the drawn base digits that is read right."""
        return self.read_right[list(BASE_CLASSES)].float().mean().item()


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What a run measured and wrote."""

    before: Measured
    after: Measured
    plan: Plan
    files: tuple[Path, ...]
    seconds: float


def run_demo(options: DemoOptions, started: float | None = None) -> DemoResult:
    """Run the demo and print what happens; raises GridError on bad options. The same seed gives the same LoRA.

    started: ``time.perf_counter()`` of when the wall time begins; now, if None. Leaves torch's thread count and global
    random state as they were.
    """
    started = time.perf_counter() if started is None else started
    options.check()
    folder = _output_folder(options.output_dir)
    with _one_voice(), _one_thread(), torch.random.fork_rng(devices=[]):
        result = _run(options, folder, started)
        _print_result(result)
    return result


def _run(options: DemoOptions, folder: Path, started: float) -> DemoResult:
    recipe = BaseRecipe(steps=options.base_steps, seed=options.seed)
    with _quiet_lycoris():  # wrong arguments are told now, on a model thrown away, not after the base has trained
        attach_network(DigitDiT(recipe.model), trainer_args(options), options)
    train, held_out = load()
    with PartialState(cpu=True).main_process_first():  # the others find it in the cache
        model = load_or_train(recipe, train, fresh=options.fresh and PartialState().is_main_process)
    judge = Judge(train)
    before = _measure(model, held_out, judge, options.seed)

    file = folder / f"{options.output_name}.safetensors"
    with _quiet_lycoris():
        torch.manual_seed(options.seed)
        network = train_lora(model, train.only(NEW_CLASSES), options, file)
    after = _measure(model, held_out, judge, options.seed)

    grid_picture = folder / f"{options.output_name}.lr_grid.png"
    digits_picture = folder / f"{options.output_name}.digits.png"
    plan = cast(Plan, network.grid_plan)
    if PartialState().is_main_process:
        draw_digits(
            before.drawn,
            after.drawn,
            right_before=before.read_right,
            right_after=after.read_right,
            new_classes=NEW_CLASSES,
            path=digits_picture,
        )
    files = (file, folder / f"{options.output_name}.lr_grid.json", grid_picture, digits_picture)
    return DemoResult(before, after, plan, files, time.perf_counter() - started)


def _measure(model: nn.Module, held_out: Digits, judge: Judge, seed: int) -> Measured:
    new, base = held_out.only(NEW_CLASSES), held_out.only(BASE_CLASSES)
    labels = torch.arange(NUM_CLASSES).repeat_interleave(DRAWN_A_CLASS)
    drawn = sample(model, labels, seed)
    return Measured(
        loss_new=held_out_loss(model, new.images, new.labels, seed),
        loss_base=held_out_loss(model, base.images, base.labels, seed),
        drawn=drawn.view(NUM_CLASSES, DRAWN_A_CLASS, 1, IMAGE_SIZE, IMAGE_SIZE),
        read_right=judge.read_right(drawn, labels).view(NUM_CLASSES, DRAWN_A_CLASS),
    )


def _print_result(result: DemoResult) -> None:
    before, after = result.before, result.after
    rows = (
        ("digits 8, 9: to learn", before.loss_new, after.loss_new, before.right_new, after.right_new),
        ("digits 0-7: to keep", before.loss_base, after.loss_base, before.right_base, after.right_base),
    )
    print()
    print(f"{'':<23}{'held-out loss':<29}drawings read right by an SVC")
    print(f"{'':<23}{'before':<9}{'after':<20}{'before':<9}after")
    for name, loss_before, loss_after, right_before, right_after in rows:
        change = f"{loss_after:.3f}  ({loss_after / loss_before - 1:+.0%})"
        print(f"{name:<23}{loss_before:<9.3f}{change:<20}{right_before:<9.0%}{right_after:.0%}")
    print()
    print("A grid is control over what is learned and what is forgotten, and a record of what was done.")
    print("It is not a faster optimizer.")
    print()
    print("Written:")
    for file in result.files:
        print(f"  {file}")
    print(f"Took {result.seconds:.0f} s.")


def _output_folder(name: str) -> Path:
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".lr_grid_can_write"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise GridError([f"--output_dir {name}: {error.strerror or error}"]) from error
    return folder


@contextmanager
def _one_voice() -> Iterator[None]:
    """Under ``accelerate launch`` all processes train, and the first one speaks."""
    if PartialState(cpu=True).is_main_process:
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        yield


@contextmanager
def _one_thread() -> Iterator[None]:
    """A model this small is slower on several threads, and on a busy machine by far."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _quiet_lycoris() -> Iterator[None]:
    """LyCORIS' preset lists the blocks of every family it knows, and it warns about each that this model lacks."""
    import lycoris.kohya  # noqa: F401 - sets its logger's level when it is first imported

    logger = logging.getLogger("LyCORIS")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
