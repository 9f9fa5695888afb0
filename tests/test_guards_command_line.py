"""List options given twice, and lists of a config file that the command line replaces: argparse says nothing."""

from __future__ import annotations

import argparse
import sys

import pytest
from small_models import Flux, make_network, start

from lr_grid.errors import GridError
from lr_grid.guards import check_repeats, overruled
from lr_grid.training import read_training
from lr_grid.training.tables import options

SCRIPT = "flux_train_network.py"


def parsed(monkeypatch, *words: str, script: str = SCRIPT) -> argparse.Namespace:
    """What the trainer's own parser makes of a command line that this process seems to have."""
    monkeypatch.setattr(sys, "argv", [f"/sd-scripts/{script}", *words])
    parser = argparse.ArgumentParser()
    for option in options("sd-scripts", SCRIPT).values():
        if option.is_flag:
            parser.add_argument(*option.flags, dest=option.dest, action="store_true")
        else:
            kind = {"int": int, "float": float}.get(option.type, str)
            parser.add_argument(*option.flags, dest=option.dest, nargs=option.nargs, type=kind)
    return parser.parse_args(words)


def test_network_args_given_twice_are_refused_with_both_and_the_joined_flag(monkeypatch):
    args = parsed(monkeypatch, "--network_args", "ffn_lr=2x", "mod_lr=0", "--network_args", "fused_lr=1x", "ffn_lr=3x")
    assert args.network_args == ["fused_lr=1x", "ffn_lr=3x"]  # the rest is gone
    with pytest.raises(GridError) as told:
        check_repeats(args)
    assert str(told.value) == (
        "--network_args is given twice: only the last counts, ffn_lr=2x mod_lr=0 is dropped."
        " Put all values behind one: --network_args mod_lr=0 fused_lr=1x ffn_lr=3x"
    )


def test_given_once_they_pass(monkeypatch):
    check_repeats(parsed(monkeypatch, "--network_args", "ffn_lr=2x", "fused_lr=1x", "--optimizer_args", "eps=1e-6"))


def test_the_same_values_twice_pass(monkeypatch):
    check_repeats(parsed(monkeypatch, "--network_args", "ffn_lr=2x", "--network_args", "ffn_lr=2x"))


def test_an_option_that_is_no_list_may_be_overruled(monkeypatch):
    check_repeats(parsed(monkeypatch, "--learning_rate", "1e-4", "--learning_rate", "2e-4"))


@pytest.mark.parametrize("flag", ["--optimizer_args", "--lr_scheduler_args"])
def test_other_lists_are_refused_too(monkeypatch, flag):
    with pytest.raises(GridError, match=rf"{flag} is given twice: .* Put all values behind one: {flag} a=1 b=2"):
        check_repeats(parsed(monkeypatch, flag, "a=1", flag, "b=2"))


def test_three_flags_are_joined_into_one(monkeypatch):
    flag = "--network_args"
    with pytest.raises(GridError, match=f"behind one: {flag} a=1 b=2 c=3"):
        check_repeats(parsed(monkeypatch, flag, "a=1", flag, "b=2", flag, "c=3"))


def test_a_program_that_is_no_training_script_is_left_alone(monkeypatch):
    words = ["--network_args", "a=1", "--network_args", "b=2"]
    check_repeats(parsed(monkeypatch, *words, script="pytest"))
    check_repeats(parsed(monkeypatch, *words, script="train.py"))


def test_arguments_that_are_not_the_command_lines_are_left_alone(monkeypatch):
    """A program of somebody's that calls the trainer with args of its own, whatever its command line says."""
    args = parsed(monkeypatch, "--network_args", "a=1", "--network_args", "b=2")
    args.network_args = ["c=3"]
    check_repeats(args)
    check_repeats(argparse.Namespace())


def test_the_run_and_the_check_say_the_same(monkeypatch):
    words = ["--network_args", "ffn_lr=2x", "--network_args", "fused_lr=1x"]
    with pytest.raises(GridError) as told:
        check_repeats(parsed(monkeypatch, *words))
    config = read_training(f"python {SCRIPT} {' '.join(words)}", is_text=True)
    assert [f.text for f in config.findings if f.severity == "error"] == told.value.problems


def test_the_list_of_a_config_file_that_the_command_line_replaces_is_told(monkeypatch, tmp_path):
    file = tmp_path / "train.toml"
    file.write_text('[network]\nnetwork_args = ["ffn_lr=2x", "fused_lr=1x"]\n', encoding="utf-8")
    for name in (str(file), str(file.with_suffix(""))):
        args = parsed(monkeypatch, "--config_file", name, "--network_args", "ffn_lr=2x")
        args.config_file = str(file.with_suffix(""))  # as the trainers leave it
        (told,) = overruled(args)
        assert told.startswith(f"--network_args replaces the whole list of {file}:2: fused_lr=1x is dropped")
        assert told.endswith("Repeat here what shall stay")
    assert overruled(parsed(monkeypatch, "--config_file", str(file))) == []
    assert overruled(parsed(monkeypatch, "--network_args", "ffn_lr=2x")) == []
    assert overruled(parsed(monkeypatch, "--config_file", str(tmp_path / "no.toml"), "--network_args", "a=1")) == []


def test_the_network_asks_before_anything_is_attached(monkeypatch):
    args = parsed(monkeypatch, "--network_args", "ffn_lr=2x", "--network_args", "mod_lr=1x")
    model = Flux()
    network = make_network(model, mod_lr="1x")
    with pytest.raises(GridError, match="--network_args is given twice"):
        start(network, model, network_args=args.network_args)
    assert "forward" not in vars(model.double_blocks[0].img_mlp[0])


def test_it_is_told_without_any_grid_argument_too(monkeypatch):
    """The flag that was lost may be the one with the grid."""
    args = parsed(monkeypatch, "--network_args", "ffn_lr=2x", "--network_args", "loraplus_lr_ratio=4")
    model = Flux()
    with pytest.raises(GridError, match="ffn_lr=2x is dropped"):
        start(make_network(model), model, network_args=args.network_args)
