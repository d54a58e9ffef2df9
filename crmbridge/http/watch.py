"""The absolute deadline of one call on a socket, for clients whose own timeouts begin anew with every byte."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any, Self


class SocketGuard:
    """A context manager that shuts the socket of a call when its deadline passes, whatever that socket is doing."""

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._ends = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._release()

    @property
    def left(self) -> float:
        """The seconds that are left until the deadline."""
        return self._ends - time.monotonic()

    def connect(self, addresses: Sequence[Any], options: Sequence[Any] = ()) -> socket.socket:
        """Connect to the first of the `addresses` (as getaddrinfo gives them) that takes a connection, and watch that connection.

        `options` are set on the socket before it connects. Raises the OSError of the last address; it may be a TimeoutError.
        """
        failure = OSError("no address")
        for family, kind, protocol, _, address in addresses:
            try:
                made = socket.socket(family, kind, protocol)
            except OSError as error:  # this machine does not speak the address family
                failure = error
                continue
            try:
                for option in options:
                    made.setsockopt(*option)
                made.settimeout(max(self.left, 0.001))
                made.connect(address)
                self.hold(made)
                return made
            except OSError as error:
                made.close()
                failure = error
        raise failure

    def hold(self, connected: socket.socket) -> None:
        """Watch `connected` through a descriptor of our own, for TLS takes over the original socket object."""
        with self._lock:
            self._release()
            self._socket = socket.socket(connected.family, connected.type, fileno=socket.dup(connected.fileno()))
            if self.expired:
                self._shut()

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _release(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
