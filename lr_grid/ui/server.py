"""The server: sockets, threads, and an end that waits for what is being saved."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from http.server import ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Protocol

from lr_grid.errors import GridError
from lr_grid.ui.handler import Handler
from lr_grid.ui.route import Route
from lr_grid.ui.security import Guard

PORT = 8477
TRIED = 50
"""How many ports are tried, from the one that was asked for."""
MOST_CONNECTIONS = 64


class Pages(Protocol):
    """What answers the API."""

    def routes(self) -> Mapping[str, Route]: ...

    def finish(self) -> None: ...


class UiServer(ThreadingHTTPServer):
    """One thread a connection, so many at most."""

    allow_reuse_address = os.name != "nt"  # on Windows it would let two servers share a port
    request_queue_size = 128
    daemon_threads = True

    def __init__(self, address: tuple[str, int], guard: Guard, load: Callable[[], Pages]):
        """
        Args:
            address: host and port to listen on; port 0: any that is free.
            load: makes what answers the API. It is called once, by a thread of its own: the port is open before.

        Raises: OSError where nobody can listen there.
        """
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.guard = guard
        self._load, self._loading = load, threading.Lock()
        self._pages: Pages | None = None
        self.free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's would ask DNS for this machine's name, which may take seconds
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def pages(self) -> Pages:
        """What answers the API; who asks first, waits for it."""
        with self._loading:
            if self._pages is None:
                self._pages = self._load()
            return self._pages

    @cached_property
    def routes(self) -> Mapping[str, Route]:
        """By what stands behind ``/api/``."""
        return self.pages.routes()

    def warm_up(self) -> None:
        """Loads what the first question needs, while the browser is still at the page's files."""

        def load() -> None:
            with contextlib.suppress(Exception):  # the question itself will tell
                self.routes["start"].answer({})

        threading.Thread(target=load, daemon=True).start()

    def finish(self) -> None:
        """Waits for what is being written."""
        if self._pages is not None:
            self._pages.finish()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.server_port

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is no error."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def listen(host: str, port: int, guard: Guard, load: Callable[[], Pages]) -> UiServer:
    """A server on the first free port from ``port`` on.

    Raises: GridError where none is free, or the host is not this machine's.
    """
    for number in range(port, min(port + TRIED, 65536)) if port else (0,):
        try:
            return UiServer((host, number), guard, load)
        except socket.gaierror as error:
            raise GridError([f"--host {host}: is not known: {error.strerror}"]) from None
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise GridError([f"--host {host}: cannot listen there: {error.strerror or error}"]) from None
    raise GridError([f"--port {port}: none of the ports {port} to {min(port + TRIED, 65536) - 1} is free"])
