"""The page of ``lr-grid ui`` under axe-core: no violation in any view, light and dark."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
from test_ui_page_states import NORMS, opened  # noqa: E402

GRID = (
    "--network_args ffn_lr=0.25x self_attn_lr=8x mod_lr=0 depth_strategy=linear rank_budget=20M"
    " 'module_lr=img_attn_qkv:4e-4'"
)


def violations(grid, *rules):
    """What axe-core finds, in words.

    Args:
        rules: these alone; none: all.
    """
    options = {"runOnly": list(rules)} if rules else {}
    found = axe.Axe().run(grid.page, options=options).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found]


@pytest.fixture
def shaped(grid):
    """A grid with every colour, something off, selected, refused, of its own."""
    grid.paste(GRID)
    grid.drag(("single", 0, 0), ("single", 37, 4))
    grid.drag(("double", 0, 1), ("double", 3, 1), held="Control")
    grid.bar("double", 5).locator(".id").click()
    grid.settled()
    yield grid
    grid.page.emulate_media(color_scheme="light")
    grid.page.set_viewport_size({"width": 1400, "height": 900})


def test_the_grid_violates_no_rule(shaped):
    assert violations(shaped) == []


def test_colours_are_told_apart_in_the_dark(shaped):
    shaped.page.emulate_media(color_scheme="dark")
    shaped.page.get_by_role("button", name="Calculate…").click()
    shaped.text.fill("rubbish")
    shaped.page.locator("#problems button").wait_for()
    assert violations(shaped, "color-contrast") == []
    shaped.page.get_by_role("button", name="Calculate…").click()


def test_loraplus_and_the_calculator_violate_no_rule(grid):
    grid.choose("sd3-medium")
    grid.page.get_by_label("LoRA+", exact=True).check()
    grid.page.get_by_role("button", name="Calculate…").click()
    grid.page.get_by_label("Method", exact=True).select_option("lrtool")
    grid.drawn()
    assert violations(grid) == []
    grid.page.get_by_role("button", name="Calculate…").click()


def test_ranks_refused_text_and_a_field_over_a_bar_violate_no_rule(grid):
    grid.choose("sdxl")
    grid.page.get_by_label("Ranks", exact=True).check()
    grid.text.fill("rubbish")
    grid.page.locator("#problems button").first.wait_for()
    grid.bar("unet", 5).locator(".value").click()
    grid.page.locator(".typing").fill("x")
    assert violations(grid) == []
    grid.press("Escape")


def test_a_runs_record_violates_no_rule(grid):
    opened(grid, NORMS.name, NORMS.read_bytes())
    grid.page.get_by_label("Quantity", exact=True).wait_for()
    assert violations(grid) == []


def test_a_narrow_window_and_an_open_question_violate_no_rule(shaped):
    shaped.page.set_viewport_size({"width": 400, "height": 800})
    shaped.choose("wan-14b")
    shaped.page.get_by_role("button", name="Save as…").click()
    shaped.drawn()
    assert violations(shaped) == []
    shaped.press("Escape")
