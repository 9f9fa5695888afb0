"""The page of ``lr-grid ui``: what the pointer does on bars, numbers, values and heat cells."""

from __future__ import annotations

import itertools

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import expect


def test_a_drag_paints_every_bar_on_its_way_with_the_values_between(grid):
    grid.drag(("double", 0, 2.25), ("double", 4, 0.25))
    values = [float(text[1:]) for text in grid.says_all("double")[:5]]
    assert values[0] == pytest.approx(2.25, abs=0.1)
    assert values[4] == pytest.approx(0.25, abs=0.1)
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 5
    assert grid.says_all("double")[5:] == ["x1"] * 14


def test_a_drag_is_one_step_of_undo_and_redo(grid):
    grid.drag(("double", 0, 3), ("double", 5, 3), ("double", 9, 0.5))
    painted = grid.says_all("double")
    grid.press("Control+z")
    assert grid.says_all("double") == ["x1"] * 19
    grid.press("Control+Shift+Z")
    assert grid.says_all("double") == painted


def test_the_page_shows_a_drag_before_it_ends_and_escape_takes_it_back(grid):
    grid.page.mouse.move(*grid.spot("single", 3, 1))
    grid.page.mouse.down()
    grid.page.mouse.move(*grid.spot("single", 3, 3))
    expect(grid.cell("single", "fused", 3)).to_contain_text("3")
    grid.press("Escape")
    grid.page.mouse.up()
    assert grid.says_all("single") == ["x1"] * 38
    expect(grid.page.get_by_role("button", name="Undo")).to_have_attribute("title", "Nothing to undo")


def test_shift_drag_makes_a_ramp_whatever_lay_between(grid):
    grid.drag(("single", 10, 1), ("single", 15, 3.8), ("single", 20, 0.25), held="Shift")
    values = [float(text[1:]) for text in grid.says_all("single")[10:21]]
    steps = [a - b for a, b in itertools.pairwise(values)]
    assert values[0] == 1
    assert values[-1] == pytest.approx(0.25, abs=0.06)
    assert max(steps) - min(steps) < 0.03


def test_control_drag_selects_and_a_drag_on_the_selection_moves_all_of_it_in_proportion(grid):
    grid.drag(("double", 2, 2), ("double", 2, 2))
    grid.drag(("double", 2, 1), ("double", 4, 1), held="Control")
    expect(grid.page.locator("#tools strong")).to_have_text("3 of 57 blocks selected")
    grid.drag(("double", 3, 0.9), ("double", 3, 0.24))
    before, after = 2.0, [float(text[1:]) for text in grid.says_all("double")[:6]]
    assert after[3] == after[4] < 0.4
    assert after[2] == pytest.approx(before * after[3], abs=0.1)
    assert after[:2] == [1, 1]
    assert after[5] == 1


def test_control_click_takes_a_block_out_of_the_selection_again(grid):
    grid.drag(("double", 2, 1), ("double", 4, 1), held="Control")
    grid.drag(("double", 3, 1), held="Control")
    expect(grid.page.locator("#tools strong")).to_have_text("2 of 57 blocks selected")
    assert "selected" not in grid.says("double", 3)


def test_bars_snap_to_one_and_to_true_zero(grid):
    grid.drag(("double", 0, 1.06))
    grid.drag(("double", 1, 0.0001))
    grid.drag(("double", 2, 1.3))
    assert grid.says_all("double")[:2] == ["x1", "x0"]
    assert grid.says_all("double")[2] not in ("x1", "x0")
    assert grid.says("double", 1) == "x0, learning rate 0"


def test_a_click_on_the_number_turns_a_block_off_and_on_and_keeps_its_value(grid):
    grid.drag(("double", 3, 2.25))
    value = grid.says("double", 3)
    number = grid.bar("double", 3).locator(".id")
    number.click()
    assert grid.says("double", 3) == f"off, would be {value}"
    expect(grid.cell("double", "ffn", 3)).to_have_class("cell off")
    expect(grid.text).to_have_value("--network_args exclude_double_block_indices=3")
    number.click()
    assert grid.says("double", 3) == value


def test_painting_leaves_a_block_alone_that_is_off(grid):
    grid.bar("double", 3).locator(".id").click()
    grid.drag(("double", 2, 3), ("double", 4, 3))
    assert grid.says("double", 3).startswith("off, would be x1,")
    assert grid.says_all("double")[2] == grid.says_all("double")[4] != "x1"


def test_a_double_click_sets_a_bar_to_one(grid):
    grid.drag(("double", 3, 3))
    grid.bar("double", 3).locator(".track").dblclick(position={"x": 8, "y": 20})
    assert grid.says_all("double")[3] == "x1"


def test_a_click_on_the_value_types_it_also_above_the_scale(grid):
    value = grid.bar("single", 7).locator(".value")
    value.click()
    grid.page.keyboard.type("6.5")
    grid.press("Enter")
    assert grid.says("single", 7) == "x6.5, learning rate 6.5e-4"
    expect(value).to_have_text("▲6.5")
    expect(grid.text).to_have_value("--network_args block_lr_weight=single_7:6.5")


@pytest.mark.parametrize("typed", ["abc", "-1", "1e", ""])
def test_a_value_that_is_none_is_marked_and_changes_nothing(grid, typed):
    grid.bar("double", 0).locator(".value").click()
    field = grid.page.locator(".typing")
    field.fill(typed)
    grid.press("Enter")
    expect(field).to_have_attribute("aria-invalid", "true")
    grid.press("Escape")
    expect(field).to_have_count(0)
    assert grid.says_all("double")[0] == "x1"


def test_the_wheel_changes_nothing(grid):
    grid.page.mouse.move(*grid.spot("double", 3, 1))
    grid.page.mouse.wheel(0, -400)
    assert grid.says_all("double") == ["x1"] * 19


def test_a_click_on_a_heat_cell_gives_it_an_lr_of_its_own_and_nothing_takes_it_away(grid):
    cell = grid.cell("double", "ffn", 4)
    cell.click()
    grid.page.keyboard.type("3e-4")
    grid.press("Enter")
    expect(cell).to_have_attribute("aria-label", "ffn 4: 3e-4, set by itself")
    expect(grid.text).to_have_value("--network_args 'module_lr=double_blocks\\.4\\.img_mlp\\.:3e-4'")
    grid.settled()
    expect(cell).to_have_attribute("aria-label", "ffn 4: 3e-4, set by itself")
    cell.click()
    grid.page.locator(".typing").fill("")
    grid.press("Enter")
    expect(cell).to_have_attribute("aria-label", "ffn 4: 1e-4")
    expect(grid.text).to_have_value("")


def test_components_have_an_lr_field_and_a_switch(grid):
    grid.field("Learning rate of self_attn", "1.5x")
    expect(grid.cell("double", "self_attn", 0)).to_have_attribute("aria-label", "self_attn 0: 1.5e-4")
    grid.page.get_by_role("button", name="mod", exact=True).first.click()
    expect(grid.cell("single", "mod", 9)).to_have_class("cell off")
    expect(grid.text).to_have_value("--network_args self_attn_lr=1.5x exclude_components=mod")
    grid.page.get_by_role("button", name="mod", exact=True).first.click()
    expect(grid.cell("single", "mod", 9)).to_have_attribute("aria-label", "mod 9: 1e-4")


def test_a_wrong_lr_is_marked_and_changes_nothing(grid):
    field = grid.page.get_by_label("Learning rate of ffn", exact=True)
    field.fill("fast")
    field.press("Enter")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(grid.text).to_have_value("")
    field.press("Escape")
    expect(field).to_have_value("")


def test_blocks_without_modules_take_no_value(grid):
    grid.choose("sdxl")
    expect(grid.bar("unet", 0)).to_have_attribute("aria-valuetext", "no modules")
    grid.drag(("unet", 0, 3), ("unet", 22, 3))
    texts = grid.says_all("unet")
    assert texts[0] == texts[7] == "no modules"
    assert texts[5] == texts[18] != "x1"


def test_the_readout_tells_block_multiplier_and_lr(grid):
    grid.bar("double", 3).locator(".value").click()
    grid.page.keyboard.type("2.25")
    grid.press("Enter")
    grid.bar("double", 3).hover()
    expect(grid.page.locator("#readout")).to_have_text("double 3 x2.25 = 2.3e-4")
