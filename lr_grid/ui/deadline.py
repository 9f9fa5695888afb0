"""Reading from a client that may be slow on purpose: a whole request has to be there in time."""

from __future__ import annotations

import io
import socket
import time


class DeadlineReader(io.RawIOBase):
    """A socket's reading side whose waits end at a deadline. (A socket's own timeout begins anew with every byte.)"""

    def __init__(self, connection: socket.socket):
        self.connection = connection
        self.deadline = 0.0
        """Of time.monotonic()."""

    def allow(self, seconds: float) -> None:
        """Sets the deadline."""
        self.deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        """Raises: TimeoutError where the deadline is over."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self.connection.settimeout(left)
        return self.connection.recv_into(buffer)
