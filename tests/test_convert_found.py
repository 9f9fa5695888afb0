"""lr-grid convert on what people give it: nothing is dropped unsaid, no file is lost."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from lr_grid.cli.main import main
from lr_grid.convert import read, write
from lr_grid.errors import GridError


def test_component_lrs_of_anima_are_for_anima_alone() -> None:
    text = "--self_attn_lr 1e-5"
    assert read(text, "anima")[0] == read(text, "anima", "anima")[0] == {"self_attn_lr": 1e-5}
    with pytest.raises(GridError, match="these component LRs are Anima's, and the model is sdxl"):
        read(text, "anima", "sdxl")
    with pytest.raises(GridError, match="these component LRs are Anima's, and the model is flux-dev"):
        write({"self_attn_lr": "1e-5"}, "anima", "flux")
    assert write({"self_attn_lr": "1e-5"}, "anima")[0] == "--self_attn_lr 1e-05"


def test_negative_lrs_are_carried_by_all_absolute_formats() -> None:
    assert read("--self_attn_lr=-1e-5", "anima")[0] == {"self_attn_lr": -1e-5}
    assert read("double=-1e-5", "network_reg_lrs")[0] == {"module_lr": {"double": "-1e-05"}}
    assert read(",".join(["-1e-5"] * 23), "block_lr")[0] == {"block_lr": [-1e-5] * 23}


def test_what_is_dropped_is_told() -> None:
    arguments, losses = read("a=1e-4,a=2e-4", "network_reg_lrs")
    assert arguments == {"module_lr": {"a": "0.0002"}}
    assert "a=0.0001: the regex is given twice: the last counts" in losses.lost[0]
    notes = read("--learning_rate 3e-5 --mlp_lr 1e-5", "anima")[1].notes
    assert "learning_rate 3e-5: give it to the trainer" in notes[0]


@pytest.mark.parametrize(
    ("text", "format", "part"),
    [
        ("", "onetrainer:Structur", "Did you mean Structure?"),
        ("NONE:1,1\nMIDD:1,0", "lbw:MIDDD", "there are NONE, MIDD. Did you mean MIDD?"),
        ("1,2,3", "lbw", "sdxl has 12, 20, 21; flux-dev has 20, 57, 58, 61"),
        ('{"per_layer_lr": {}}', "serenity", "per_layer_lr is empty"),
        ('{"per_layer_lr": {"default_lr": 1e-4}}', "serenity", "has no enabled, which counts as false"),
    ],
)
def test_messages_name_what_there_is(text: str, format: str, part: str) -> None:
    with pytest.raises(GridError, match=part.replace("?", r"\?")):
        read(text, format)


def test_products_are_rounded() -> None:
    text = write({"block_lr_weight": "0:3"}, "block_lr", "sdxl", 1e-4)[0]
    assert text.startswith("0.0003,0.0001,")


def test_the_command_loses_no_file(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text("ffn_lr = 1e-4\n")
    assert main(["convert", "a.toml", "--to", "args", "-o", "./a.toml"]) == 2
    assert "is the input: give another name" in capsys.readouterr().err
    assert Path("a.toml").read_text() == "ffn_lr = 1e-4\n"
    assert main(["convert", "a.toml", "--to", "args", "-o", "b.txt"]) == 0
    assert "replaced" not in capsys.readouterr().err
    assert main(["convert", "a.toml", "--to", "args", "-o", "b.txt"]) == 0
    assert "b.txt: replaced" in capsys.readouterr().err


def test_the_command_says_what_an_input_is(tmp_path, monkeypatch, capsys) -> None:
    for given, part in ((str(tmp_path), "is a folder"), ("[1, 2]", "the JSON holds a list, not an object")):
        assert main(["convert", given, "--to", "args"]) == 2
        assert part in capsys.readouterr().err
    assert main(["convert", "--from", "onetrainer:Structur", "--to", "toml"]) == 2
    assert "Did you mean Structure?" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO("\ufeffffn_lr = 1e-4\n"))
    assert main(["convert", "-", "--to", "args"]) == 0
    assert capsys.readouterr().out == "--network_args ffn_lr=0.0001\n"


def test_a_line_that_goes_on_with_a_backslash_is_one_line():
    text = "--network_args ffn_lr=2x \\\n  mod_lr=0 \\\r\n  'depth_strategy=linear'\n"
    assert read(text, "args") == read("--network_args ffn_lr=2x mod_lr=0 depth_strategy=linear", "args")
