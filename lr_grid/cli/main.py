"""Entry point of ``lr-grid``: finds the command, and turns every GridError into one message on stderr."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from lr_grid import __version__
from lr_grid.errors import GridError

COMMANDS = ("show", "ui", "check", "presets", "rehearse", "launch", "recommend", "convert", "norms", "demo")
"""Modules of this package. Each has ``add_parser(commands)``, which sets the default ``run(args) -> int``; importing
one must stay cheap: torch and the like are imported inside ``run``."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="lr-grid",
        description="A learning rate for every block, component and LoRA side of a diffusion model: "
        "control over what a LoRA learns and forgets, and a record of what was done.",
        epilog="examples:\n"
        "  lr-grid demo                                             train a LoRA under a grid, here and now\n"
        "  lr-grid show --model flux --network_args ffn_lr=0.5x     what would train, at which LR\n"
        "  lr-grid ui                                               shape a grid by hand, on a local page\n"
        "  lr-grid check train.toml                                 what is wrong with a training config\n"
        "  lr-grid rehearse -- accelerate launch SCRIPT --...       its first steps, without weights, on the CPU\n"
        "  lr-grid launch --grid g.toml -- accelerate launch ...    full fine-tuning with the trainer's own optimizer\n"
        "  lr-grid recommend --model flux --rank 16 --alpha 16      a base LR to start from\n"
        "  lr-grid convert grid.json --to args --model flux         grids from and for other tools\n"
        "  lr-grid norms output/name.lr_grid.norms                  what a run recorded with log_grad_norms=true\n"
        "  lr-grid show --help                                      what can be asked, with examples",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"lr-grid {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="<command>", required=True)
    for name in COMMANDS:
        importlib.import_module(f"lr_grid.cli.{name}").add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 2 wrong input (told on stderr)."""
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse leaves this way after --help, --version and usage errors
        return int(stop.code or 0)
    try:
        code: int = args.run(args)
        sys.stdout.flush()  # a reader that is gone shows here
        return code
    except BrokenPipeError:  # | head: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except GridError as error:
        print(f"lr-grid: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lr-grid: stopped", file=sys.stderr)
        return 130
