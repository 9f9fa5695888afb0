"""The page of ``lr-grid ui``: the tools card, presets, views, the calculator."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import expect

from lr_grid.depth import CURVES, depth_factors
from lr_grid.depth import depth_factor as factor
from lr_grid.presets import preset_names

STACKS = {"double": 19, "single": 38}


def weights(grid, stack):
    """The multipliers that the bars show."""
    return [0.0 if text == "off" else float(text[1:]) for text in grid.says_all(stack)]


@pytest.mark.parametrize("name", list(CURVES))
def test_every_depth_curve_is_drawn_as_python_has_it(grid, name):
    grid.page.get_by_label("Depth curve", exact=True).select_option(name)
    exact = depth_factors(STACKS, "stack", lambda at, of: factor(name, at, of, 0.3, 0.5))
    for stack, size in STACKS.items():
        assert weights(grid, stack) == pytest.approx([exact[stack, i] for i in range(size)], abs=0.006)


def test_a_curve_stays_a_depth_key_until_a_bar_is_edited_by_hand(grid):
    grid.page.get_by_label("Depth curve", exact=True).select_option("inverted_u")
    grid.field("Curve's lowest factor", "0.5")
    grid.field("Curve's peak position", "0.4")
    grid.page.get_by_label("Curve's scope", exact=True).select_option("model")
    expect(grid.text).to_have_value(
        "--network_args depth_strategy=inverted_u min_depth_factor=0.5 peak_position=0.4 depth_scope=model"
    )
    before = weights(grid, "single")
    grid.bar("double", 0).focus()
    grid.press("1")
    expect(grid.page.get_by_label("Depth curve", exact=True)).to_have_value("flat")
    assert weights(grid, "single") == pytest.approx(before, abs=0.0011)
    assert grid.text.input_value().startswith("--network_args block_lr_weight=1,")
    grid.press("Control+z")
    grid.drawn()
    assert "depth_strategy=inverted_u" in grid.text.input_value()


def test_levels_are_merged_by_python_and_shown_in_the_cells(grid):
    grid.page.get_by_label("Depth curve", exact=True).select_option("linear")
    grid.field("Curve's levels (0 is exact)", "4")
    expect(grid.text).to_have_value("--network_args depth_strategy=linear depth_levels=4")
    grid.settled()
    shown = {grid.cell("double", "ffn", block).get_attribute("aria-label").partition(": ")[2] for block in range(19)}
    assert len(shown) == 4


def test_a_shape_runs_from_to_over_the_selection(grid):
    grid.drag(("single", 10, 1), ("single", 20, 1), held="Control")
    grid.page.get_by_label("Shape", exact=True).select_option("linear")
    grid.field("Shape from", "2")
    grid.field("Shape to", "0.5")
    grid.page.locator("#apply-shape").click()
    assert weights(grid, "single")[10:21] == [2, 1.85, 1.7, 1.55, 1.4, 1.25, 1.1, 0.95, 0.8, 0.65, 0.5]
    assert weights(grid, "single")[:10] == [1] * 10
    assert weights(grid, "double") == [1] * 19


@pytest.mark.parametrize("name", [name for name in CURVES if name != "flat"])
def test_every_shape_has_its_ends_where_they_were_asked(grid, name):
    grid.page.get_by_label("Shape", exact=True).select_option(name)
    grid.field("Shape from", "3")
    grid.field("Shape to", "0.5")
    grid.page.locator("#apply-shape").click()
    got = weights(grid, "single")
    if name in ("sine", "inverted_u"):
        assert (got[0], got[-1]) == (3, 3)
        assert min(got) == pytest.approx(0.5, abs=0.01)
    else:
        assert (got[0], got[-1]) == ((0.5, 3) if name.startswith("reverse") else (3, 0.5))


def test_all_none_on_off_and_times_one_work_on_what_is_selected(grid):
    tools = grid.page.locator("#tools")
    tools.get_by_role("button", name="Select all blocks").click()
    expect(tools.locator("strong")).to_have_text("57 of 57 blocks selected")
    tools.get_by_role("button", name="Select no block").click()
    grid.drag(("double", 0, 1), ("double", 3, 1), held="Control")
    grid.page.locator("#onoff").click()
    assert grid.says_all("double")[:5] == ["off"] * 4 + ["x1"]
    grid.page.locator("#onoff").click()
    assert grid.says_all("double")[:5] == ["x1"] * 5
    grid.bar("double", 0).focus()
    grid.press("PageUp")
    grid.page.locator("#times1").click()
    assert grid.says_all("double")[:5] == ["x1"] * 5


def test_presets_move_the_bars_and_an_edit_makes_them_custom_and_undo_gives_the_name_back(grid):
    preset = grid.page.get_by_label("Preset", exact=True)
    preset.select_option("style")
    expect(preset).to_have_value("style")
    expect(grid.page.get_by_label("Learning rate of self_attn", exact=True)).to_have_value("1.25x")
    assert weights(grid, "double")[9] == 1
    assert weights(grid, "double")[0] == 0.3
    grid.drag(("double", 3, 2))
    expect(preset.locator("option:checked")).to_have_text("Custom")
    grid.press("Control+z")
    expect(preset).to_have_value("style")
    preset.select_option("")
    expect(grid.text).to_have_value("")


def test_every_shipped_preset_is_offered_and_the_impossible_ones_say_why(grid):
    offered = grid.page.locator("#preset optgroup[label=shipped] option")
    expect(offered).to_have_count(len(preset_names()))
    grid.choose("z-image")
    without = grid.page.locator("#preset option[value=keep_base]")
    expect(without).to_be_disabled()
    assert "cross_attn" in without.get_attribute("title")


def test_own_presets_are_kept_offered_and_deleted(fresh):
    page = fresh.page
    fresh.drag(("double", 0, 3), ("double", 8, 0.3))
    painted = fresh.says_all("double")
    page.get_by_role("button", name="Save as…").click()
    page.locator("dialog input").fill("style")
    page.locator("dialog").get_by_role("button", name="Save").click()
    expect(page.locator("dialog .problem")).to_contain_text("taken")
    page.locator("dialog input").fill("my ramp")
    fresh.press("Enter")
    preset = page.get_by_label("Preset", exact=True)
    expect(preset.locator("option:checked")).to_have_text("my ramp")
    preset.select_option("flat")
    page.reload()
    fresh.settled()
    preset.select_option("my ramp")
    assert fresh.says_all("double") == painted
    page.get_by_role("button", name="Delete preset").click()
    page.locator("dialog").get_by_role("button", name="Delete").click()
    expect(preset.locator("option", has_text="my ramp")).to_have_count(0)
    expect(preset.locator("option:checked")).to_have_text("Custom")


def test_loraplus_has_a_row_for_each_side_and_ratios(grid):
    grid.page.get_by_label("LoRA+", exact=True).check()
    grid.field("LoRA+ ratio everywhere", "4")
    grid.field("LoRA+ ratio of ffn", "16")
    expect(grid.cell("double", "ffn up", 0)).to_have_attribute("aria-label", "ffn up 0: 1.6e-3")
    expect(grid.cell("double", "ffn down", 0)).to_have_attribute("aria-label", "ffn down 0: 1e-4")
    expect(grid.cell("single", "fused up", 0)).to_have_attribute("aria-label", "fused up 0: 4e-4")
    expect(grid.text).to_have_value("--network_args loraplus_lr_ratio=4 loraplus_ffn_lr_ratio=16")
    grid.field("LoRA+ ratio of ffn", "0")
    expect(grid.page.get_by_label("LoRA+ ratio of ffn", exact=True)).to_have_attribute("aria-invalid", "true")


def test_ranks_are_painted_typed_and_set_by_component(grid):
    page = grid.page
    page.get_by_label("Ranks", exact=True).check()
    grid.bar("double", 0).focus()
    grid.press("PageUp")
    assert grid.says("double", 0) == "rank 32"
    grid.bar("double", 1).focus()
    grid.press("0")
    assert grid.says("double", 1) == "rank 0, no LoRA"
    grid.field("Rank of fused", "8")
    grid.field("network_alpha", "8")
    expect(grid.text).to_have_value("--network_args fused_dim=8 block_dims=double_0:32,double_1:0")
    grid.settled()
    expect(grid.cell("double", "ffn", 0)).to_have_text("32")
    expect(grid.cell("double", "ffn", 1)).to_have_class("cell zero")
    expect(grid.cell("single", "fused", 4)).to_have_text("8")
    grid.drag(("double", 2, 1), ("double", 7, 1), held="Control")
    page.get_by_label("Shape", exact=True).select_option("linear")
    grid.field("Shape from", "32")
    grid.field("Shape to", "9")
    page.locator("#apply-shape").click()
    ranks = [int(text.removeprefix("rank ")) for text in grid.says_all("double")[2:8]]
    assert ranks == [32, 27, 23, 18, 14, 9]


def test_the_summary_tells_range_and_how_many_blocks_are_on(grid):
    summary = grid.page.locator("#summary")
    expect(summary).to_have_text("1e-4, 57 of 57 blocks on")
    grid.page.get_by_label("Depth curve", exact=True).select_option("linear")
    grid.bar("double", 0).locator(".id").click()
    expect(summary).to_have_text("3e-5 … 1e-4, 56 of 57 blocks on")
    grid.field("Base LR", "2e-4")
    expect(summary).to_have_text("6e-5 … 2e-4, 56 of 57 blocks on")


def test_everything_off_is_told_and_the_run_would_refuse_it(grid):
    grid.page.locator("#onoff").click()
    expect(grid.page.locator("#summary")).to_have_text("everything is off or 0: nothing would train")
    expect(grid.status).to_have_text("The run would refuse this grid.")
    expect(grid.page.locator("#problems")).to_contain_text("nothing would train")


def test_the_calculator_recommends_by_rules_and_its_lr_becomes_the_base(grid):
    page = grid.page
    page.get_by_role("button", name="Calculate…").click()
    page.get_by_label("Method", exact=True).select_option("rules")
    result = page.locator("#result")
    expect(result).to_contain_text("…")
    page.get_by_role("button", name="Use as base LR").click()
    typical = result.inner_text().split()[0]
    grid.drawn()
    assert float(page.get_by_label("Base LR", exact=True).input_value()) == pytest.approx(float(typical), rel=0.05)
    grid.press("Control+z")
    expect(page.get_by_label("Base LR", exact=True)).to_have_value("1e-4")
    page.get_by_label("Rank", exact=True).fill("-1")
    expect(page.locator("#score")).to_contain_text("rank")
    page.get_by_label("Rank", exact=True).press("Escape")
    expect(page.locator("#calculator")).to_be_hidden()


def test_lrtools_scores_are_those_of_the_current_base_lr(grid, tmp_path):
    page = grid.page
    grid.choose("sdxl")
    page.get_by_role("button", name="Calculate…").click()
    page.get_by_label("Method", exact=True).select_option("lrtool")
    for label, value in {"Rank": "32", "Alpha": "16", "Accumulation": "2", "Images": "40", "Steps": "2000"}.items():
        page.get_by_label(label, exact=True).fill(value)
    expect(page.locator("#result")).to_have_text("9.2e-5")
    expect(page.locator("#score")).to_contain_text("1e-4 (LRTool's at offset +8 %)")
    grid.field("Base LR", "2e-4")
    expect(page.locator("#score")).to_contain_text("+117 %")
    expect(page.locator("#score")).to_contain_text("Risky")
    offset = page.get_by_label("Offset", exact=True)
    offset.fill("0.5")
    expect(page.locator("#result")).to_have_text("1.4e-4")
    offset.dblclick()
    expect(page.locator("#result")).to_have_text("9.2e-5")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save profile").click()
    profile = json.loads(saved.value.path().read_text())
    assert profile["configuration"]["rank"] == "32"
    page.get_by_label("Rank", exact=True).fill("64")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Open profile…").click()
    chooser.value.set_files({"name": "p.json", "mimeType": "application/json", "buffer": json.dumps(profile).encode()})
    expect(page.get_by_label("Rank", exact=True)).to_have_value("32")
    page.get_by_role("button", name="Calculate…").click()
