"""Pictures of the page of ``lr-grid ui`` for these documents: ``PYTHONPATH=tests python docs/make_ui_pictures.py``.

Needs a Chromium, playwright and Pillow (which makes the pictures small).
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from browser import Grid, browser, start
from PIL import Image

HERE = Path(__file__).parent


def flux(grid: Grid) -> None:
    """Painted bars, a component frozen, a block off, one at 0, one above the scale, a cell of its own, a selection."""
    for stack, size in (("double", 19), ("single", 38)):
        spots = [(stack, i, 0.25 + 2.6 * math.exp(-((((i / (size - 1)) - 0.45) / 0.28) ** 2))) for i in range(size)]
        grid.drag(*spots)
    grid.field("Learning rate of self_attn", "1.5x")
    grid.field("Learning rate of mod", "0")
    grid.bar("double", 2).locator(".id").click()
    grid.bar("double", 8).focus()
    grid.press("0", "ArrowRight", "Enter")
    grid.page.keyboard.type("6")
    grid.press("Enter")
    grid.cell("single", "fused", 20).click()
    grid.page.keyboard.type("4e-4")
    grid.press("Enter")
    grid.drag(("single", 28, 1), ("single", 33, 1), held="Control")


def sdxl(grid: Grid) -> None:
    """A preset, and LRTool's formula for the base LR."""
    grid.choose("sdxl")
    grid.bar("unet", 5).wait_for()
    grid.page.get_by_label("Preset", exact=True).select_option("style")
    grid.page.get_by_role("button", name="Calculate…").click()
    grid.page.get_by_label("Method", exact=True).select_option("lrtool")
    grid.page.locator("#score", has_text="stability").wait_for()


def wan(grid: Grid) -> None:
    """A depth curve, component LRs, LoRA+."""
    grid.choose("wan-14b")
    grid.bar("blocks", 39).wait_for()
    grid.page.get_by_label("Depth curve", exact=True).select_option("inverted_u")
    grid.field("Learning rate of cross_attn", "4x")
    grid.field("Learning rate of ffn", "0.5x")
    grid.page.get_by_label("LoRA+", exact=True).check()
    grid.field("LoRA+ ratio everywhere", "4")


PICTURES: dict[str, tuple[Callable[[Grid], None], str, int, int]] = {
    "ui_flux": (flux, "light", 1400, 830),
    "ui_flux_dark": (flux, "dark", 1400, 830),
    "ui_sdxl_dark": (sdxl, "dark", 1400, 590),
    "ui_wan": (wan, "light", 1400, 720),
    "ui_flux_narrow": (flux, "light", 420, 1010),
}
"""Name -> what is done, the system's colours, width and height in px."""


def main() -> None:
    """Makes all of them."""
    with browser() as running, tempfile.TemporaryDirectory() as config:
        ui = start(Path(config))
        for name, (shape, scheme, width, height) in PICTURES.items():
            _shoot(running, ui.url, name, shape, scheme, (width, height))
        ui.stop()


def _shoot(
    running: Any, url: str, name: str, shape: Callable[[Grid], None], scheme: str, size: tuple[int, int]
) -> None:
    context = running.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    grid = Grid.open(context, url)
    shape(grid)
    grid.drawn()
    grid.settled()
    file = HERE / f"{name}.png"
    grid.page.screenshot(path=file)
    Image.open(file).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(file, optimize=True)
    context.close()


if __name__ == "__main__":
    main()
