"""A page's server on a free port, and a client that sends just the bytes it is given."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lr_grid.ui.edited import EditedFile
from lr_grid.ui.presets import OwnPresets
from lr_grid.ui.routes import Page
from lr_grid.ui.security import TOKEN_HEADER, Guard
from lr_grid.ui.server import UiServer, listen


@dataclass
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Sends requests to a server, each on a connection of its own."""

    server: UiServer
    page: Page

    def raw(self, data: bytes, shut: bool = False) -> bytes:
        """All that comes back for some bytes, until the server closes."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data)
                if shut:
                    connection.shutdown(socket.SHUT_WR)
            parts = []
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    parts.append(part)
        return b"".join(parts)

    def send(
        self,
        method: str,
        path: str,
        headers: dict[str, str | None] | None = None,
        body: bytes = b"",
        close: bool = True,
    ) -> Reply:
        """A request as a browser would send it, but for the headers that are given (None: left out)."""
        given: dict[str, str | None] = {"Host": f"127.0.0.1:{self.server.port}"}
        if close:
            given["Connection"] = "close"
        if body or method == "POST":
            given["Content-Length"] = str(len(body))
        given |= headers or {}
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in given.items() if v is not None)]
        answer = self.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        return reply(answer)

    def api(self, name: str, data: Any, **headers: str | None) -> Reply:
        """A question of the page."""
        given = {"Content-Type": "application/json", TOKEN_HEADER: self.server.guard.token}
        given |= {key.replace("_", "-"): value for key, value in headers.items()}
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        return self.send("POST", f"/api/{name}", given, body)

    def ask(self, name: str, data: Any) -> Any:
        """The object that answers a question."""
        answer = self.api(name, data)
        assert answer.status == 200, answer.body
        return answer.json


def reply(answer: bytes) -> Reply:
    """Bytes as an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Reply(int(first.split()[1]), {key.lower(): value for key, value in headers.items()}, body)


@contextlib.contextmanager
def serving(folder: Path, file: str | None = None, model: str = "flux-dev") -> Iterator[Client]:
    """A server whose settings are kept in a folder."""
    page = Page(model, EditedFile.of(file) if file else None, OwnPresets(folder / "config"))
    server = listen("127.0.0.1", 0, Guard.of(["my.hub.org"]), lambda: page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Client(server, page)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
