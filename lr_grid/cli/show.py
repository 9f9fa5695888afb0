"""``lr-grid show``: the plan of a model under any arguments, without trainer, weights or GPU."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from lr_grid.cli import source
from lr_grid.cli.asked import Asked, read_asked, read_other
from lr_grid.errors import GridError

if TYPE_CHECKING:
    from lr_grid.preview import Preview

_DESCRIPTION = """\
Shows which learning rate, rank and alpha every block and component of a model would get, as the run would print it:
blocks down, components across. Reads a training config or a whole command line, or takes the arguments one by one;
what is given one by one wins. Where a run would refuse the arguments, this says so in the same words."""

_EPILOG = """\
examples:
  lr-grid show --model flux --network_args self_attn_lr=1.5x depth_strategy=linear loraplus_lr_ratio=4
  lr-grid show --model sdxl --grid my_grid.toml --plot grid.png        # a heat map; .svg works, too
  lr-grid show --model wan-14b --network_dim 32 --network_args rank_strategy=linear --plot ranks.png --view rank
  lr-grid show flux.toml                                               # a trainer's --config_file TOML
  lr-grid show -- accelerate launch flux_train_network.py --network_module networks.lora_flux_grid ...
  lr-grid show --model flux --grid a.toml --diff b.toml                # LRs of b over those of a
  lr-grid show --list                                                  # all models"""

VIEWS = ("lr", "loraplus", "rank")


def add_parser(commands) -> None:
    """Add the command to the subparsers of ``lr-grid``."""
    parser = commands.add_parser(
        "show",
        help="print or draw the LR and rank of every block and component of a model",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("source", nargs="*", metavar=source.METAVAR, help=source.HELP)
    add("--config", metavar="FILE", help="the same as naming the file")
    add("--model", metavar="NAME", help="the model: flux, sdxl, wan-14b, ... (--list names all)")
    add("--list", action="store_true", help="list the models and stop")
    add("--network_module", metavar="MODULE", help="the network module (default: the model's LoRA module)")
    add("--network_args", nargs="*", action="append", metavar="key=value", default=[], help="as in the trainers")
    add("--grid", metavar="FILE", help="a grid file, the same as grid=FILE in --network_args")
    add("--preset", metavar="NAME", help="a preset (lr-grid presets), the same as preset=NAME in --network_args")
    add("--learning_rate", type=float, metavar="LR", help="as in the trainers (1e-4)")
    add("--unet_lr", type=float, metavar="LR", help="as in the trainers (--learning_rate)")
    add("--text_encoder_lr", type=float, nargs="+", metavar="LR", help="as in the trainers; shows the text encoders")
    add("--network_dim", type=int, metavar="RANK", help="as in the trainers (4)")
    add("--network_alpha", type=float, metavar="ALPHA", help="as in the trainers (1)")
    add("--text_encoders", action="store_true", help="the text encoders train, too")
    add("--diff", metavar="OTHER", help="a grid file, preset or training config: its LRs over those of the first")
    add("--plot", metavar="FILE", help="draw it: a .png or .svg file (needs matplotlib)")
    add("--view", choices=VIEWS, help="what --plot draws (lr)")
    add("--json", action="store_true", help="the whole plan as one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the plan; print it, draw it."""
    if args.list:
        return _list(args)
    first = read_asked(args)
    shown, other = first.preview(), None
    if args.diff:
        try:
            other = read_other(args.diff, first).preview()
        except GridError as error:
            raise GridError(
                [text if text.startswith("--diff") else f"--diff {args.diff}: {text}" for text in error.problems]
            ) from None
    if args.plot:
        _draw(shown, other, args)
    if args.json:
        _print_json(shown, other)
    else:
        _print(shown, other, first, args.diff)
        if args.plot:
            print(f"drawn: {args.plot}")
    return 0


def _print(shown: Preview, other: Preview | None, asked: Asked, named: str | None) -> None:
    from lr_grid.cli.output import console
    from lr_grid.report.terminal import diff_view, plan_view

    out = console()
    out.print(f"{asked.model.title} ({asked.model.name}), {shown.module}, base LR {asked.run.lrs.base:g}")
    if other is None:
        tensors = sum(len(group["params"]) for group in shown.groups)
        out.print(plan_view(shown.plan, len(shown.groups), tensors), soft_wrap=not out.is_terminal)
    else:
        out.print(f"LRs of {named} over those of the first grid")
        out.print(diff_view(shown.plan, other.plan), soft_wrap=not out.is_terminal)
        for words, plan in (("the first", shown.plan), (str(named), other.plan)):
            for notice in plan.notices:
                out.print(f"note on {words}: {notice}", style="yellow", soft_wrap=not out.is_terminal)
    for note in asked.notes:
        out.print(f"note: {note}", style="yellow", soft_wrap=not out.is_terminal)


def _print_json(shown: Preview, other: Preview | None) -> None:
    from lr_grid.cli.output import print_json
    from lr_grid.report.diff import PlanDiff
    from lr_grid.report.jsonfile import plan_to_dict

    data = plan_to_dict(shown.plan, shown.base, shown.groups, shown.descriptions)
    if other is not None:
        cells = PlanDiff(shown.plan, other.plan).to_list()
        data["diff"] = {"arguments": dict(other.plan.arguments), "cells": cells}
    print_json(data)


def _draw(shown: Preview, other: Preview | None, args: argparse.Namespace) -> None:
    """Draws the picture.

    Raises: GridError without matplotlib, for another suffix, or where the file cannot be written.
    """
    try:
        from lr_grid.report.picture import SUFFIXES, draw_diff, draw_plan
    except ImportError:
        raise GridError(["--plot needs matplotlib: pip install matplotlib"]) from None
    if not args.plot.lower().endswith(SUFFIXES):
        raise GridError([f"--plot {args.plot}: a picture is a {' or '.join(SUFFIXES)} file"])
    try:
        if other is None:
            draw_plan(shown.plan, args.plot, view=args.view or "lr")
        else:
            draw_diff(shown.plan, other.plan, args.plot, names=("the first grid", str(args.diff)))
    except (OSError, OverflowError, ValueError) as error:  # a file that cannot be, LRs that no scale holds
        raise GridError([f"--plot {args.plot}: could not be drawn: {error}"]) from None


def _list(args: argparse.Namespace) -> int:
    """All models. Raises: GridError where more is asked."""
    from lr_grid.cli.model_list import model_list, print_models
    from lr_grid.cli.output import print_json

    others = ("source", "config", "model", "network_args", "grid", "preset", "diff", "plot", "network_module")
    asked = [name for name in others if getattr(args, name)]
    if asked:
        raise GridError([f"--list stands alone (beside --json): leave {', '.join(asked)} out"])
    if args.json:
        print_json(model_list())
    else:
        print_models(model_list())
    return 0
