"""``lr-grid check``: what is wrong with a training config, before the trainer says so, or says nothing."""

from __future__ import annotations

import argparse
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from lr_grid.cli import source

if TYPE_CHECKING:
    from lr_grid.training import Finding

_DESCRIPTION = """\
Checks a training config for sd-scripts or musubi-tuner: unknown and misspelt arguments, wrong types, repeated flags,
network arguments that the module would ignore and rules that match nothing, optimizers and schedulers that cannot obey
a grid, LRs out of proportion, options that stop the trainer together, and the dataset config. Neither the trainer nor a
model file is needed. Exit code: 0 nothing (or notes only), 1 findings, 2 the input cannot be read."""

_EPILOG = """\
examples:
  lr-grid check flux.toml                                  # a --config_file TOML, and the dataset config it names
  lr-grid check flux.toml --dataset_config dataset.toml
  lr-grid check train.sh                                   # a script (.sh, .bat, .ps1) with the command in it
  lr-grid check dataset.toml                               # a dataset config by itself
  lr-grid check grid.toml --model flux                     # a grid file
  lr-grid check -- accelerate launch flux_train_network.py --network_module networks.lora_flux_grid ...
  lr-grid check - < command.txt                            # from standard input
  lr-grid check my_config.toml --model sdxl --json"""

_COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def add_parser(commands) -> None:
    """Add the command to the subparsers of ``lr-grid``."""
    parser = commands.add_parser(
        "check",
        help="find what is wrong with a training config, a command line, a dataset config or a grid file",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("config", nargs="+", metavar=source.METAVAR, help=source.HELP)
    add("--dataset_config", metavar="FILE", help="the dataset config, in place of the one the config names")
    add("--model", metavar="NAME", help="the model (flux, sdxl, wan-14b, ...), where the config does not tell")
    add("--paths", action="store_true", help="files and folders that the config names must exist here, too")
    add("--json", action="store_true", help="one JSON document for machines")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read the config, check it, and print the findings. Returns 1 where there are errors or warnings."""
    findings = _findings(args)
    if args.json:
        _print_json(findings)
    else:
        _print(findings)
    return int(any(finding.severity != "note" for finding in findings))


def _findings(args: argparse.Namespace) -> list[Finding]:
    from lr_grid.check import check_dataset_file, check_grid_file, check_training, is_grid_file
    from lr_grid.check.dataset_file import is_dataset_config
    from lr_grid.models import find_model
    from lr_grid.training import Finding, TomlError, read_training

    if args.model:
        find_model(args.model)
    try:
        text = source.command_in(args.config)
        if text is None:
            data = source.table_of(args.config[0])
            if data is not None and is_dataset_config(data):
                return check_dataset_file(args.config[0])
            if data is not None and is_grid_file(data):
                return check_grid_file(args.config[0], args.model)
            source.refuse_json(args.config[0], data)
        config = read_training(args.config[0] if text is None else text, is_text=text is not None)
    except TomlError as error:
        return [Finding("error", error.place, error.message)]
    return check_training(config, model=args.model, dataset_config=args.dataset_config, paths=args.paths)


def _print_json(findings: list[Finding]) -> None:
    from lr_grid.cli.output import print_json

    def entry(finding: Finding) -> dict[str, object]:
        place = finding.place
        return {
            "severity": finding.severity,
            "file": place.file,
            "line": place.line or None,
            "flag": place.flag or None,
            "message": finding.message,
            "cure": finding.cure or None,
        }

    print_json({"findings": [entry(finding) for finding in findings]})


def _print(findings: list[Finding]) -> None:
    from lr_grid.cli.output import console

    out = console()
    if out.is_terminal:
        for file, group in groupby(findings, key=lambda finding: finding.place.file):
            out.print(file, style="bold")
            out.print(_table(list(group)))
    else:  # one line each, for grep and for logs
        for finding in findings:
            print(f"{finding.place}  {finding.severity}  {finding.text}")
    counts = [(severity, sum(f.severity == severity for f in findings)) for severity in _COLOURS]
    summary = ", ".join(f"{count} {severity}{'s' if count > 1 else ''}" for severity, count in counts if count)
    out.print(summary or "nothing found")


def _table(findings: list[Finding]):
    """The findings of one file: place, severity, message and cure."""
    from rich.table import Table
    from rich.text import Text

    from lr_grid.training.finding import COMMAND_LINE

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column(overflow="fold")
    for finding in findings:
        place = finding.place
        where = (
            f"{Path(place.file).name}:{place.line}" if place.file != COMMAND_LINE and place.line else place.flag or "-"
        )
        message = Text(finding.text)
        message.stylize("green", len(finding.text) - len(finding.cure))
        table.add_row(f"  {where}", Text(finding.severity, _COLOURS[finding.severity]), message)
    return table
