"""Who may talk to the server: the token, the names it answers to, and the headers of every answer.

A page of another site, open in the same browser, can send requests here. It knows no token (and cannot set the header
that carries it), it comes under its own Origin, and under a name that is not on the list if it has its own name point
here. Each of the three is refused.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

TOKEN_HEADER = "X-Lr-Grid-Token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer. There is none of CORS: no other origin may read anything."""
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>\d{1,5}))?")


def host_name(text: str) -> str | None:
    """``localhost:8777`` -> ``localhost``, ``[::1]:80`` -> ``::1``; None where it is no name of a host."""
    match = _HOST.fullmatch(text.strip())
    return (match["six"] or match["name"]).lower().rstrip(".") if match else None


class Ticket:
    """What the browser that the server opens is sent with in the token's place: other users of the machine can read a
    browser's command line. It is good for one use, and not for long."""

    SECONDS = 120.0

    def __init__(self) -> None:
        self.code: str = secrets.token_urlsafe(24)
        self._until = time.monotonic() + self.SECONDS
        self._lock = threading.Lock()

    def use(self, given: str) -> bool:
        """Whether it is the one, unused and in time. Once that was told, it is no longer."""
        with self._lock:
            right = secrets.compare_digest(given.encode("utf-8", "replace"), self.code.encode())
            good = right and time.monotonic() < self._until
            if right:
                self._until = 0.0
            return good


@dataclass(frozen=True)
class Guard:
    """What a request has to show."""

    names: frozenset[str]
    """Names of hosts under which the server answers. Any port: ``ssh -L`` may have chosen another one."""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    ticket: Ticket = field(default_factory=Ticket, repr=False)

    @classmethod
    def of(cls, more: Iterable[str] = ()) -> Guard:
        """A guard that answers on loopback and under ``more`` names, with a fresh token."""
        return cls(frozenset((*LOOPBACK, *(name.lower().rstrip(".").strip("[]") for name in more))))

    def wrong_host(self, host: str | None) -> str:
        """What is wrong with a request's Host; empty where it is allowed."""
        name = host_name(host or "")
        if name in self.names:
            return ""
        shown = f"{host!r:.80}" if host else "none"
        return f"Host {shown} is not allowed: open the page at a printed address, or start with --allow-host NAME"

    def wrong_origin(self, origin: str | None, fetch_site: str | None) -> str:
        """What is wrong with where a request comes from; empty where it is the page itself, or no browser.

        Args:
            fetch_site: the header Sec-Fetch-Site, which tells another port of the same host apart.
        """
        if fetch_site not in (None, "same-origin", "none"):
            return f"a request of another site ({fetch_site!r:.40}) is refused"
        if origin is None:
            return ""
        try:
            parts = urlsplit(origin)
            name = host_name(parts.netloc) if parts.scheme in ("http", "https") else None
        except ValueError:  # "http://[" and the like
            name = None
        return "" if name in self.names else f"Origin {origin!r:.80} is not allowed"

    def is_token(self, given: str) -> bool:
        """Whether a request's token is right, in a time that does not tell how much of it is."""
        return secrets.compare_digest(given.encode("utf-8", "replace"), self.token.encode())
