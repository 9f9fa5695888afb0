"""The tables of optimizers and schedulers against what they really do: no cell trains something else unsaid."""

from __future__ import annotations

import os
import re

import pytest
from inventories import optimizers
from inventories.optimizer_cases import EACH_RUN, EACH_RUN_SCHEDULERS, OPTIMIZERS, SCHEDULERS
from inventories.optimizer_verdicts import verdict
from inventories.optimizers import BENT, KEPT, REFUSED
from trainers.cache import TrainerUnavailable
from trainers.every import chosen
from trainers.optimizer_packages import optimizer_packages

KNOWN = optimizers.known() if optimizers.FILE.exists() else {}
WRITE = bool(os.environ.get("LR_GRID_WRITE_PAGES"))
CURE = re.compile(r"\b(Use|Add|Give|Leave|Take) ")


def cells():
    return [
        (trainer, optimizer, scheduler, outcome)
        for trainer, outcomes in KNOWN.items()
        for optimizer, by_scheduler in outcomes.items()
        for scheduler, outcome in by_scheduler.items()
    ]


def test_the_matrix_is_large_enough():
    for trainer, (least_optimizers, least_schedulers) in {"sd-scripts": (20, 10), "musubi-tuner": (6, 10)}.items():
        assert len(EACH_RUN[trainer]) >= least_optimizers
        assert len(EACH_RUN_SCHEDULERS) >= least_schedulers
    assert len(cells()) > 3000
    for trainer, parts in OPTIMIZERS.items():
        assert set(KNOWN[trainer]) == {name for cases, _ in parts.values() for name in cases}


def test_no_cell_trains_something_else_without_a_word():
    """What is let through moves by the plan, or stops in the trainer before the first step."""
    unsaid = []
    for trainer, optimizer, scheduler, outcome in cells():
        said = verdict(trainer, optimizer, scheduler)
        allowed = (KEPT, REFUSED, BENT) if said.notices else (KEPT, REFUSED)
        if not said.refused and outcome not in allowed:
            unsaid.append((trainer, optimizer, scheduler, outcome))
    assert unsaid == []


FIRST_STEP_ONLY = "Rprop"
"""Takes the LR for its first step: refused under every scheduler, though without a warm-up the ratio stays."""
BY_WARMUP = ("pytorch_optimizer.ASGD", "pytorch_optimizer.FTRL")
"""Moves by other ratios as soon as the LR changes: refused under constant, too."""


def test_nothing_is_refused_that_moves_by_the_plan():
    refused = [
        (trainer, optimizer, scheduler)
        for trainer, optimizer, scheduler, outcome in cells()
        if outcome == KEPT and verdict(trainer, optimizer, scheduler).refused
    ]
    assert [cell for cell in refused if cell[1] not in (FIRST_STEP_ONLY, *BY_WARMUP)] == []


def test_every_refusal_and_every_notice_of_a_measured_optimizer_has_a_cure():
    texts = set()
    for trainer, optimizer, scheduler, _ in cells():
        said = verdict(trainer, optimizer, scheduler)
        texts |= {*said.refused}
        assert not any("was not measured" in text for text in said.notices), (optimizer, scheduler)
    assert len(texts) > 20
    assert [text for text in texts if not CURE.search(text)] == []


@pytest.mark.trainer
@pytest.mark.parametrize("name", ["sd-scripts", "musubi-tuner"])
def test_optimizers_still_move_as_measured(request, name):
    """Some cells by default, all with LR_GRID_EVERY=1; LR_GRID_WRITE_PAGES=1 measures all and keeps them."""
    trainer = request.getfixturevalue({"sd-scripts": "sd_scripts", "musubi-tuner": "musubi"}[name])
    try:
        packages = optimizer_packages(trainer.python)
    except TrainerUnavailable as reason:
        pytest.skip(f"the optimizers cannot be had: {reason}")
    if WRITE:
        optimizers.write(name, optimizers.measure(trainer, name, packages))
        return
    names = chosen(KNOWN[name], always=EACH_RUN[name].__contains__)
    schedulers = chosen(SCHEDULERS, always=EACH_RUN_SCHEDULERS.__contains__)
    found = optimizers.measure(trainer, name, packages, names, schedulers)
    assert set(found) == set(names)
    different = [
        (optimizer, scheduler, outcome, KNOWN[name][optimizer][scheduler])
        for optimizer, by_scheduler in found.items()
        for scheduler, outcome in by_scheduler.items()
        if outcome != KNOWN[name][optimizer][scheduler]
    ]
    assert different == []


def test_the_page_is_what_was_measured():
    from inventories.optimizers_page import PAGE, page

    text = page()
    if WRITE:
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text
    assert all(f"`{name}`" in text for outcomes in KNOWN.values() for name in outcomes)
    assert len(SCHEDULERS) <= text.count("| `--lr_scheduler")
