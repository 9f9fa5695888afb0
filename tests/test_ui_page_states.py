"""The page of ``lr-grid ui`` when something is the matter: token, server, reload, narrow windows; files and views."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("playwright")
from browser import Grid, start
from playwright.sync_api import expect

from lr_grid.cli.main import main
from lr_grid.ui.models import page_model

NORMS = Path(__file__).parent.parent / "docs" / "norms_example.lr_grid.norms"


def opened(grid, name, content):
    """Opens a file through the page."""
    with grid.page.expect_file_chooser() as chooser:
        grid.page.get_by_role("button", name="Open…").click()
    chooser.value.set_files({"name": name, "mimeType": "application/octet-stream", "buffer": content})


def test_a_wrong_token_is_told_with_the_way_out(chromium, ui):
    page = chromium.new_page()
    page.goto(ui.url.partition("#")[0] + "#t=wrong")
    expect(page.locator("#banner")).to_contain_text("has not the server's token")
    expect(page.locator("#banner")).to_contain_text("lr-grid ui")
    page.close()


def test_a_reload_restores_grid_view_and_model(fresh):
    fresh.choose("wan-14b")
    fresh.drag(("blocks", 3, 2), ("blocks", 9, 0.5))
    fresh.page.get_by_label("LoRA+", exact=True).check()
    fresh.field("LoRA+ ratio everywhere", "4")
    painted, text = fresh.says_all("blocks"), fresh.text.input_value()
    fresh.page.reload()
    fresh.settled()
    assert fresh.says_all("blocks") == painted
    expect(fresh.text).to_have_value(text)
    expect(fresh.page.get_by_label("LoRA+", exact=True)).to_be_checked()
    fresh.page.get_by_role("button", name="Undo").click()
    expect(fresh.page.get_by_label("Model", exact=True)).to_have_value("wan-14b")


@pytest.mark.parametrize("kept", ["{", '{"state": {"model": "no-such"}}', '{"state": {"model": "sdxl", "weights": 3}}'])
def test_a_reload_survives_what_another_version_kept(fresh, kept):
    fresh.page.evaluate("kept => sessionStorage.setItem('lr-grid-ui', kept)", kept)
    fresh.page.reload()
    fresh.settled()
    expect(fresh.page.locator("#summary")).to_contain_text("blocks on")


@pytest.mark.parametrize("name", ["hidream-o1", "krea2", "framepack", "diffusers/wan-2.1-vace-14b"])
def test_models_of_every_shape_are_drawn_and_checked(grid, name):
    grid.choose(name)
    model = page_model(name)
    for stack, size in model.stacks.items():
        expect(grid.page.locator(f'.col[data-stack="{stack}"]')).to_have_count(size if model.rows[stack] else 0)
    expect(grid.page.locator('.strip[aria-labelledby="stack-outside"]')).to_have_count(1 if model.outside else 0)
    expect(grid.status).to_contain_text("Checked")


def test_without_its_server_editing_and_copying_go_on_and_the_page_comes_back_with_it(chromium, tmp_path):
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    with start(tmp_path) as ui:
        grid = Grid.open(context, ui.url)
    grid.field("Learning rate of ffn", "2x")
    expect(grid.page.locator("#banner")).to_contain_text("The server is gone")
    grid.drag(("double", 3, 0))
    expect(grid.text).to_have_value("--network_args ffn_lr=2x block_lr_weight=double_3:0")
    expect(grid.cell("double", "ffn", 0)).to_have_attribute("aria-label", "ffn 0: 2e-4")
    expect(grid.status).to_have_text("Written by the page; not checked.")
    grid.page.get_by_label("Preset", exact=True).select_option("conservative")
    expect(grid.page.get_by_label("Depth curve", exact=True)).to_have_value("linear")
    grid.page.get_by_role("button", name="Copy").click()
    assert "depth_strategy=linear" in grid.page.evaluate("() => navigator.clipboard.readText()")
    grid.choose("sdxl")
    expect(grid.page.get_by_label("Model", exact=True)).to_have_value("flux-dev")
    assert not grid.errors
    context.close()


def test_the_server_back_at_its_port_is_found(chromium, ui, fresh):
    fresh.page.route("**/api/*", lambda route: route.abort())
    fresh.field("Learning rate of ffn", "2x")
    expect(fresh.page.locator("#banner")).to_contain_text("The server is gone")
    fresh.page.unroute("**/api/*")
    expect(fresh.page.locator("#banner")).to_be_empty(timeout=8000)
    expect(fresh.status).to_contain_text("Checked")


def test_narrow_columns_hide_their_values_and_a_narrow_window_scrolls_its_strips_not_the_page(grid):
    grid.choose("qwen-image")
    expect(grid.bar("blocks", 59)).to_have_count(1)
    assert grid.bar("blocks", 0).locator(".value").evaluate("value => getComputedStyle(value).fontSize") == "0px"
    grid.page.set_viewport_size({"width": 400, "height": 800})
    grid.drawn()
    assert grid.page.evaluate("() => document.documentElement.scrollWidth") <= 400
    grid.bar("blocks", 59).focus()
    grid.press("PageUp")
    assert grid.says_all("blocks")[59] == "x2"
    grid.page.set_viewport_size({"width": 1400, "height": 900})


def test_a_grid_file_is_opened_and_saved_through_the_browser(grid):
    opened(grid, "mine.toml", b'ffn_lr = "2x"\n\n[block_lr_weight]\ndouble_3 = 0.5\n')
    expect(grid.text).to_have_value("--network_args ffn_lr=2x block_lr_weight=double_3:0.5")
    with grid.page.expect_download() as saved:
        grid.press("Control+s")
    assert saved.value.suggested_filename == "flux-dev.grid.toml"
    assert 'ffn_lr = "2x"' in saved.value.path().read_text()


def test_a_file_that_is_no_grid_changes_nothing(grid):
    opened(grid, "cat.txt", b"meow")
    expect(grid.page.locator("#problems")).to_contain_text("no grid")
    assert grid.says_all("double") == ["x1"] * 19


def test_a_runs_plan_is_shown_read_only_and_a_copy_of_it_is_edited(grid, capsys):
    words = ["ffn_lr=2x", "block_lr_weight=double_3:0.5", "loraplus_lr_ratio=4"]
    assert main(["show", "--model", "flux", "--learning_rate", "3e-4", "--json", "--network_args", *words]) == 0
    opened(grid, "style.lr_grid.json", capsys.readouterr().out.encode())
    page = grid.page
    expect(page.locator("#shown")).to_contain_text("style.lr_grid.json")
    expect(grid.cell("double", "ffn down", 3)).to_have_attribute("aria-label", "ffn down 3: 3e-4")
    expect(grid.cell("double", "ffn up", 3)).to_have_attribute("aria-label", "ffn up 3: 1.2e-3")
    expect(page.locator(".col")).to_have_count(0)
    expect(page.locator("#words")).to_be_hidden()
    grid.cell("double", "ffn down", 3).click()
    expect(page.locator(".typing")).to_have_count(0)
    page.get_by_role("button", name="Back to the grid").click()
    assert grid.says_all("double") == ["x1"] * 19
    opened(grid, "style.lr_grid.json", json.dumps({"modules": [], "cells": []}).encode())
    expect(page.locator("#banner")).to_contain_text("no plan")
    page.locator("#banner").get_by_role("button", name="Close").click()


def test_a_copy_of_a_runs_plan_is_edited(grid, capsys):
    words = ["ffn_lr=2x", "block_lr_weight=double_3:0.5"]
    assert main(["show", "--model", "flux", "--learning_rate", "3e-4", "--json", "--network_args", *words]) == 0
    opened(grid, "style.lr_grid.json", capsys.readouterr().out.encode())
    grid.page.get_by_role("button", name="Edit a copy").click()
    expect(grid.text).to_have_value("--network_args ffn_lr=2x block_lr_weight=double_3:0.5")
    expect(grid.page.get_by_label("Base LR", exact=True)).to_have_value("0.0003")


def test_a_norms_file_is_shown_with_a_choice_of_quantities(grid):
    opened(grid, NORMS.name, NORMS.read_bytes())
    quantity = grid.page.get_by_label("Quantity", exact=True)
    expect(quantity).to_be_visible()
    before = grid.page.locator(".heat .cell").first.get_attribute("aria-label")
    quantity.select_option(index=1)
    expect(grid.page.locator(".heat .cell").first).not_to_have_attribute("aria-label", before)
    grid.page.get_by_role("button", name="Back to the grid").click()


@pytest.fixture
def edited(chromium, tmp_path):
    """The page on ``--file``, and the file."""
    file = tmp_path / "mine.toml"
    file.write_text('ffn_lr = "2x"  # mine\n')
    with start(tmp_path / "config", "--file", str(file)) as ui:
        context = chromium.new_context()
        made = Grid.open(context, ui.url)
        yield made, file
        context.close()
    assert not made.errors


def test_the_file_of_the_command_line_is_edited_saved_and_watched(edited):
    grid, file = edited
    banner = grid.page.locator("#banner")
    expect(grid.text).to_have_value("--network_args ffn_lr=2x")
    grid.field("Learning rate of ffn", "3x")
    grid.page.get_by_role("button", name="Save mine.toml").click()
    expect(grid.page.locator("#live")).to_have_text("mine.toml is saved.")
    assert 'ffn_lr = "3x"' in file.read_text()
    file.write_text('ffn_lr = "5x"\n')
    expect(banner).to_contain_text("mine.toml was changed outside this page")
    banner.get_by_role("button", name="Load it").click()
    expect(grid.text).to_have_value("--network_args ffn_lr=5x")
    file.write_text('ffn_lr = "6x"\n')
    grid.field("Learning rate of ffn", "7x")
    grid.press("Control+s")
    expect(banner).to_contain_text("mine.toml was changed outside this page")
    assert file.read_text() == 'ffn_lr = "6x"\n'
    banner.get_by_role("button", name="Write over it").click()
    expect(banner).to_be_empty()
    assert 'ffn_lr = "7x"' in file.read_text()
