"""``lr-grid norms``: the heat map, its picture, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys

import pytest
import torch

from lr_grid.cli.main import main
from lr_grid.norms.cells import QUANTITIES, NormCell
from lr_grid.norms.writer import NormsWriter

PLACES = [
    ("te1", "layers", 0, "self_attn"),
    ("unet", "double", 0, "ffn"),
    ("unet", "double", 0, "self_attn"),
    ("unet", "double", 2, "self_attn"),
    ("unet", "single", 1, "fused"),
    ("unet", None, None, "embed"),
]
CELLS = [NormCell(*place, side, (1e-4,), 2, 32) for place in PLACES for side in ("down", "up")]


def write(path, steps, changes=None):
    """A run: gradient 3 down and 4 up (5 together) times the cell's place, weights 0.6 and 0.8, moved a tenth of that;
    ``changes``: (step, quantity, cell) -> another number."""
    facts = {
        "quantities": list(QUANTITIES),
        "model": "flux",
        "stacks": {"double": 3, "single": 4},
        "base_lr": 1e-4,
        "arguments": {"ffn_lr": "2x"},
        "started": "2026-11-23T04:27:56+0000",
        "cells": [cell.to_dict() for cell in CELLS],
    }
    writer = NormsWriter(path, facts)
    for step in steps:
        numbers = []
        for quantity in QUANTITIES:
            for index in range(len(CELLS)):
                up = index % 2
                value = {"grad": (index // 2 + 1) * (3 + up), "weight": 0.6 + 0.2 * up, "moved": 0.06 + 0.02 * up}
                numbers.append((changes or {}).get((step, quantity, index), value[quantity]))
        writer.add(step, bytes(torch.tensor(numbers).to(torch.bfloat16).view(torch.uint8).tolist()))
    writer.flush()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run.lr_grid.norms"
    write(path, range(1, 5))
    return path


def words(text):
    return [line.split() for line in text.splitlines()]


def test_the_heat_map_stands_stack_by_stack_with_both_sides_together(file, capsys):
    assert main(["norms", str(file)]) == 0
    lines = words(capsys.readouterr().out)
    assert " ".join(lines[0]) == (
        "gradient norm of flux, both sides together: mean over 4 steps (1 to 4), base LR 0.0001"
    )
    assert lines[1:11] == [
        ["double", "self_attn", "ffn"],
        ["0", "1.5e+01", "1.0e+01"],
        ["2", "2.0e+01", "-"],
        ["single", "fused"],
        ["1", "2.5e+01"],
        ["outside", "embed"],
        ["3.0e+01"],
        ["te1.layers", "self_attn"],
        ["0", "5.0e+00"],
        lines[10],
    ]
    assert "geometric mean of all cells (15)" in " ".join(lines[10])


def test_one_side_the_other_norms_and_some_steps(file, capsys):
    main(["norms", str(file), "--side", "up", "--steps", "2-3"])
    lines = words(capsys.readouterr().out)
    assert "up side: mean over 2 steps (2 to 3)" in " ".join(lines[0])
    assert lines[2] == ["0", "1.2e+01", "8.0e+00"]
    main(["norms", str(file), "--what", "update"])
    assert words(capsys.readouterr().out)[2] == ["0", "1.0e-01", "1.0e-01"]
    main(["norms", str(file), "--what", "weight"])
    assert words(capsys.readouterr().out)[2] == ["0", "1.0e+00", "1.0e+00"]


def test_steps_that_are_not_finite_are_marked_and_left_out_of_the_mean(tmp_path, capsys):
    path = tmp_path / "run.lr_grid.norms"
    bad = {(2, "grad", 2): math.nan, (3, "grad", 3): math.inf}
    bad |= {(step, "grad", index): math.nan for step in (1, 2, 3, 4) for index in (4, 5)}
    absent = {(step, "grad", index): -1.0 for step in (1, 2, 3, 4) for index in (0, 1)}
    write(path, range(1, 5), {**bad, **absent})
    main(["norms", str(path)])
    out = capsys.readouterr().out
    assert ["0", "nan", "1.0e+01!"] in words(out)
    assert ["0", "none"] in words(out)
    assert "NaN or infinity in 2 cells, in up to 4 steps" in out
    main(["norms", str(path), "--json"])
    cells = json.loads(capsys.readouterr().out)["cells"]
    by_place = {(c["part"], c["stack"], c["block"], c["component"]): c["grad"] for c in cells}
    assert by_place["unet", "double", 0, "ffn"] == {
        "mean": 10.0, "least": 10.0, "most": 10.0, "last": 10.0, "steps": 2, "not_finite": 2,
    }  # fmt: skip
    assert by_place["unet", "double", 0, "self_attn"]["mean"] is None
    assert by_place["te1", "layers", 0, "self_attn"]["steps"] == 0


def test_weights_that_are_0_and_stay_0_have_no_ratio(tmp_path, capsys):
    path = tmp_path / "run.lr_grid.norms"
    write(path, (1, 2), {(1, quantity, 3): 0.0 for quantity in ("weight", "moved")})
    main(["norms", str(path), "--what", "update", "--side", "up", "--json"])
    cells = json.loads(capsys.readouterr().out)["cells"]
    (update,) = [cell["update"] for cell in cells if cell["component"] == "ffn"]
    assert (update["steps"], update["not_finite"], update["mean"]) == (1, 0, pytest.approx(0.1, rel=0.01))


def test_json_has_every_cell_and_component_over_time(file, capsys):
    main(["norms", str(file), "--json"])
    data = json.loads(capsys.readouterr().out)
    assert data["model"] == "flux"
    assert data["steps"] == {"count": 4, "first": 1, "last": 4}
    assert data["arguments"] == {"ffn_lr": "2x"}
    assert len(data["cells"]) == len(PLACES)
    cell = next(cell for cell in data["cells"] if cell["component"] == "embed")
    assert (cell["modules"], cell["parameters"], cell["lr"]) == (2, 64, {"down": [1e-4], "up": [1e-4]})
    (row,) = [row for row in data["components"] if row["name"] == "double.self_attn"]
    assert row["grad"]["mean"] == pytest.approx(25, rel=0.01), "15 and 20 together"
    assert [b["first_step"] for b in row["grad"]["over_time"]] == [1, 2, 3, 4]


def test_csv_has_every_number(file, capsys):
    main(["norms", str(file), "--csv", "--side", "down"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 4 * len(PLACES)
    assert rows[1] == {
        "step": "1", "part": "unet", "stack": "double", "block": "0", "component": "ffn", "side": "down",
        "grad": "6", "weight": "0.6016", "moved": "0.06006",
    }  # fmt: skip


def test_of_several_runs_the_last_is_shown_and_another_can_be(file, capsys):
    write(file, range(1, 8))
    main(["norms", str(file)])
    out = capsys.readouterr().out
    assert "mean over 7 steps" in out
    assert "run 2 of 2, begun 2026-11-23T04:27:56+0000; --run shows another" in out
    main(["norms", str(file), "--run", "1"])
    assert "mean over 4 steps" in capsys.readouterr().out


def test_a_cut_off_file_is_shown_as_far_as_it_goes_and_says_so(file, capsys):
    with file.open("ab") as half:
        half.write(file.read_bytes()[:40])
    assert main(["norms", str(file)]) == 0
    assert "40 bytes of the file are of no whole record" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--steps", "5-"], "--steps 5-: run 1 of .* has steps 1 to 4"),
        (["--steps", "3-2"], "--steps 3-2: 3 comes after 2"),
        (["--steps", "a"], "--steps a: give 100-200, 100-, -200 or 100"),
        (["--steps", "-"], "--steps -: give"),
        (["--run", "2"], "--run 2: .* holds 1"),
        (["--run", "0"], "--run 0: .* holds 1"),
        (["--plot", "norms.svg"], "--plot norms.svg: a picture of norms is a .png file"),
        (["--plot", "no/such/folder/norms.png"], "--plot no/such/folder/norms.png: could not be drawn"),
    ],
)
def test_what_cannot_be_shown_is_said(file, capsys, options, told):
    import re

    assert main(["norms", str(file), *options]) == 2
    assert re.search(told, capsys.readouterr().err)


def test_another_kind_of_file_is_refused(tmp_path, capsys):
    path = tmp_path / "run.lr_grid.json"
    path.write_text("{}")
    assert main(["norms", str(path)]) == 2
    assert "is no norms file" in capsys.readouterr().err


def test_it_needs_no_torch(file):
    code = (
        "import sys; from lr_grid.cli.main import main;"
        f" code = main(['norms', {str(file)!r}]);"
        " sys.exit(code or ('torch' in sys.modules) * 3)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("options", [[], ["--what", "update", "--side", "up"], ["--steps", "2"]])
def test_the_picture_is_a_heat_map_above_and_time_below(file, tmp_path, capsys, options):
    pytest.importorskip("matplotlib")
    from PIL import Image

    assert main(["norms", str(file), "--plot", str(tmp_path / "norms.png"), *options]) == 0
    assert "drawn: " in capsys.readouterr().out
    picture = Image.open(tmp_path / "norms.png")
    assert picture.width > 500
    assert len(picture.convert("RGB").getcolors(1 << 16)) > 30


def test_the_picture_says_what_every_cell_and_component_has(file):
    pytest.importorskip("matplotlib")
    from lr_grid.norms.picture import heat_map, time_figure
    from lr_grid.norms.read import read_norms

    run = read_norms(str(file)).runs[0]
    view = heat_map(run, "grad", None)
    tiles = {(p.name, t.block, t.component): (t.look.text, t.look.value) for p in view.panels for t in p.tiles}
    assert tiles["double", 2, "self_attn"] == ("2.0e1", 20.0)
    assert tiles["outside", 0, "embed"] == ("3.0e1", 30.0)
    assert [line.label for line in view.panels[0].lines] == ["0", "1", "2"]
    figure = time_figure(run, "grad", None, 6)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "double.self_attn", "double.ffn", "single.fused", "outside.embed", "te1.layers.self_attn",
    ]  # fmt: skip
    mesh = axes.collections[0]
    assert mesh.get_array()[0].tolist() == pytest.approx([25.0] * 4, rel=0.01)
    assert mesh.norm(mesh.get_array()).max() == 1.0


def test_norms_that_are_all_0_or_missing_are_drawn_too(tmp_path):
    pytest.importorskip("matplotlib")
    changes = {(1, "grad", index): -1.0 if index < 4 else 0.0 for index in range(len(CELLS))}
    write(tmp_path / "run.lr_grid.norms", [1], changes)
    assert main(["norms", str(tmp_path / "run.lr_grid.norms"), "--plot", str(tmp_path / "norms.png")]) == 0
    assert (tmp_path / "norms.png").stat().st_size > 1000
