"""The command line: light to ask for help, one clear message and exit code 2 for wrong input."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lr_grid import __version__
from lr_grid.cli import demo as demo_command
from lr_grid.cli.main import COMMANDS, main
from lr_grid.errors import GridError

HEAVY = ("torch", "sklearn", "matplotlib", "lycoris", "accelerate", "diffusers", "numpy", "rich", "lr_grid.keys")


@pytest.mark.parametrize("argv", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_and_version_import_nothing_heavy(argv):
    code = (
        "import json, sys\n"
        "from lr_grid.cli.main import main\n"
        f"code = main({argv!r})\n"
        f"print(json.dumps([code, [name for name in {HEAVY!r} if name in sys.modules]]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout.splitlines()[-1]) == [0, []]


def test_python_m_lr_grid_is_the_command_line():
    run = subprocess.run([sys.executable, "-m", "lr_grid", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == f"lr-grid {__version__}"


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def test_demo_help_shows_the_default_grid_and_examples(capsys):
    assert main(["demo", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for expected in ("depth_strategy=linear", "--base_steps", "--fresh", "examples:", "not a faster optimizer"):
        assert expected in text


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--steps", "0"], "--steps must be 1 or more, not 0"),
        (["--base_steps", "-3"], "--base_steps must be 1 or more, not -3"),
        (["--rank", "0"], "--rank must be 1 or more, not 0"),
        (["--learning_rate", "nan"], "--learning_rate must be a number above 0, not nan"),
        (["--seed", "-1"], "--seed must be between"),
        (["--output_name", "a/b"], "--output_name must be a file name without folders"),
        (["--network_args", "cross_attn_lr"], "--network_args takes key=value, not 'cross_attn_lr'"),
        (["--network_args", "ffn_lr=1x", "ffn_lr=2x"], "--network_args gives ffn_lr twice"),
    ],
)
def test_wrong_values_are_told_without_traceback(argv, told, capsys):
    assert main(["demo", *argv]) == 2
    text = capsys.readouterr().err
    assert text.startswith("lr-grid: error: ")
    assert told in text
    assert "Traceback" not in text


def test_all_wrong_values_are_told_at_once(capsys):
    assert main(["demo", "--steps", "0", "--rank", "0", "--network_args", "x"]) == 2
    text = capsys.readouterr().err
    assert all(flag in text for flag in ("--steps", "--rank", "--network_args"))


def test_missing_packages_are_named_with_the_way_out(monkeypatch, capsys):
    monkeypatch.setattr("lr_grid.demo.find_spec", lambda name: None if name in ("sklearn", "lycoris") else object())
    assert main(["demo"]) == 2
    text = capsys.readouterr().err
    assert "scikit-learn, lycoris-lora" in text
    assert 'pip install "lr-grid[demo]"' in text
    assert "matplotlib" not in text


def test_a_command_is_required(capsys):
    assert main([]) == 2
    assert "<command>" in capsys.readouterr().err


def test_a_grid_error_becomes_a_message_and_other_errors_do_not(monkeypatch, capsys):
    def refuse(args):
        raise GridError(["no such component"])

    monkeypatch.setattr(demo_command, "run", refuse)
    assert main(["demo"]) == 2
    assert capsys.readouterr().err == "lr-grid: error: no such component\n"

    def crash(args):
        raise ValueError("a bug")

    monkeypatch.setattr(demo_command, "run", crash)
    with pytest.raises(ValueError, match="a bug"):
        main(["demo"])
