"""The page of ``lr-grid ui``: how fast a bar moves the heat rows, how soon the page can be used, how large it is, how
soon its server listens."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from benchmarks.measuring import Options, Skip, Table, milliseconds

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MOVES = 60
_DRAG = """async (moves) => {
  const column = document.querySelector(".col[data-stack='single'][data-block='4']");
  const box = column.querySelector(".track").getBoundingClientRect();
  const at = (type, t) =>
    column.dispatchEvent(
      new PointerEvent(type, {
        bubbles: true,
        button: 0,
        pointerId: 1,
        clientX: box.left + box.width * 30 * t,
        clientY: box.top + box.height * (0.1 + 0.8 * Math.abs(Math.sin(9 * t))),
      }),
    );
  const painted = () =>
    new Promise((done) => {
      requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => done(performance.now());
        channel.port2.postMessage(0);
      });
    });
  column.setPointerCapture = () => {};
  at("pointerdown", 0);
  const taken = [];
  for (let i = 1; i <= moves; i++) {
    await new Promise((done) => setTimeout(done, 7 * Math.random()));
    const began = performance.now();
    at("pointermove", i / moves);
    taken.push((await painted()) - began);
  }
  at("pointerup", 1);
  return taken;
}"""
"""Milliseconds from each move of the pointer to the end of the frame that shows it."""


def measure(options: Options) -> list[Table]:
    """ms and kB."""
    folder = files("lr_grid.ui") / "static"
    pages = [entry.read_bytes() for entry in folder.iterdir()]
    sent = sum(len(gzip.compress(page, 9)) for page in pages)
    starts, torch = _starts(options.rounds)
    with _page() as (browser, url):
        usable = [_usable(browser, url) for _ in range(options.rounds)]
        drags, cells = _drag(browser, url)
    rows = (
        (f"a bar to {cells} heat cells, ms", milliseconds([one / 1e3 for one in drags]), "25"),
        ("address to usable page, ms", milliseconds(usable), "600"),
        ("page as the browser loads it (gzip), kB", f"{sent / 1e3:.1f}", "120"),
        ("the same unpacked, kB", f"{sum(map(len, pages)) / 1e3:.1f}", "120"),
        ("command to listening server, ms", milliseconds(starts), "300"),
        ("torch imported by the server", "yes" if torch else "no", "no"),
    )
    load = f"load {os.getloadavg()[0]:.1f} during it" if hasattr(os, "getloadavg") else ""
    about = f"FLUX.1, LoRA+ view; headless Chromium, medians of {_MOVES} moves and {options.rounds} starts. {load}"
    return [Table("The page of lr-grid ui", ("what", "measured", "at most"), rows, about)]


def _command(*words: str) -> list[str]:
    return [sys.executable, *words, "-m", "lr_grid", "ui", "--no-browser", "--port", "0"]


def _starts(rounds: int) -> tuple[list[float], bool]:
    """(seconds from the command to the line that says where it listens, whether torch was imported)."""
    seconds = []
    for round_ in range(rounds + 1):  # the first one compiles
        began = time.perf_counter()
        process = subprocess.Popen(_command(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        if round_:
            seconds.append(time.perf_counter() - began)
        _end(process)
    traced = subprocess.Popen(_command("-X", "importtime"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert traced.stdout is not None
    traced.stdout.readline()
    traced.terminate()
    return seconds, " torch\n" in traced.communicate()[1]


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate()


@contextmanager
def _page() -> Iterator[tuple[Any, str]]:
    """(a browser, the page's address)."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise Skip("playwright is not installed") from None
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        raise Skip(f"there is none of {', '.join(_NAMES)}")
    with tempfile.TemporaryDirectory() as config, sync_playwright() as playwright:
        environment = {**os.environ, "XDG_CONFIG_HOME": config}
        process = subprocess.Popen(_command(), stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        line = process.stdout.readline()
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser, line[line.index("http://") :].strip()
        finally:
            browser.close()
            _end(process)


def _usable(browser: Any, url: str) -> float:
    """Seconds from the address to bars that can be dragged, with nothing in the browser's cache."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.goto("about:blank")
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.locator(".col").first.wait_for()
    taken = time.perf_counter() - began
    context.close()
    return taken


def _drag(browser: Any, url: str) -> tuple[list[float], int]:
    """(ms of every move, how many heat cells there are)."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(url)
    page.locator('body[data-checked="yes"]').wait_for()
    page.get_by_label("LoRA+", exact=True).check()
    page.get_by_label("LoRA+ ratio everywhere", exact=True).fill("4")
    page.get_by_label("LoRA+ ratio everywhere", exact=True).press("Enter")
    page.evaluate(_DRAG, 10)  # warm
    taken = page.evaluate(_DRAG, _MOVES)
    assert len({*page.locator(".bar").evaluate_all("bars => bars.map((bar) => bar.style.height)")}) > 5
    return taken, page.locator("#strips .cell").count()
