"""A real headless Chromium on the page of ``lr-grid ui``, for the tests that need one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")


def chromium() -> str:
    """The path of a Chromium. Without one, or without playwright, the test is skipped; LR_GRID_REQUIRE_BROWSER=1: it
    fails."""
    required = os.environ.get("LR_GRID_REQUIRE_BROWSER", "0") not in ("", "0")
    outcome = pytest.fail if required else pytest.skip
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        outcome(f"there is none of {', '.join(NAMES)} (Debian: apt-get install chromium)")
    try:
        import playwright  # noqa: F401
    except ImportError:
        outcome("playwright is not installed (pip install playwright axe-playwright-python)")
    assert path is not None
    return path


@contextmanager
def browser() -> Iterator[Any]:
    """A Chromium that runs."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield running
        finally:
            running.close()


@dataclass
class Ui:
    """``lr-grid ui`` in a process of its own."""

    process: subprocess.Popen[str]
    url: str
    """With the token."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.partition("127.0.0.1:")[2].partition("/")[0])

    def __enter__(self) -> Ui:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends it, as Ctrl-C does."""
        self.process.terminate()
        self.process.wait(timeout=10)


def start(config: Path, *arguments: str) -> Ui:
    """Starts the server.

    Args:
        config: the folder for presets of one's own.
    """
    words = [sys.executable, "-m", "lr_grid", "ui", "--no-browser", *arguments]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(config), "APPDATA": str(config), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "http://" in line, line + process.stdout.read()
    return Ui(process, line[line.index("http://") :].strip())


class Grid:
    """The page, in the words of its tests."""

    def __init__(self, page: Any):
        self.page = page
        self.errors: list[str] = []
        """What went wrong in the page's own code."""
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: "Content Security Policy" in said.text and self.errors.append(said.text))
        page.set_default_timeout(5000)

    @classmethod
    def open(cls, context: Any, url: str) -> Grid:
        """A new page, checked by Python once."""
        made = cls(context.new_page())
        made.page.goto(url)
        made.settled()
        return made

    def clear(self) -> None:
        """Another FLUX grid without any setting, with nothing to undo, as if the page were new."""
        self.errors.clear()
        self.page.keyboard.press("Escape")
        self.page.evaluate(
            """async () => {
              const FLUX = [{ name: "double", size: 19 }, { name: "single", size: 38 }];
              const store = await import("./store.js");
              const { blank } = await import("./state.js");
              await store.load("flux-dev");
              document.activeElement.blur();
              store.app.view = "lr";
              store.app.shown = null;
              store.app.selection.clear();
              store.restart("flux-dev", blank({ name: "flux-dev", stacks: FLUX }));
              document.getElementById("tab-network_args").click();
              await (await import("./check.js")).checkNow();
              await new Promise(requestAnimationFrame);
            }"""
        )

    def bar(self, stack: str, block: int) -> Any:
        """A block's bar (role slider)."""
        return self.page.locator(f'.col[data-stack="{stack}"][data-block="{block}"]')

    def drawn(self) -> None:
        """Waits until what was asked of the page is on the screen."""
        self.page.evaluate("() => new Promise(requestAnimationFrame)")

    def says(self, stack: str, block: int) -> str:
        """What a bar says to those who listen."""
        self.drawn()
        return self.bar(stack, block).get_attribute("aria-valuetext")

    def says_all(self, stack: str) -> list[str]:
        """The same of all blocks of a stack, without their LRs: ``x0.5``, ``off``."""
        self.drawn()
        texts = self.page.locator(f'.col[data-stack="{stack}"]').evaluate_all(
            "bars => bars.map((bar) => bar.getAttribute('aria-valuetext'))"
        )
        return [text.partition(",")[0] for text in texts]

    def cell(self, stack: str, component: str, block: int) -> Any:
        """A heat cell."""
        return self.page.locator(f'.cell[data-stack="{stack}"][data-block="{block}"][aria-label^="{component} "]')

    def spot(self, stack: str, block: int, value: float) -> tuple[float, float]:
        """Where in a bar's track a multiplier stands, in px."""
        box = self.bar(stack, block).locator(".track").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] * (1 - (value / 4) ** 0.5)

    def drag(self, *spots: tuple[str, int, float], held: str = "") -> None:
        """Drags over spots (stack, block, multiplier), a key held."""
        places = [self.spot(*spot) for spot in spots]
        if held:
            self.page.keyboard.down(held)
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place)
        self.page.mouse.up()
        if held:
            self.page.keyboard.up(held)

    def press(self, *keys: str) -> None:
        """Keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def field(self, label: str, value: str) -> None:
        """Types into a field and leaves it with Enter."""
        field = self.page.get_by_label(label, exact=True).first
        field.fill(value)
        field.press("Enter")

    def choose(self, model: str) -> None:
        """Another model."""
        self.page.get_by_label("Model", exact=True).select_option(model)

    def paste(self, text: str) -> None:
        """Pastes text anywhere on the page."""
        self.page.evaluate(
            """text => {
              const data = new DataTransfer();
              data.setData("text/plain", text);
              document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true}));
            }""",
            text,
        )

    @property
    def text(self) -> Any:
        """The text box."""
        return self.page.locator("#words")

    @property
    def status(self) -> Any:
        """What the page says of the text."""
        return self.page.locator("#status")

    def settled(self) -> None:
        """Waits until Python has checked the grid."""
        self.page.locator('body[data-checked="yes"]').wait_for()
