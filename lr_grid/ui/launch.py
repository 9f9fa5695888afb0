"""What is printed when the server starts, and the browser that opens."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import sys
import threading
from collections.abc import Mapping

ANYWHERE = ("", "0.0.0.0", "::")
"""Hosts to listen on that stand for every network of the machine."""


def address(host: str, port: int, behind: str) -> str:
    """The page's address, with ``behind`` at its end."""
    shown = "127.0.0.1" if host in ANYWHERE else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/{behind}"


def words(host: str, port: int, token: str, allowed: tuple[str, ...]) -> list[str]:
    """The lines for the terminal."""
    # The token stands behind the #, which a browser sends to nobody.
    lines = [f"lr-grid ui: {address(host, port, f'#t={token}')}"]
    if host in ("127.0.0.1", "localhost", "::1"):
        forward = f"[::1]:{port}" if host == "::1" else f"127.0.0.1:{port}"
        with_user = f"{_user()}@{socket.gethostname()}"
        lines.append(f"from another machine: ssh -N -L {port}:{forward} {with_user}, then the same address there")
    else:
        lines.append("whoever reaches this port and has the address can use the page; nothing of it is encrypted")
    if allowed:
        lines.append(f"it answers under {', '.join(allowed)}, too")
    lines.append("Ctrl-C ends it")
    return lines


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # no name in the system's table
        return "USER"


def has_display(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> bool:
    """Whether a browser would show where the user sits: not on the far side of ssh, not without a display."""
    if environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"):
        return False
    if platform in ("win32", "darwin"):
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def open_browser(url: str) -> None:
    """Opens the page without waiting for the browser."""

    def open_it() -> None:
        import webbrowser

        with contextlib.suppress(Exception):  # the address stands in the terminal
            webbrowser.open(url)

    threading.Thread(target=open_it, daemon=True).start()
