"""Fixtures every test may use, and the ``trainer`` marker for tests that run a real training script."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that `trainers` imports in every import mode of pytest

from trainers.cache import TrainerUnavailable
from trainers.musubi import Musubi
from trainers.prepare import Installed, prepare
from trainers.sd_scripts import SdScripts


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "trainer: runs a real training script on a tiny model (some seconds each)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out tests of which no case was chosen (trainers/every.py): pytest would count them as skipped."""
    empty = [item for item in items if any(map(_has_no_case, item.iter_markers("skip")))]
    if empty:
        config.hook.pytest_deselected(items=empty)
        items[:] = [item for item in items if item not in empty]


def _has_no_case(skip: pytest.Mark) -> bool:
    return "empty parameter set" in str(skip.kwargs.get("reason", ""))


@pytest.fixture(scope="session")
def sd_scripts() -> SdScripts:
    return _prepared(SdScripts)


@pytest.fixture(scope="session")
def musubi() -> Musubi:
    return _prepared(Musubi)


def _prepared(kind: type[Installed]) -> Installed:
    """The real trainer. Where it cannot be had, tests that need it are skipped; LR_GRID_REQUIRE_TRAINERS=1: fail."""
    try:
        return prepare(kind)
    except TrainerUnavailable as reason:
        required = os.environ.get("LR_GRID_REQUIRE_TRAINERS", "0") not in ("", "0")
        outcome = pytest.fail if required else pytest.skip
        raise outcome.Exception(f"{kind.trainer.name} cannot be had: {reason}") from None
