"""``lr-grid norms``: what a run with log_grad_norms recorded, as a heat map, a picture, JSON or CSV."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING

from lr_grid.cli.output import console, print_json
from lr_grid.errors import GridError

if TYPE_CHECKING:
    from lr_grid.norms.read import NormsFile, NormsRun

_DESCRIPTION = """\
Shows the norms that a run with log_grad_norms=true recorded, averaged over its steps: blocks down, components across.
The gradient norm is what the optimizer saw (after the trainer's clipping); the update ratio is the norm of what a step
changed over the norm of the weights after it. Norms are over all numbers of a cell: more modules, larger norms."""

_EPILOG = """\
examples:
  lr-grid norms output/flux.lr_grid.norms                        # gradient norms
  lr-grid norms output/flux.lr_grid.norms --what update --side up --steps 100-
  lr-grid norms output/flux.lr_grid.norms --plot norms.png       # the heat map, and the components over time
  lr-grid norms output/flux.lr_grid.norms --json                 # means, ranges and last values of everything
  lr-grid norms output/flux.lr_grid.norms --csv > norms.csv      # every number of every step"""

_WHATS = ("grad", "weight", "update")


def add_parser(commands) -> None:
    """Add the command to the subparsers of ``lr-grid``."""
    parser = commands.add_parser(
        "norms",
        help="show the gradient, weight and update norms that a run recorded",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", help="<output_name>.lr_grid.norms, beside the LoRA")
    add("--what", choices=_WHATS, default="grad", help="what to show (grad)")
    add("--side", choices=("down", "up"), help="one side of the LoRA pairs (both together)")
    add("--steps", metavar="A-B", help="only these steps: 100-200, 100-, -200")
    add("--run", dest="number", type=int, metavar="N", help="of a file with several runs, which (the last)")
    add("--plot", metavar="FILE", help="draw it: a .png file (needs matplotlib)")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--json", action="store_true", help="a summary of everything as one JSON document")
    ways.add_argument("--csv", action="store_true", help="every number as CSV")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Reads the file, shows it. Raises: GridError where it cannot be read or drawn, or has nothing of what is asked."""
    from lr_grid.norms.read import chosen_run, read_norms

    first, last = _steps(args.steps)
    file = read_norms(args.file)
    whole, number = chosen_run(file, args.number)
    shown = whole.cut(first, last)
    if not shown.steps:
        there = f"{min(whole.steps)} to {max(whole.steps)}"
        raise GridError([f"--steps {args.steps}: run {number} of {args.file} has steps {there}"])
    if args.side and not any(cell.side == args.side for cell in shown.cells):
        raise GridError([f"--side {args.side}: nothing of that side trained in run {number} of {args.file}"])
    if args.plot:
        _draw(shown, args)
    if args.json:
        from lr_grid.norms.export import to_dict

        print_json(to_dict(file, shown, number, args.side))
    elif args.csv:
        from lr_grid.norms.export import write_csv

        write_csv(shown, args.side, sys.stdout)
    else:
        _print(file, shown, number, args)
    return 0


def _steps(text: str | None) -> tuple[int | None, int | None]:
    """(first, last) of ``100-200``, ``100-``, ``-200`` or ``100``."""
    if text is None:
        return None, None
    match = re.fullmatch(r"(\d*)(-?)(\d*)", text.strip())
    if not match or not (match[1] or match[3]):
        raise GridError([f"--steps {text}: give 100-200, 100-, -200 or 100"])
    first = int(match[1]) if match[1] else None
    last = int(match[3]) if match[3] else None if match[2] else first
    if first is not None and last is not None and first > last:
        raise GridError([f"--steps {text}: {first} comes after {last}"])
    return first, last


def _print(file: NormsFile, shown: NormsRun, number: int, args: argparse.Namespace) -> None:
    from lr_grid.norms.series import WHATS
    from lr_grid.norms.terminal import heat_view

    out = console()
    steps, sides = shown.steps, f"{args.side} side" if args.side else "both sides together"
    out.print(
        f"{WHATS[args.what]} of {shown.facts['model']}, {sides}: mean over {len(steps)} steps"
        f" ({min(steps)} to {max(steps)}), base LR {shown.facts['base_lr']:g}"
    )
    out.print(heat_view(shown, args.what, args.side), soft_wrap=not out.is_terminal)
    if len(file.runs) > 1:
        begun = shown.facts.get("started", "")
        out.print(f"run {number} of {len(file.runs)}, begun {begun}; --run shows another", soft_wrap=True)
    if file.damaged:
        out.print(f"{file.damaged} bytes of the file are of no whole record and were passed over", style="yellow")
    if args.plot:
        print(f"drawn: {args.plot}")


def _draw(shown: NormsRun, args: argparse.Namespace) -> None:
    """Raises: GridError without matplotlib, for another suffix, or where the file cannot be written."""
    if not args.plot.lower().endswith(".png"):
        raise GridError([f"--plot {args.plot}: a picture of norms is a .png file"])
    try:
        from lr_grid.norms.picture import draw_norms
    except ImportError:
        raise GridError(["--plot needs matplotlib: pip install matplotlib"]) from None
    try:
        draw_norms(shown, args.what, args.side, args.plot)
    except (OSError, ValueError) as error:
        raise GridError([f"--plot {args.plot}: could not be drawn: {error}"]) from None
