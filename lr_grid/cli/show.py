"""``lr-grid show``: the plan of a model under any arguments, without trainer, weights or GPU."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lr_grid.cli import source
from lr_grid.errors import GridError, Problems

if TYPE_CHECKING:
    from lr_grid.models import Blueprint
    from lr_grid.preview import Preview, Run

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
    add("--network_args", nargs="*", metavar="key=value", default=[], help="as in the trainers")
    add("--grid", metavar="FILE", help="a grid file, the same as grid=FILE in --network_args")
    add("--preset", metavar="NAME", help="a preset (lr-grid presets), the same as preset=NAME in --network_args")
    add("--learning_rate", type=float, metavar="LR", help="as in the trainers (1e-4)")
    add("--unet_lr", type=float, metavar="LR", help="as in the trainers (--learning_rate)")
    add("--text_encoder_lr", type=float, nargs="*", metavar="LR", help="as in the trainers; shows the text encoders")
    add("--network_dim", type=int, metavar="RANK", help="as in the trainers (4)")
    add("--network_alpha", type=float, metavar="ALPHA", help="as in the trainers (1)")
    add("--text_encoders", action="store_true", help="the text encoders train, too")
    add("--diff", metavar="GRID", help="show the LRs of this grid file or preset over those of the first")
    add("--plot", metavar="FILE", help="draw it: a .png or .svg file (needs matplotlib)")
    add("--view", choices=VIEWS, default="lr", help="what --plot draws (%(default)s)")
    add("--json", action="store_true", help="the whole plan as one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the plan; print it, draw it."""
    if args.list:
        return _list(args.json)
    first = _read(args)
    shown = first.preview()
    other = _other(args.diff, first).preview() if args.diff else None
    drawn = _draw(shown, other, args) if args.plot else ""
    if args.json:
        _print_json(shown, other)
    else:
        _print(shown, other, first, args.diff)
        print(drawn, end="")
    return 0


@dataclass(frozen=True)
class _Asked:
    """What the command line asks to see."""

    model: Blueprint
    arguments: Mapping[str, Any]
    run: Run

    def preview(self) -> Preview:
        from lr_grid.preview import preview

        return preview(self.model, self.arguments, self.run)


def _read(args: argparse.Namespace) -> _Asked:
    """The model, the network arguments and the trainer's settings, of the config and of the options.

    Raises: GridError where they do not say which model, or cannot be read.
    """
    from lr_grid.models import find_model
    from lr_grid.preview import Run

    words = [*args.source, *([args.config] if args.config else [])]
    if words:
        asked = _of_config(words, args.model)
    elif args.model:
        asked = _Asked(find_model(args.model), {}, Run())
    else:
        raise GridError(["say which model (--model flux; --list names all), or give a training config or command"])
    arguments = {**asked.arguments, **_pairs(args.network_args)}
    arguments |= {key: value for key in ("grid", "preset") if (value := getattr(args, key))}
    changes: dict[str, Any] = {
        key: getattr(args, key)
        for key in ("network_module", "network_dim", "network_alpha")
        if getattr(args, key) is not None
    }
    lrs = asked.run.lrs
    if args.learning_rate is not None:
        lrs = replace(lrs, default=args.learning_rate)
    if args.unet_lr is not None:
        lrs = replace(lrs, unet=args.unet_lr)
    if args.text_encoder_lr:
        lrs = replace(lrs, text_encoders=tuple(args.text_encoder_lr))
    speaks_of_encoders = any(re.match(r"te[123]?_", key) for key in arguments)
    if args.text_encoders or args.text_encoder_lr or (speaks_of_encoders and not words):
        changes["trains_text_encoders"] = True
    return _Asked(asked.model, arguments, replace(asked.run, lrs=lrs, **changes))


def _of_config(words: Sequence[str], model: str | None) -> _Asked:
    from lr_grid.models import find_model
    from lr_grid.training.run import model_of, run_of

    config = source.read_source(list(words))
    wrong = [str(finding) for finding in config.findings if finding.severity == "error"]
    if wrong:
        raise GridError([*wrong, "lr-grid check tells more"] if len(wrong) > 1 else wrong)
    name = model or model_of(config)
    if name is None:
        raise GridError([f"{config.source}: which model this trains is not told by it: give --model"])
    return _Asked(find_model(name), config.network_args, run_of(config))


def _other(named: str, first: _Asked) -> _Asked:
    """The second grid of --diff: a training config, a grid file, or a preset; what is no grid's stays as it is."""
    from lr_grid.keys import is_grid_key

    if Path(named).suffix == ".toml" and _is_training(named):
        return _of_config([named], first.model.name)
    rest = {key: value for key, value in first.arguments.items() if not is_grid_key(key) and key != "preset"}
    return replace(first, arguments={**rest, "grid" if Path(named).suffix else "preset": named})


def _is_training(name: str) -> bool:
    """Whether a TOML is a trainer's and no grid file."""
    from lr_grid.training.config_file import parse_toml, read_text

    data = parse_toml(read_text(Path(name)), name)
    tables = [data, *(value for value in data.values() if isinstance(value, dict))]
    return any("network_module" in table or "network_args" in table for table in tables)


def _pairs(words: Sequence[str]) -> dict[str, str]:
    problems = Problems()
    pairs: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            problems.add(f"--network_args takes key=value, not {word!r}")
        elif key in pairs:
            problems.add(f"--network_args gives {key} twice")
        pairs[key] = value
    problems.raise_if_any()
    return pairs


def _print(shown: Preview, other: Preview | None, asked: _Asked, named: str | None) -> None:
    from lr_grid.cli.output import console
    from lr_grid.report.terminal import diff_view, plan_view

    out = console()
    lrs = asked.run.lrs
    words = f"{asked.model.title} ({asked.model.name}), {asked.run.network_module or shown.base}, base LR {lrs.base:g}"
    out.print(words)
    if other is None:
        tensors = sum(len(group["params"]) for group in shown.groups)
        out.print(plan_view(shown.plan, len(shown.groups), tensors), soft_wrap=not out.is_terminal)
    else:
        out.print(f"LRs of {named} over those of the first grid")
        out.print(diff_view(shown.plan, other.plan), soft_wrap=not out.is_terminal)


def _print_json(shown: Preview, other: Preview | None) -> None:
    from lr_grid.cli.output import print_json
    from lr_grid.report.diff import diff_to_list
    from lr_grid.report.jsonfile import plan_to_dict

    data = plan_to_dict(shown.plan, shown.base, shown.groups, shown.descriptions)
    if other is not None:
        data["diff"] = {
            "arguments": dict(other.plan.arguments),
            "cells": diff_to_list(shown.plan, other.plan),
        }
    print_json(data)


def _draw(shown: Preview, other: Preview | None, args: argparse.Namespace) -> str:
    """Draws the picture; returns the line that says so.

    Raises: GridError without matplotlib, for another suffix, or where the file cannot be written.
    """
    try:
        from lr_grid.report.picture import draw_diff, draw_plan
    except ImportError:
        raise GridError(["--plot needs matplotlib: pip install matplotlib"]) from None
    try:
        if other is None:
            draw_plan(shown.plan, args.plot, view=args.view)
        else:
            draw_diff(shown.plan, other.plan, args.plot, names=("the first grid", str(args.diff)))
    except (ValueError, OSError) as error:
        raise GridError([f"--plot {args.plot}: {error}"]) from None
    return f"drawn: {args.plot}\n"


def _list(as_json: bool) -> int:
    """All models, with their stacks."""
    from lr_grid.cli.output import console, print_json
    from lr_grid.models import load, model_names
    from lr_grid.models.catalogue import ALIASES

    models = [load(name) for name in model_names()]
    also = {model.name: [alias for alias, name in ALIASES.items() if name == model.name] for model in models}
    if as_json:
        print_json(
            [
                {
                    "name": model.name,
                    "title": model.title,
                    "aliases": also[model.name],
                    "trainer": model.trainer,
                    "family": model.layout.family,
                    "stacks": model.layout.stacks,
                    "network_modules": [module for network in model.networks for module in network.modules],
                }
                for model in models
            ]
        )
        return 0
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in ("model", "also", "", "trainer", "blocks"):
        table.add_column(name)
    for model in models:
        blocks = ", ".join(f"{stack} 0-{count - 1}" for stack, count in model.layout.stacks.items())
        table.add_row(model.name, " ".join(also[model.name]), model.title, model.trainer, blocks)
    console().print(table)
    return 0
