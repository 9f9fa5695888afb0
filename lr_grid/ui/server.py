"""The server: sockets, threads, and an end that waits for what is being saved."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from lr_grid.errors import GridError
from lr_grid.ui.body import MOST
from lr_grid.ui.handler import Handler
from lr_grid.ui.security import Guard

PORT = 8477
TRIED = 50
"""How many ports are tried, from the one that was asked for."""
MOST_CONNECTIONS = 64


@dataclass(frozen=True)
class Route:
    """What stands behind an address of the API."""

    answer: Callable[[dict[str, Any]], Any]
    """A request's object -> the answer's. Raises GridError for what is wrong in it."""
    most: int = MOST
    """Bytes of a request's body."""


class UiServer(ThreadingHTTPServer):
    """One thread a connection, so many at most."""

    allow_reuse_address = os.name != "nt"  # on Windows it would let two servers share a port
    request_queue_size = 128
    daemon_threads = True

    def __init__(self, address: tuple[str, int], guard: Guard, routes: Mapping[str, Route]):
        """
        Args:
            address: host and port to listen on; port 0: any that is free.
            routes: by what stands behind ``/api/``.

        Raises: OSError where nobody can listen there.
        """
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.guard, self.routes = guard, routes
        self.free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's would ask DNS for this machine's name, which may take seconds
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

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


def listen(host: str, port: int, guard: Guard, routes: Mapping[str, Route]) -> UiServer:
    """A server on the first free port from ``port`` on.

    Raises: GridError where none is free, or the host is not this machine's.
    """
    for number in range(port, min(port + TRIED, 65536)) if port else (0,):
        try:
            return UiServer((host, number), guard, routes)
        except socket.gaierror as error:
            raise GridError([f"--host {host}: is not known: {error.strerror}"]) from None
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise GridError([f"--host {host}: cannot listen there: {error.strerror or error}"]) from None
    raise GridError([f"--port {port}: none of the ports {port} to {min(port + TRIED, 65536) - 1} is free"])
