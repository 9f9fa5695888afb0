"""log_grad_norms as a setting: where it may stand, and that it makes no grid of a run without one."""

from __future__ import annotations

import json

import pytest

from lr_grid.convert.core import read as convert_from
from lr_grid.convert.core import write as convert_to
from lr_grid.errors import GridError, Problems
from lr_grid.models import find_model
from lr_grid.preview import preview
from lr_grid.settings import read_settings


def read(**arguments):
    problems = Problems()
    settings = read_settings(arguments, problems)
    problems.raise_if_any()
    return settings


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("on", True), ("false", False), (True, True)])
def test_it_is_a_flag(text, value):
    assert read(log_grad_norms=text).log_grad_norms is value
    assert read().log_grad_norms is False


def test_alone_it_makes_no_grid_and_beside_a_grid_it_is_one_more_setting():
    model = find_model("flux")
    plain, alone = preview(model, {}), preview(model, {"log_grad_norms": "true"})
    assert not alone.is_grid
    assert alone.plan.rows == plain.plan.rows
    assert preview(model, {"log_grad_norms": "true", "ffn_lr": "2x"}).is_grid


@pytest.mark.parametrize(
    ("name", "text"), [("grid.toml", "log_grad_norms = true"), ("grid.json", '{"log_grad_norms": true}')]
)
def test_a_grid_file_may_hold_it_and_the_arguments_win(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text)
    assert read(grid=str(file)).log_grad_norms
    assert not read(grid=str(file), log_grad_norms="false").log_grad_norms
    assert not preview(find_model("flux"), {"grid": str(file)}).is_grid


@pytest.mark.parametrize("value", [True, False])
def test_a_published_block_is_obeyed(tmp_path, value):
    file = tmp_path / "published.json"
    block = {"enabled": True, "component_lr": {"self_attn": 4e-4}, "log_grad_norms": value}
    file.write_text(json.dumps({"per_layer_lr": block}))
    settings = read(grid=str(file))
    assert settings.log_grad_norms is value
    assert settings.notices == []
    block["log_grad_norms"] = "perhaps"
    file.write_text(json.dumps({"per_layer_lr": block}))
    with pytest.raises(GridError, match="per_layer_lr: log_grad_norms: 'perhaps' is neither true nor false"):
        read(grid=str(file))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"log_grad_norms": "maybe"}, "log_grad_norms: 'maybe' is neither true nor false"),
        ({"log_grad_norms": ""}, "log_grad_norms: is empty"),
        ({"log_grad_norm": "true"}, "Did you mean log_grad_norms"),
        ({"te_log_grad_norms": "true"}, "te_log_grad_norms: neither lr-grid nor"),
    ],
)
def test_what_is_wrong_with_it_is_said(arguments, told):
    with pytest.raises(GridError, match=told):
        preview(find_model("flux"), arguments)


def test_conversion_keeps_it_where_there_is_a_place_for_it():
    published = json.dumps({"per_layer_lr": {"enabled": True, "default_lr": 1e-4, "log_grad_norms": True}})
    arguments, losses = convert_from(published, "serenity", "flux")
    assert arguments["log_grad_norms"] is True
    assert not list(losses)
    toml, _ = convert_to({"ffn_lr": "2x", "log_grad_norms": "true"}, "toml", "flux")
    assert "\nlog_grad_norms = true" in toml
    text, losses = convert_to({"ffn_lr": "2x", "log_grad_norms": "true"}, "serenity", "flux", 1e-4)
    assert json.loads(text)["per_layer_lr"]["log_grad_norms"] is True
    assert any("reserved there" in note for note in losses.notes)
    _, losses = convert_to({"block_lr_weight": "single:0.5", "log_grad_norms": "true"}, "onetrainer", "flux")
    assert list(losses) == ["log_grad_norms=true: it says nothing of what a run records"]


def test_a_published_block_that_has_it_off_says_nothing_of_it_elsewhere():
    published = json.dumps({"per_layer_lr": {"enabled": True, "default_lr": 1e-4, "log_grad_norms": False}})
    arguments, _ = convert_from(published, "serenity", "flux")
    assert "log_grad_norms" not in arguments
