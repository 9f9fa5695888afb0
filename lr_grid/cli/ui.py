"""``lr-grid ui``: a local page that shapes a grid by hand and gives its arguments."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import TYPE_CHECKING

from lr_grid.errors import GridError

if TYPE_CHECKING:
    from lr_grid.ui.routes import Page

_DESCRIPTION = """\
Serves a page, for this machine alone: bars for the blocks, rows for the components, every learning rate as it would be
in the run, and the arguments as text, both ways. Nothing is installed, nothing from outside is loaded, and nothing is
written but what you save: own presets, and the one file that --file names."""

_EPILOG = """\
examples:
  lr-grid ui                                   # on 127.0.0.1; opens the browser
  lr-grid ui --model sdxl --file my_grid.toml  # edits that one file (made where there is none)
  lr-grid ui --no-browser                      # on a remote machine: prints the ssh -L line to type at home
  lr-grid ui --allow-host my.hub.org           # behind a proxy that serves it under that name"""


def add_parser(commands) -> None:
    """Add the command to the subparsers of ``lr-grid``."""
    parser = commands.add_parser(
        "ui",
        help="a local page: shape a grid by hand, take its arguments with you",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model", metavar="NAME", help="the model to begin with: flux, sdxl, wan-14b, ... (flux)")
    add("--file", metavar="GRID.toml", help="a grid file that the page opens and saves")
    add("--port", type=int, metavar="N", help="the port, or the next that is free (8477)")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="the address to listen on (127.0.0.1)")
    add("--allow-host", action="append", default=[], metavar="NAME", help="a name that it answers under, too")
    add("--no-browser", action="store_true", help="open no browser")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from lr_grid.ui import launch
    from lr_grid.ui.edited import EditedFile
    from lr_grid.ui.handler import TICKET
    from lr_grid.ui.security import Guard, host_name
    from lr_grid.ui.server import PORT, listen

    for name in args.allow_host:
        if host_name(name) is None or (":" in name and not name.startswith("[") and name.count(":") == 1):
            raise GridError([f"--allow-host {name}: is no name of a host: give it without scheme, port and path"])
    if args.port is not None and not 0 <= args.port <= 65535:
        raise GridError([f"--port {args.port}: is no port (0 to 65535; 0 is any that is free)"])
    if args.host in launch.ANYWHERE and not args.allow_host:
        raise GridError(
            [f"--host {args.host}: say under which name or address the page is opened: --allow-host 192.168.1.5"]
        )
    if args.model is not None:
        from lr_grid.models.catalogue import canonical_name

        canonical_name(args.model)
    file = EditedFile.of(args.file) if args.file is not None else None

    def load() -> Page:
        from lr_grid.ui.routes import Page

        return Page.of(args.model, file)

    own = [] if args.host in launch.ANYWHERE else [args.host]
    guard = Guard.of([*own, *args.allow_host])
    server = listen(args.host, PORT if args.port is None else args.port, guard, load)
    with server:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            server.warm_up()
            for line in launch.words(args.host, server.port, guard.token, tuple(args.allow_host)):
                print(line, flush=True)
            if not args.no_browser and launch.has_display():
                launch.open_browser(launch.address(args.host, server.port, f"{TICKET}?{guard.ticket.code}"))
            server.serve_forever()
        except KeyboardInterrupt:
            server.finish()
            print("\nlr-grid ui: ended", file=sys.stderr)
    return 0
