"""The page of ``lr-grid ui``: text both ways, in every form, and what becomes of text that is no grid."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright")
from playwright.sync_api import expect


def test_the_three_forms_follow_the_grid(grid):
    grid.field("Learning rate of ffn", "0.5x")
    expect(grid.text).to_have_value("--network_args ffn_lr=0.5x")
    grid.page.get_by_role("tab", name="TOML").click()
    expect(grid.text).to_have_value('# A grid for lr-grid: --network_args grid=/path/to/this.toml\nffn_lr = "0.5x"')
    grid.page.get_by_role("tab", name="command line").click()
    expect(grid.text).to_have_value(
        "--network_module networks.lora_flux_grid \\\n  --learning_rate 1e-4 \\\n  --network_dim 16 \\\n"
        "  --network_alpha 16 \\\n  --network_args ffn_lr=0.5x"
    )


def test_text_becomes_the_grid_and_is_not_rewritten_under_the_hand(grid):
    text = "--network_args   self_attn_lr=2x  'block_lr_weight=double_0-3:0.5'"
    grid.text.fill(text)
    expect(grid.bar("double", 2)).to_have_attribute("aria-valuetext", "x0.5, learning rate 5e-5")
    expect(grid.text).to_have_value(text)
    expect(grid.page.get_by_label("Learning rate of self_attn", exact=True)).to_have_value("2x")
    grid.text.blur()
    expect(grid.text).to_have_value("--network_args self_attn_lr=2x block_lr_weight=double_0-3:0.5")


def test_undo_takes_back_what_text_did(grid):
    grid.text.fill("--network_args block_lr_weight=double:0.5")
    expect(grid.bar("double", 2)).to_have_attribute("aria-valuetext", "x0.5, learning rate 5e-5")
    grid.page.get_by_role("button", name="Undo").click()
    assert grid.says_all("double") == ["x1"] * 19
    expect(grid.text).to_have_value("")


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("network_args", "--network_args block_lr_weight=double_3:0.5 ffn_lr=2x"),
        ("network_args", "block_lr_weight=double_3:0.5 ffn_lr=2x"),
        ("TOML", 'ffn_lr = "2x"\n[block_lr_weight]\ndouble_3 = 0.5\n'),
        (
            "command line",
            "accelerate launch flux_train_network.py --learning_rate 1e-4 --network_module networks.lora_flux"
            " --network_dim 16 --network_alpha 16 --network_args block_lr_weight=double_3:0.5 ffn_lr=2x",
        ),
        ("JSON", '{"ffn_lr": "2x", "block_lr_weight": {"double_3": 0.5}}'),
    ],
)
def test_any_form_is_pasted_anywhere(grid, form, text):
    grid.paste(text)
    expect(grid.bar("double", 3)).to_have_attribute("aria-valuetext", "x0.5, learning rate 5e-5")
    expect(grid.page.get_by_label("Learning rate of ffn", exact=True)).to_have_value("2x")
    expect(grid.text).to_have_value("--network_args ffn_lr=2x block_lr_weight=double_3:0.5")


def test_another_tools_grid_is_pasted(grid):
    grid.paste('{"block_learning_rate_multiplier": {"double_block_3": 0.5, "single_block_0": 1}}')
    expect(grid.bar("double", 3)).to_have_attribute("aria-valuetext", "x0.5, learning rate 5e-5")


def test_a_whole_command_line_keeps_its_other_words(grid):
    grid.paste(
        'accelerate launch flux_train_network.py --output_dir "$OUT" --network_module networks.lora_flux '
        "--network_dim 32 --network_alpha 8 --learning_rate 3e-4 --network_args ffn_lr=2x"
    )
    expect(grid.page.get_by_label("Base LR", exact=True)).to_have_value("3e-4")
    grid.page.get_by_role("tab", name="command line").click()
    expect(grid.text).to_have_value(
        'accelerate launch flux_train_network.py --output_dir "$OUT" \\\n'
        "  --network_module networks.lora_flux_grid \\\n"
        "  --learning_rate 3e-4 \\\n  --network_dim 32 \\\n  --network_alpha 8 \\\n  --network_args ffn_lr=2x"
    )


def test_a_mistake_names_line_and_reason_and_keeps_the_last_good_grid(grid):
    grid.field("Learning rate of ffn", "0.5x")
    grid.page.get_by_role("tab", name="TOML").click()
    grid.text.fill('ffn_lr = "0.5x"\nself_atn_lr = 2\n')
    problems = grid.page.locator("#problems")
    expect(problems).to_contain_text("line 2")
    expect(problems).to_contain_text("Did you mean self_attn_lr?")
    expect(grid.status).to_have_text("Not read: the grid is as it was.")
    expect(grid.page.get_by_label("Learning rate of ffn", exact=True)).to_have_value("0.5x")
    problems.get_by_role("button", name="Back to the last good text").click()
    expect(grid.text).to_have_value('# A grid for lr-grid: --network_args grid=/path/to/this.toml\nffn_lr = "0.5x"')
    expect(problems).to_be_empty()


def test_a_wrong_count_is_told_and_never_padded(grid):
    grid.paste("block_lr_weight=" + ",".join(["0.5"] * 58))
    expect(grid.page.locator("#problems")).to_contain_text("58 values")
    expect(grid.page.locator("#problems")).to_contain_text("57")
    assert grid.says_all("double") == ["x1"] * 19


def test_another_models_grid_offers_to_switch(grid):
    grid.paste("block_lr_weight=unet_5-8:0.5")
    grid.page.locator("#problems").get_by_role("button", name="Switch to SDXL (sdxl)").click()
    expect(grid.bar("unet", 5)).to_have_attribute("aria-valuetext", "x0.5, learning rate 5e-5")
    expect(grid.page.get_by_label("Model", exact=True)).to_have_value("sdxl")
    grid.press("Control+z")
    expect(grid.page.get_by_label("Model", exact=True)).to_have_value("flux-dev")
    grid.press("Control+Shift+Z")
    expect(grid.bar("unet", 5)).to_have_attribute("aria-valuetext", "x0.5, learning rate 5e-5")


def test_unknown_arguments_are_kept_listed_and_removed_only_by_hand(grid):
    grid.paste("--network_args rank_budget=20M te_ffn_lr=1e-5 split_qkv=True ffn_lr=2x")
    kept = grid.page.locator("#kept")
    expect(kept).to_contain_text("rank_budget=20M")
    expect(kept).to_contain_text("te_ffn_lr=1e-5")
    grid.bar("double", 0).focus()
    grid.press("PageUp")
    expect(grid.text).to_have_value(
        "--network_args ffn_lr=2x block_lr_weight=double_0:2 rank_budget=20M te_ffn_lr=1e-5 split_qkv=True"
    )
    kept.get_by_role("button", name="Remove te_ffn_lr").click()
    expect(kept).not_to_contain_text("te_ffn_lr")
    grid.press("Control+z")
    expect(kept).to_contain_text("te_ffn_lr=1e-5")


def test_arguments_that_bring_modules_bring_their_blocks_and_take_them_away(grid):
    grid.choose("sdxl")
    expect(grid.bar("unet", 2)).to_have_attribute("aria-valuetext", "no modules")
    grid.paste("--network_args conv_dim=8 conv_alpha=4 block_lr_weight=unet_2:0.5")
    expect(grid.bar("unet", 2)).to_have_attribute("aria-valuetext", "x0.5, learning rate 5e-5")
    grid.page.get_by_role("button", name="Remove conv_alpha").click()
    grid.page.get_by_role("button", name="Remove conv_dim").click()
    expect(grid.bar("unet", 2)).to_have_attribute("aria-valuetext", "no modules")
    grid.page.get_by_role("button", name="Undo").click()
    expect(grid.bar("unet", 2)).to_have_attribute("aria-valuetext", "x0.5, learning rate 5e-5")


def test_rules_that_only_python_reads_show_their_lrs(grid):
    grid.paste(r"--network_args 'module_lr=img_attn_qkv:4e-4'")
    cell = grid.cell("double", "self_attn", 2)
    expect(cell).to_have_attribute("aria-label", "self_attn 2: 1e-4 to 4e-4")
    grid.bar("double", 2).focus()
    grid.press("0")
    grid.settled()
    expect(cell).to_contain_text("4")
    expect(grid.cell("double", "ffn", 2)).to_have_class("cell zero")


def test_copy_puts_the_text_on_the_clipboard(chromium, ui):
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(ui.url)
    page.locator('body[data-checked="yes"]').wait_for()
    page.get_by_label("Learning rate of ffn", exact=True).fill("2x")
    page.get_by_label("Learning rate of ffn", exact=True).press("Enter")
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#status")).to_have_text("Copied.")
    assert page.evaluate("() => navigator.clipboard.readText()") == "--network_args ffn_lr=2x"
    context.close()


def test_a_refused_clipboard_leaves_the_text_selected(grid):
    grid.field("Learning rate of ffn", "2x")
    grid.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    grid.page.get_by_role("button", name="Copy").click()
    expect(grid.status).to_contain_text("refuses the clipboard")
    expect(grid.text).to_be_focused()
    assert grid.page.evaluate("() => getSelection().toString()") == "--network_args ffn_lr=2x"
