"""Fixtures every test may use, and the ``trainer`` marker for tests that run a real training script."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that `trainers` imports in every import mode of pytest

from browser import Grid, Ui, browser, start
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


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium; where there is none, tests that need it are skipped."""
    with browser() as running:
        yield running


@pytest.fixture(scope="session")
def ui(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """``lr-grid ui``, on FLUX, without a file."""
    with start(tmp_path_factory.mktemp("config")) as running:
        yield running


@pytest.fixture(scope="session")
def shared_page(chromium: Any, ui: Ui) -> Iterator[Grid]:
    """A page that many tests use, one after the other."""
    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    made = Grid.open(context, ui.url)
    yield made
    context.close()


@pytest.fixture
def grid(shared_page: Grid) -> Iterator[Grid]:
    """The page on FLUX without any setting; a test that leaves an error in its console fails."""
    shared_page.clear()
    yield shared_page
    assert not shared_page.errors


@pytest.fixture
def fresh(chromium: Any, ui: Ui) -> Iterator[Grid]:
    """The same in a browser that knows nothing of other tests."""
    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    made = Grid.open(context, ui.url)
    yield made
    context.close()
    assert not made.errors
