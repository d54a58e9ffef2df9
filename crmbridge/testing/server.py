"""A real HTTP server on the loopback interface, whose behaviour is scripted for each request."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Parse the body as JSON. Raises ValueError."""
        return json.loads(self.body)


class Exchange(BaseHTTPRequestHandler):
    """A request that was read whole, and the connection to act on. A Behaviour is given one."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    seen: Seen

    def _receive(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.seen = Seen(self.command, self.path, headers, self.rfile.read(length))
        self.server.script.next(self.seen)(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _receive  # noqa: N815 - the names are http.server's

    def reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a complete answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def cut(self) -> None:
        """Reset the connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    @property
    def stopping(self) -> threading.Event:
        """An event that is set when the server stops."""
        return self.server.script.stopping

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


Behaviour = Callable[[Exchange], None]


def answer(status: int = 200, body: Any = b"", headers: Mapping[str, str] | None = None) -> Behaviour:
    """Make a behaviour that answers with `body`: bytes, or anything that JSON can hold."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = {} if isinstance(body, bytes) else {"Content-Type": "application/json"}

    def behave(exchange: Exchange) -> None:
        exchange.reply(status, data, {**kind, **(headers or {})})

    return behave


def cut(exchange: Exchange) -> None:
    """Take the request, then reset the connection."""
    exchange.cut()


def hang(exchange: Exchange) -> None:
    """Take the request and say nothing until the server stops."""
    exchange.stopping.wait()
    exchange.cut()


def dribble(exchange: Exchange) -> None:
    """Promise a long answer and send a byte of it every 50 ms: for five seconds, or until the other side goes away."""
    exchange.send_response(200)
    exchange.send_header("Content-Length", "1000000")
    exchange.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(100):
            if exchange.stopping.wait(0.05):
                break
            exchange.wfile.write(b" ")
    exchange.cut()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    block_on_close = False
    script: ScriptedServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a peer that went away."""


class ScriptedServer:
    """A server that answers each request with the next scripted behaviour, and with `default` after the last.

    It is a context manager. `url` is its address, and `seen` holds every request in order of arrival.
    """

    def __init__(self, default: Behaviour | None = None) -> None:
        self.default = default or answer(200)
        self.stopping = threading.Event()
        self.seen: list[Seen] = []
        self._script: deque[Behaviour] = deque()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), Exchange)
        self._server.script = self
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def then(self, *behaviours: Behaviour) -> ScriptedServer:
        """Append behaviours to the script."""
        self._script.extend(behaviours)
        return self

    def clear(self) -> None:
        """Forget the rest of the script."""
        self._script.clear()

    def next(self, seen: Seen) -> Behaviour:
        """Note a request and return the behaviour for it."""
        with self._lock:
            self.seen.append(seen)
            return self._script.popleft() if self._script else self.default

    def refuse(self) -> None:
        """Stop listening: from now on the port refuses connections."""
        if not self.stopping.is_set():
            self.stopping.set()
            self._server.shutdown()
            self._server.server_close()

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._thread.join(5)


@contextlib.contextmanager
def unresponsive() -> Iterator[str]:
    """Yield the address of a port where connecting waits for ever: its queue is full, and nobody accepts."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
