"""The page's calculator, its read-only views, and what the command prints."""

from __future__ import annotations

import base64
import json

import pytest

from lr_grid.cli.main import main
from lr_grid.errors import GridError
from lr_grid.models import find_model
from lr_grid.norms.fileformat import STEPS, chunk, head_chunk, record
from lr_grid.preview import preview
from lr_grid.recommend.lrtool import Configuration, implied_offset, statistics
from lr_grid.recommend.recommendation import recommend
from lr_grid.recommend.run_setup import Setup
from lr_grid.report.jsonfile import plan_to_dict
from lr_grid.ui import calculator, calculator_fields, launch
from lr_grid.ui.planned import cells_of
from lr_grid.ui.server import UiServer
from lr_grid.ui.views import MOST_STEPS, view

FIELDS = {
    "model": "sdxl",
    "rank": "32",
    "alpha": 16,
    "batch_size": "4",
    "optimizer": "AdamW",
    "resolution": "",
    "images": "40",
}


def ask(method: str, fields: dict, base: str = "1e-4") -> dict:
    return calculator.recommended({"method": method, "fields": fields, "base_lr": base})


def test_rules_give_what_the_command_gives():
    expected = recommend(Setup("sdxl", 32, 16, batch_size=4))
    found = ask("rules", FIELDS)
    assert (found["low"], found["typical"], found["high"]) == (expected.lr.low, expected.lr.typical, expected.lr.high)
    assert len(found["steps"]) == len(expected.rules)
    assert found["takes_grid"]
    assert "in the range" in found["place"]
    assert "above the range, by" in ask("rules", FIELDS, "1")["place"]
    assert ask("rules", FIELDS, "")["place"] == ""


def test_an_optimizer_that_finds_its_lr_takes_no_grid():
    found = ask("rules", {**FIELDS, "optimizer": "Prodigy"})
    assert (found["typical"], found["takes_grid"]) == (1.0, False)
    assert "Set 1" in found["place"]


def test_lrtool_scores_the_lr_that_is_used_now():
    chosen = Configuration(batch=4, images=40, model="SDXL")
    best = statistics(chosen)["recommended_lr"]
    at_best = ask("lrtool", FIELDS, repr(best))
    assert at_best["recommended"] == best
    assert at_best["implied_offset"] == pytest.approx(0, abs=1e-12)
    assert at_best["stability"] == pytest.approx(100)
    off = ask("lrtool", FIELDS, repr(best * 1.5))
    assert off["implied_offset"] == pytest.approx(implied_offset(chosen, best * 1.5)) == pytest.approx(0.5)
    shifted = statistics(Configuration(batch=4, images=40, model="SDXL", slider_offset=0.5))
    assert off["stability"] == pytest.approx(shifted["stability_score"])
    assert (off["stability_band"], off["efficiency_band"]) == (shifted["risk_band"], shifted["efficiency_band"])
    beyond = ask("lrtool", FIELDS, repr(best * 5))  # beyond LRTool's own slider
    assert beyond["implied_offset"] == pytest.approx(4)
    assert beyond["stability"] < off["stability"]
    for none in ("", "x", "0", "-1", "1e300"):
        assert ask("lrtool", FIELDS, none)["stability"] is None


def test_the_offset_moves_lrtools_lr():
    plain, raised = ask("lrtool", FIELDS), ask("lrtool", {**FIELDS, "offset": "0.25"})
    assert raised["lr"] == pytest.approx(1.25 * plain["lr"])
    assert raised["recommended"] == plain["recommended"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"model": "wan-14b"}, "LRTool has no constants for wan-14b"),
        ({"model": "sdxl", "rank": "many"}, "rank: 'many' is not a number"),
        ({"model": "sdxl", "batch_size": "1.5"}, "batch_size: 1.5 is no whole number"),
        ({"model": "sdxl", "offset": "2"}, "offset"),
        ({"model": "sdxl", "scheduler": "x"}, "LRTool has no 'x'"),
        ({"model": "sdxl", "steps": "1e300"}, "steps"),
        ({"model": "sdxl", "rank": "nan"}, "not a number"),
        ({}, "which model"),
    ],
)
def test_wrong_fields_are_told(fields, told):
    with pytest.raises(GridError) as error:
        ask("lrtool", fields)
    assert told.lower() in str(error.value).lower() or "finite" in str(error.value)


def test_a_profile_comes_back_from_its_file():
    fields = {**FIELDS, "scheduler": "Linear", "warmup": "5%", "offset": "0.25", "objective": "Style", "steps": "1500"}
    back = calculator.read_profile(calculator.written_profile(fields))
    expected = {key: str(value) for key, value in fields.items() if value != ""}
    assert {key: back[key] for key in expected} == expected
    assert back["lrtool_model"] == "SDXL"
    for wrong in (
        "x",
        "[]",
        '{"configuration": 1}',
        '{"configuration": {"rank": "many"}}',
        '{"configuration": {"rnk": 1}}',
    ):
        with pytest.raises(GridError):
            calculator.read_profile(wrong)


def test_the_calculator_tells_what_its_fields_may_hold():
    about = calculator_fields.about()
    assert about["defaults"]["rank"] == "32"
    assert "Cosine" in about["schedulers"]
    assert "AdamW" in about["optimizers"]
    assert (
        ask("lrtool", {**about["defaults"], "model": "sdxl"})["recommended"]
        == statistics(Configuration())["recommended_lr"]
    )


@pytest.mark.parametrize(
    ("model", "arguments"),
    [
        ("flux-dev", {"self_attn_lr": "1.5x", "mod_lr": "0", "loraplus_lr_ratio": "4", "block_dims": "double_3:8"}),
        ("sdxl", {"ffn_lr": "2x", "conv_dim": "4", "module_lr": "attn1.to_q:1e-5"}),
        ("wan-14b", {"depth_strategy": "linear", "block_lr_weight": {"blocks_0-3": 0.5}}),
    ],
)
def test_a_plan_is_shown_as_the_page_shows_the_grid_it_came_from(model, arguments):
    made = preview(find_model(model), arguments)
    data = plan_to_dict(made.plan, made.base, made.groups, made.descriptions)
    shown = view({"name": "x.lr_grid.json", "text": json.dumps(data)})
    expected = cells_of(made.plan)
    for stack, rows in expected.items():
        for component, row in rows.items():
            assert shown["cells"][stack][component]["lr"] == row["lr"]
            assert shown["cells"][stack][component].get("up") == row.get("up")
    assert (shown["kind"], shown["model"], shown["base_lr"]) == ("plan", model, 1e-4)
    assert shown["arguments"].startswith("--network_args ")
    assert [stack["name"] for stack in shown["stacks"]] == list(made.plan.stacks)
    assert ["trained parameters", f"{sum(row.params for row in made.plan.rows):,}"] in shown["facts"]


def norms_file(steps: int) -> bytes:
    cells = [
        {
            "part": part,
            "stack": stack,
            "block": 3,
            "component": "ffn",
            "side": side,
            "lrs": [1e-4],
            "modules": 2,
            "parameters": 9,
        }
        for part, stack, side in (("unet", "double", "down"), ("unet", "double", "up"), ("te1", "layers", "down"))
    ]
    facts = {"cells": cells, "quantities": ["grad", "weight", "moved"], "model": "flux",
             "stacks": {"double": 19, "single": 38}, "started": "2025-01-01", "base_lr": 1e-4}  # fmt: skip
    four, three = b"\x80\x40", b"\x40\x40"  # 4 and 3 as bfloat16
    row = three + four + three
    head = head_chunk(0, {**facts, "byteorder": "little"})
    return head + chunk(STEPS, 0, b"".join(record(step + 1, row * 3) for step in range(steps)))


@pytest.mark.parametrize("steps", [5, MOST_STEPS + 500])
def test_norms_are_shown_as_means_over_the_steps(steps):
    data = base64.b64encode(norms_file(steps)).decode()
    shown = view({"name": "x.lr_grid.norms", "base64": data})
    assert (shown["kind"], shown["model"], shown["base_lr"]) == ("norms", "flux-dev", 1e-4)
    grad = shown["quantities"]["grad"]
    assert grad["double"]["ffn"] == [None] * 3 + [5.0] + [None] * 15  # both sides together
    assert set(grad) == {"double"}  # the text encoder's are no part of it
    assert set(shown["quantities"]) == set(shown["labels"]) == {"grad", "weight", "update"}
    assert shown["stacks"][0]["rows"] == [{"component": "ffn", "blocks": [3]}]
    assert ("of" in shown["labels"]["grad"].split("mean over")[1]) == (steps > MOST_STEPS)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"\xff\xfe", b'{"lr_grid": "1", "cells": [1], "stacks": {}}', b"LRGN", b"LRGNH" + b"\0" * 40,
     b'{"lr_grid": "1", "cells": [], "stacks": {"a": 1e99}}', b'{"lr_grid": "1", "cells": [], "stacks": {"a": 100000}}',
     b'{"lr_grid": "1", "cells": [{"stack": "a"}], "stacks": {"a": 1}}', norms_file(5)[:-10], norms_file(0)],
)  # fmt: skip
def test_what_is_no_plan_and_no_norms_is_told(content):
    with pytest.raises(GridError):
        view({"name": "x", "base64": base64.b64encode(content).decode()})


# The command


def test_the_terminal_shows_the_address_and_how_to_reach_it_from_elsewhere(monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    monkeypatch.setattr("socket.gethostname", lambda: "gpu1")
    lines = launch.words("127.0.0.1", 8477, "TOKEN", ())
    assert lines[0] == "lr-grid ui: http://127.0.0.1:8477/#t=TOKEN"
    assert "ssh -N -L 8477:127.0.0.1:8477 ann@gpu1" in lines[1]
    assert "[::1]:8477" in launch.words("::1", 8477, "T", ())[0]
    assert "not" in launch.words("0.0.0.0", 8477, "T", ("10.0.0.2",))[1]
    assert "http://127.0.0.1:8477/" in launch.words("0.0.0.0", 8477, "T", ("10.0.0.2",))[0]
    assert any("my.hub.org" in line for line in launch.words("127.0.0.1", 1, "T", ("my.hub.org",)))


def test_the_browsers_command_line_holds_no_token(monkeypatch, capsys):
    opened = []

    def serve(self):
        opened.append(self.guard.token)

    monkeypatch.setattr(launch, "open_browser", opened.append)
    monkeypatch.setattr(launch, "has_display", lambda: True)
    monkeypatch.setattr("signal.signal", lambda *args: None)
    monkeypatch.setattr(UiServer, "serve_forever", serve)
    monkeypatch.setattr(UiServer, "warm_up", lambda self: None)
    assert main(["ui", "--port", "0"]) == 0
    url, token = opened
    assert url.startswith("http://127.0.0.1:")
    assert "/open?" in url
    assert token not in url
    assert f"/#t={token}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("environment", "platform", "shows"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "linux", False),
        ({"DISPLAY": ":10", "SSH_CONNECTION": "1 2 3 4"}, "linux", False),
        ({}, "darwin", True),
        ({"SSH_TTY": "/dev/ttys0"}, "darwin", False),
        ({}, "win32", True),
    ],
)
def test_a_browser_is_opened_where_somebody_sees_it(environment, platform, shows):
    assert launch.has_display(environment, platform) == shows


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--model", "fluks"], "--model fluks: is not known"),
        (["--file", "grid.json"], "--file grid.json: give the name of a .toml"),
        (["--file", ""], "--file"),
        (["--port", "70000"], "--port 70000: is no port"),
        (["--port", "-1"], "--port -1: is no port"),
        (["--host", "0.0.0.0"], "--allow-host"),
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
        (["--allow-host", "http://my.hub.org"], "--allow-host http://my.hub.org: is no name of a host"),
        (["--allow-host", "my.hub.org:80"], "is no name of a host"),
        (["--allow-host", ""], "is no name of a host"),
    ],
)
def test_wrong_options_are_told_before_anything_starts(argv, told, capsys):
    assert main(["ui", "--no-browser", *argv]) == 2
    assert told in capsys.readouterr().err
