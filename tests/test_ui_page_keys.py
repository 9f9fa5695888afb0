"""The page of ``lr-grid ui``: every key, and the whole page by keyboard alone."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import expect


@pytest.fixture
def at(grid):
    """The page with the keyboard on double 5."""
    grid.bar("double", 5).focus()
    return grid


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ArrowUp", "x1.05"),
        ("ArrowDown", "x0.95"),
        ("Shift+ArrowUp", "x1.25"),
        ("Shift+ArrowDown", "x0.75"),
        ("Alt+ArrowUp", "x1.01"),
        ("Alt+ArrowDown", "x0.99"),
        ("PageUp", "x2"),
        ("PageDown", "x0.5"),
        ("0", "x0"),
        ("o", "off"),
        ("O", "off"),
    ],
)
def test_a_key_changes_the_bar(at, key, value):
    at.press(key)
    assert at.says_all("double")[5] == value
    assert at.says_all("double")[:5] == ["x1"] * 5
    at.press("Control+z")
    assert at.says_all("double")[5] == "x1"


def test_one_brings_a_bar_back(at):
    at.press("PageUp", "PageUp", "1")
    assert at.says_all("double")[5] == "x1"


def test_no_key_goes_below_zero(at):
    at.press("0", "ArrowDown")
    assert at.says_all("double")[5] == "x0"


def test_o_turns_off_and_on_and_one_and_zero_turn_on(at):
    at.press("o", "ArrowUp")
    assert at.says_all("double")[5] == "off"
    at.press("o")
    assert at.says_all("double")[5] == "x1"
    at.press("o", "0")
    assert at.says_all("double")[5] == "x0"


def test_enter_types_a_value_and_accepts_off(at):
    at.press("Enter")
    at.page.keyboard.type("0.25")
    at.press("Enter")
    assert at.says("double", 5) == "x0.25, learning rate 2.5e-5"
    expect(at.bar("double", 5)).to_be_focused()
    at.press("Enter")
    at.page.keyboard.type("off")
    at.press("Enter")
    assert at.says("double", 5) == "off, would be x0.25, learning rate 2.5e-5"
    at.press("Enter", "Escape")
    expect(at.bar("double", 5)).to_be_focused()


def test_arrows_home_and_end_move_across_blocks_and_stacks(at):
    at.press("ArrowRight")
    expect(at.bar("double", 6)).to_be_focused()
    at.press("Home")
    expect(at.bar("double", 0)).to_be_focused()
    at.press("ArrowLeft")
    expect(at.bar("double", 0)).to_be_focused()
    at.press("End", "ArrowRight")
    expect(at.bar("single", 0)).to_be_focused()
    at.press("End")
    expect(at.bar("single", 37)).to_be_focused()


def test_space_shift_arrows_control_a_and_escape_select(at):
    count = at.page.locator("#tools strong")
    at.press("Space")
    expect(count).to_have_text("1 of 57 blocks selected")
    at.press("Shift+ArrowRight", "Shift+ArrowRight")
    expect(count).to_have_text("3 of 57 blocks selected")
    at.press("Shift+End")
    expect(count).to_have_text("14 of 57 blocks selected")
    at.press("Control+a")
    expect(count).to_have_text("57 of 57 blocks selected")
    at.press("Escape")
    expect(count).to_have_text("all 57 blocks")


def test_keys_work_on_the_whole_selection(at):
    at.press("Shift+ArrowRight", "PageUp")
    assert at.says_all("double")[4:8] == ["x1", "x2", "x2", "x1"]
    at.press("o")
    assert at.says_all("double")[4:8] == ["x1", "off", "off", "x1"]


def test_the_bars_are_one_tab_stop_and_the_cells_another(grid):
    stops = grid.page.locator(".col[tabindex='0'], .cell[tabindex='0']")
    expect(stops).to_have_count(2)
    grid.bar("single", 8).focus()
    grid.press("ArrowRight")
    expect(grid.page.locator(".col[tabindex='0']")).to_have_count(1)
    grid.press("Tab")
    assert grid.page.evaluate("document.activeElement.className") != "col"


def test_sliders_name_their_block_multiplier_and_lr(grid):
    bar = grid.page.get_by_role("slider", name="double 3", exact=True)
    bar.focus()
    grid.press("PageDown")
    expect(bar).to_have_attribute("aria-valuetext", "x0.5, learning rate 5e-5")
    expect(bar).to_have_attribute("aria-valuenow", "0.5")


def test_heat_cells_are_walked_set_and_unset_by_keys(grid):
    grid.page.locator(".cell[tabindex='0']").focus()
    grid.press("ArrowRight", "ArrowDown", "Enter")
    grid.page.keyboard.type("2x")
    grid.press("Enter")
    cell = grid.cell("double", "cross_attn", 1)
    expect(cell).to_be_focused()
    expect(cell).to_have_attribute("aria-label", "cross_attn 1: 2e-4, set by itself")
    grid.press("Delete")
    expect(cell).to_have_attribute("aria-label", "cross_attn 1: 1e-4")
    grid.press("End", "ArrowDown", "ArrowDown", "ArrowDown")
    expect(grid.cell("single", "mod", 18)).to_be_focused()
    grid.press("Home")
    expect(grid.cell("single", "mod", 0)).to_be_focused()


def test_the_whole_page_is_used_without_a_pointer(grid):
    """Model, base LR, curve, a bar, a component, LoRA+, the text's form: by Tab, arrows, letters and Enter."""
    page = grid.page

    def tab_to(selector):
        for _ in range(90):
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{selector} is not reached by Tab")

    tab_to("#model")
    page.keyboard.type("wan")
    grid.press("ArrowDown")
    expect(grid.bar("blocks", 39)).to_have_count(1)
    tab_to("#base")
    grid.press("Control+a")
    page.keyboard.type("2e-4")
    grid.press("Enter")
    tab_to(".col")
    grid.press("ArrowRight", "PageUp")
    tab_to("[aria-label='Learning rate of ffn']")
    page.keyboard.type("0.5x")
    grid.press("Enter")
    tab_to("[aria-label='Depth curve']")
    page.keyboard.type("cos")
    tab_to("#tab-network_args")
    grid.press("ArrowRight", "ArrowRight")
    expect(grid.text).to_have_value(
        "--network_module lr_grid.musubi.lora_wan_grid \\\n  --learning_rate 2e-4 \\\n  --network_dim 16 \\\n"
        "  --network_alpha 16 \\\n  --network_args ffn_lr=0.5x depth_strategy=cosine block_lr_weight=blocks_1:2"
    )
    tab_to("#copy")
    grid.press("Shift+Tab", "Shift+Tab")


def test_control_z_in_a_field_is_the_fields_own(grid):
    grid.drag(("double", 0, 2))
    field = grid.page.get_by_label("Base LR", exact=True)
    field.focus()
    grid.press("Control+z")
    assert grid.says_all("double")[0] != "x1"
