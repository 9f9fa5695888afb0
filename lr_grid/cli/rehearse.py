"""``lr-grid rehearse``: the first steps of a training command on the CPU, on a model without weights."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lr_grid.cli import source

if TYPE_CHECKING:
    from lr_grid.rehearse.job import Report

_DESCRIPTION = """\
Runs a training command, as it stands, for a few steps on the CPU: the trainer's own script, its own parser, config and
dataset files, network, optimizer, scheduler and saved state, on a model of real depth and width whose weights are not
read. Every trained element gets the same gradient, so that its movement tells the LR that it really got. Takes about
ten seconds, writes nothing outside a temporary folder and uses no network. To be run where the training would be: in
the trainer's folder and environment. Exit code: 0 passed, 1 findings, 2 the command cannot be rehearsed."""

_EPILOG = """\
examples:
  lr-grid rehearse -- accelerate launch flux_train_network.py --config_file flux.toml
  lr-grid rehearse -- python train_network.py --pretrained_model_name_or_path sd15.safetensors ...
  lr-grid rehearse -- accelerate launch -m musubi_tuner.wan_train_network --task t2v-14B ...
  lr-grid rehearse train.sh                                # the command in a script
  lr-grid rehearse - < command.txt                         # pasted, over several lines
  lr-grid rehearse --steps 8 --json -- accelerate launch sdxl_train_network.py ..."""

_ORDER = ("arguments", "dataset", "grid", "groups", "clipping", "optimizer", "scheduler", "resume")


def add_parser(commands) -> None:
    """Add the command to the subparsers of ``lr-grid``."""
    parser = commands.add_parser(
        "rehearse",
        help="run the first steps of a training command on the CPU, without weights, and measure what each cell got",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("command", nargs="+", metavar="COMMAND", help="a training command behind --, or a file that holds one, or -")
    add("--steps", type=int, default=4, help="steps of the optimizer (%(default)s)")
    add("--timeout", type=float, default=300, metavar="SECONDS", help="give up after this time (%(default)g)")
    add(
        "--python",
        metavar="FILE",
        help="the trainer's Python, where lr-grid runs in another one; it needs lr-grid, too",
    )
    add("--whole", action="store_true", help="keep the LoRA's tensors whole (slow, needs memory), not a corner of each")
    add("--keep", action="store_true", help="keep the temporary folder with the trainer's output, and name it")
    add("--json", action="store_true", help="one JSON document for machines")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read the command, rehearse it, print what came of it."""
    from lr_grid.rehearse.command import read_command
    from lr_grid.rehearse.run import rehearse, require_steps
    from lr_grid.training import read_training
    from lr_grid.training.config_file import read_text
    from lr_grid.training.finding import COMMAND_LINE

    require_steps(args.steps, args.timeout)
    text = source.command_in(args.command)
    if text is None:
        path = Path(args.command[0])
        command = read_command(read_text(path), str(path), path.suffix)
        config = read_training(path)
    else:
        command = read_command(text, COMMAND_LINE)
        config = read_training(text, is_text=True)
    report = rehearse(
        command,
        config,
        steps=args.steps,
        timeout=args.timeout,
        python=args.python,
        whole=args.whole,
        keep=args.keep,
    )
    if args.json:
        _print_json(report)
    else:
        _print(report)
    return report.code


def _print_json(report: Report) -> None:
    from lr_grid.cli.output import print_json
    from lr_grid.rehearse.blind import BLIND

    print_json(
        {
            "passed": report.code == 0,
            "verified": [{"subject": subject, "text": text} for subject, text in report.verified],
            "findings": [{"subject": s, "message": text, "cure": cure or None} for s, text, cure in report.findings],
            "impossible": report.impossible or None,
            "notes": report.notes,
            "not_seen": list(BLIND),
            **report.data,
        }
    )


def _print(report: Report) -> None:
    from rich.table import Table
    from rich.text import Text

    from lr_grid.cli.output import console
    from lr_grid.rehearse.blind import BLIND

    out = console()
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for subject, text in sorted(report.verified, key=lambda one: _ORDER.index(one[0])):
        table.add_row(Text("ok", "green"), subject, text)
    for subject, text, cure in report.findings:
        end = "" if text.endswith((".", "?")) else "."
        table.add_row(Text("WRONG", "bold red"), subject, Text(f"{text}{end} {cure}" if cure else text))
    if report.impossible:
        table.add_row(Text("?", "yellow"), "", report.impossible)
    for note in report.notes:
        table.add_row(Text("note", "cyan"), "", note)
    for line in report.data.get("tail", ()):
        table.add_row("", "", Text(line, "dim"))
    out.print(table)
    out.print(f"not seen: {'; '.join(BLIND)}", style="dim")
    seconds, peak = report.data.get("seconds"), report.data.get("peak_mb")
    took = f" in {seconds:.1f} s" if seconds is not None else ""
    took += f", {peak / 1024:.1f} GB at most" if peak else ""
    count = len(report.findings)
    words = {0: "passed", 1: f"{count} finding{'s' if count > 1 else ''}", 2: "could not be rehearsed"}
    out.print(f"{words[report.code]}{took}", style={0: "bold green", 1: "bold red", 2: "bold yellow"}[report.code])
    if "folder" in report.data:
        out.print(f"kept: {report.data['folder']}")
