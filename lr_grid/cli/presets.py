"""``lr-grid presets``: the presets by name, what each is for, where it comes from, and what is known of it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from lr_grid.cli.output import console, print_json
from lr_grid.errors import GridError

if TYPE_CHECKING:
    from lr_grid.presets import Preset

_DESCRIPTION = """\
Presets are settings under a name: --network_args preset=style, or preset = "style" in a grid file; what is given beside
it wins. (LyCORIS has presets of its own: beside it, grid_preset=style.) Their LRs are multiples of the trainer's. Most
are published recipes, not measurements: show says what is known."""

_SPELT_OUT = (
    "note: what of a preset finds nothing in a network is passed over; spelt out it is refused: take it off the line,"
    " or give preset={name}"
)

_EPILOG = """\
examples:
  lr-grid presets                      # all of them
  lr-grid presets show style           # its file: source, published LRs, evidence for and against, settings
  lr-grid presets show style --args    # the same settings, spelt out for --network_args
  lr-grid presets --json"""


def add_parser(commands) -> None:
    """Add the command to the subparsers of ``lr-grid``."""
    form = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "presets",
        help="settings under a name: list them, show one with its source and evidence",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=form,
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(metavar="show")
    show = actions.add_parser("show", help="one preset", epilog=_EPILOG, formatter_class=form)
    show.add_argument("name", help="its name, e.g. style")
    # SUPPRESS: a default here would put the flag given before "show" back to False.
    ways = show.add_mutually_exclusive_group()
    ways.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document")
    ways.add_argument("--args", action="store_true", help="its settings as a line of --network_args")
    show.set_defaults(run=run_show)


def run(args: argparse.Namespace) -> int:
    """Lists all presets."""
    from lr_grid.presets import load_preset, preset_names

    presets = [load_preset(name) for name in preset_names()]
    if args.json:
        print_json([_as_data(preset) for preset in presets])
        return 0
    from rich.table import Table

    table = Table(title="--network_args preset=<name>; what is given beside it wins", title_justify="left")
    for column in ("name", "what for", "how much is known", "source"):
        table.add_column(column)
    for preset in presets:
        table.add_row(preset.name, preset.title, preset.kind, preset.source)
    console().print(table)
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Prints one preset. Raises GridError for an unknown name."""
    from lr_grid.presets import arguments_of, load_preset

    try:
        preset = load_preset(args.name)
    except ValueError as error:
        raise GridError([str(error)]) from None
    if args.args and args.json:  # --json may stand before "show", where argparse does not see the two together
        raise GridError(["--json and --args are two ways to show a preset: keep one"])
    if args.json:
        print_json(_as_data(preset))
    elif args.args:
        print("--network_args " + " ".join(arguments_of(preset)))
        print(_SPELT_OUT.format(name=preset.name), file=sys.stderr)
    else:
        print(preset.text, end="")
    return 0


def _as_data(preset: Preset) -> dict[str, Any]:
    from lr_grid.presets import arguments_of

    return {
        "name": preset.name,
        "title": preset.title,
        "kind": preset.kind,
        "models": list(preset.models),
        "source": preset.source,
        "address": preset.address,
        "evidence": preset.evidence,
        "published": dict(preset.published),
        "settings": preset.settings,
        "network_args": arguments_of(preset),
    }
