"""lr-grid launch: the trainer's command as it stands, its optimizer under a grid."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

import pytest
from full_models import GRID, lr_of, make_flux

from lr_grid.cli.main import main

TRAINER = {
    "library/__init__.py": "",
    "library/train_util.py": """
import torch
class Adafactor(torch.optim.SGD):
    pass
def get_optimizer(args, trainable_params):
    optimizer = Adafactor(trainable_params, lr=args.learning_rate)
    optimizer.defaults |= {"relative_step": False, "scale_parameter": False, "warmup_init": False}
    return "Adafactor", "", optimizer
""",
    # each tensor by itself, when its gradient is there: with the LR of the group that it is handed
    "library/adafactor_fused.py": """
def patch_adafactor_fused(optimizer):
    def step_param(tensor, group):
        tensor.data.add_(tensor.grad, alpha=-group["lr"])
    optimizer.step_param = step_param
""",
    "flux_train.py": """
import argparse, json, sys
import torch
from library import train_util
from small_models import Flux

def train(args):
    torch.manual_seed(0)
    flux = Flux()
    before = {n: p.detach().clone() for n, p in flux.named_parameters()}
    group = {"params": list(flux.parameters()), "lr": args.learning_rate}
    _, _, optimizer = train_util.get_optimizer(args, trainable_params=[group])
    if args.fused_backward_pass:
        import library.adafactor_fused
        library.adafactor_fused.patch_adafactor_fused(optimizer)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.requires_grad:
                    def hook(tensor, group=group):
                        optimizer.step_param(tensor, group)
                        tensor.grad = None
                    parameter.register_post_accumulate_grad_hook(hook)
    sum(parameter.sum() for parameter in flux.parameters()).backward()
    if not args.fused_backward_pass:
        optimizer.step()
    moved = {n: float((before[n] - p.detach()).abs().max()) for n, p in flux.named_parameters()}
    print("MOVED", json.dumps(moved), flush=True)

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--learning_rate", type=float)
    parser.add_argument("--output_dir")
    parser.add_argument("--output_name")
    parser.add_argument("--fused_backward_pass", action="store_true")
    train(parser.parse_args())
""",
    "musubi_tuner/__init__.py": "",
    "flux_train_two_grids.py": """
import argparse, torch
from library import train_util
from lr_grid.optim import AdamW
from small_models import Flux
train_util.get_optimizer = lambda args, params: ("", "", AdamW(params, lr=1e-3, ffn_lr="2x"))
if __name__ == "__main__":
    flux = Flux()
    train_util.get_optimizer(argparse.Namespace(), list(flux.parameters()))
""",
    "musubi_tuner/base.py": """
class NetworkTrainer:
    def get_optimizer(self, args, trainable_params):
        import library.train_util as train_util
        return (*train_util.get_optimizer(args, trainable_params), lambda: None, lambda: None)
""",
    "musubi_tuner/zimage_train.py": """
import sys, torch
from argparse import Namespace
from musubi_tuner.base import NetworkTrainer
from small_models import Flux

class Trainer(NetworkTrainer):
    def get_optimizer(self, args, trainable_params):
        return super().get_optimizer(args, trainable_params)

if __name__ == "__main__":
    transformer = Flux()
    args = Namespace(learning_rate=1e-3, output_dir=None, output_name=None)
    groups = [{"params": list(transformer.parameters()), "lr": 1e-3}]
    name, _, optimizer, train_fn, eval_fn = Trainer().get_optimizer(args, groups)
    print("GOT", type(optimizer).__name__, sys.argv[1:], flush=True)
    sys.exit(7)
""",
}
SETTINGS = [f"{key}={value}" for key, value in GRID.items()]


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    for name, text in TRAINER.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(here.parent), str(here)]))
    return tmp_path


@pytest.mark.parametrize("fused", [False, True])
def test_every_tensor_moves_by_its_lr(trainer, capfd, fused):
    flags = ["--fused_backward_pass"] if fused else []
    words = [sys.executable, "flux_train.py", "--learning_rate", "1e-3", "--output_dir", "out", *flags]
    assert main(["launch", "--args", *SETTINGS, "mod_lr=0", "--", *words]) == 0
    out = capfd.readouterr().out
    moved = json.loads(out.partition("MOVED ")[2].splitlines()[0])
    expected = {name: 0 if "mod" in name else lr_of(name) for name, _ in make_flux().named_parameters()}
    assert moved == pytest.approx(expected, rel=2e-3, abs=1e-9)  # a difference of float32 numbers near 0.3
    assert "first step: GridAdafactor holds exactly the plan's 86 parameters in 1 groups, at the plan's LRs" in out
    assert (
        json.loads((trainer / "out" / "last.lr_grid.json").read_text())["network_module"]
        == "library.train_util.Adafactor"
    )


def test_a_module_and_its_own_exit_code(trainer, capfd):
    words = [sys.executable, "-m", "musubi_tuner.zimage_train", "--flag", "a b"]
    assert main(["launch", "--args", *SETTINGS, "--", *words]) == 7
    assert "GOT GridAdafactor ['--flag', 'a b']" in capfd.readouterr().out


def test_what_only_the_model_can_refuse_stops_the_run(trainer, capfd):
    words = [sys.executable, "flux_train.py", "--learning_rate", "1e-3"]
    assert main(["launch", "--args", "norm_lr=2x", "--", *words]) == 2
    out, err = capfd.readouterr()
    assert "lr-grid: error: norm_lr: this run trains no norm module in flux" in err
    assert "MOVED" not in out


def test_two_grids_are_one_too_many(trainer, capfd):
    assert main(["launch", "--args", "ffn_lr=3x", "--", sys.executable, "flux_train_two_grids.py"]) == 2
    assert "and --optimizer_args have one, too: keep one of the two" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "started"),
    [
        ("accelerate launch --cpu flux_train.py --a 'b c'", "accelerate launch --cpu {} flux_train.py --a 'b c'"),
        ("accelerate launch -m musubi_tuner.zimage_train --a", "accelerate launch {} -m musubi_tuner.zimage_train --a"),
        ("python3 src/musubi_tuner/zimage_train.py", "python3 {} src/musubi_tuner/zimage_train.py"),
        ("CUDA_VISIBLE_DEVICES=1 accelerate launch sdxl_train.py", "accelerate launch {} sdxl_train.py"),
    ],
)  # fmt: skip
def test_the_command_is_the_same_with_the_child_before_the_script(words, started, capsys):
    assert main(["launch", "--dry_run", "--args", *SETTINGS, "--", *shlex.split(words)]) == 0
    child = str(Path(__file__).parents[1] / "lr_grid" / "launch" / "child.py")
    assert capsys.readouterr().out == f"{started.format(child)}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--", "accelerate", "launch", "flux_train.py"], "no grid was given"),
        (["--args", "ffn_lrr=2x", "--", "python", "flux_train.py"], "ffn_lrr: is no setting of a grid. Did you mean"),
        (["--args", "ffn_lr", "--", "python", "flux_train.py"], "--args ffn_lr: is no key=value"),
        (["--args", "ffn_lr=fast", "--", "python", "flux_train.py"], "ffn_lr: 'fast' is not a learning rate"),
        (["--grid", "no.toml", "--", "python", "flux_train.py"], "no.toml: no such file"),
        (["--args", "ffn_lr=2x", "--", "python", "flux_train_network.py"], "an adapter: a LoRA's grid goes into"),
        (["--args", "ffn_lr=2x", "--", "no_such_program", "flux_train.py"], "no_such_program cannot be started"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_before_the_trainer_starts(words, message, capsys):
    assert main(["launch", *words]) == 2
    assert message in capsys.readouterr().err
