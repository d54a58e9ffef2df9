"""The HTTP server behind hooks, admin and feed: aiohttp's strict parser, with the absolute deadlines that it lacks.

aiohttp keeps a dribbled request open for as long as bytes trickle in; here a request must be complete `request_deadline`
seconds after its first byte, head and body together. Bodies are never decompressed, a request that states its length
in two ways is refused, and an answer never says more than one line about what went wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from aiohttp import HttpVersion11, web
from aiohttp.streams import StreamReader
from aiohttp.web_request import BaseRequest

from crmbridge.errors import InvalidRequest, StoreError
from crmbridge.peers import Network, among, client, neighbourhood, network
from crmbridge.telemetry import Metrics

_FIRST_BYTE = 10.0  # seconds a new connection may say nothing
_IDLE = 30.0  # seconds a keep-alive connection may say nothing
_UNREAD_MS = 30_000  # how long an answer may wait for a client that does not read it
_LINGER = 2.0  # seconds in which the rest of a refused body is read and dropped, so that the answer still arrives
_BACKLOG = 512
_HEADERS = {"Server": "crmbridge", "X-Content-Type-Options": "nosniff"}
_NO_PAGE = {"Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"}
"""What a browser is told of an answer that says nothing of itself: it is no page, and belongs in none."""
_SHORT = {**_HEADERS, **_NO_PAGE, "Content-Length": "0", "Connection": "close"}
_TOO_SLOW = "\r\n".join(("HTTP/1.1 408 Request Timeout", *map(": ".join, _SHORT.items()), "", "")).encode()
_log = logging.getLogger(__name__)

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


# --- one connection ---------------------------------------------------------------------------


class _Connection(web.RequestHandler):
    """aiohttp's connection, which also knows when the request under way began.

    The private names of aiohttp used here (`_request_count`, `_messages`, `_waiter`) are held by
    tests/unit/test_server.py: a dribbled head, a dribbled body, and a stop with requests under way.
    """

    __slots__ = ("_body", "_head_timer", "_owner", "_silence_timer", "deadline", "origin")

    def __init__(self, owner: Server, factory: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            factory,
            loop=loop,
            keepalive_timeout=_IDLE,
            access_log=None,  # type: ignore[arg-type]
            max_line_size=8190,
            max_field_size=8190,
            max_headers=128,
            lingering_time=_LINGER,
            auto_decompress=False,
        )
        self._owner = owner
        self._head_timer: asyncio.TimerHandle | None = None
        self._silence_timer: asyncio.TimerHandle | None = None
        self._body: StreamReader | None = None
        self.origin = ""
        """Where it comes from; empty for those that may have all: trusted proxies, and a unix socket."""
        self.deadline = 0.0
        """Loop time by which the request under way must be complete."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.origin = self._owner.origin_of(transport.get_extra_info("peername"))
        super().connection_made(transport)
        if self._owner.admit(self):
            self._owner.enter(self)
            self._silence_timer = self._loop.call_later(_FIRST_BYTE, self._too_silent)
        else:
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._owner.leave(self)
        self._stop_silence_timer()
        self._stop_head_timer()
        super().connection_lost(exc)

    def _too_silent(self) -> None:
        self._silence_timer = None
        self.force_close()

    def _stop_silence_timer(self) -> None:
        if self._silence_timer is not None:
            self._silence_timer.cancel()
            self._silence_timer = None

    @property
    def wordless(self) -> bool:
        """True while not one byte has come."""
        return self._silence_timer is not None

    def data_received(self, data: bytes) -> None:
        self._stop_silence_timer()
        in_body = self._body is not None and not self._body.is_eof()
        if not in_body and self._head_timer is None:
            self.deadline = self._loop.time() + self._owner.request_deadline
        seen = self._request_count
        super().data_received(data)
        if self._request_count != seen:
            self._stop_head_timer()
            # The reader of the last request in this piece: until it ends, what arrives is body.
            self._body = self._messages[-1][1] if self._messages else None
        elif data and not in_body and self._head_timer is None and self.transport is not None:
            self._head_timer = self._loop.call_at(self.deadline, self._head_too_slow)

    def _head_too_slow(self) -> None:
        self._head_timer = None
        if not self.idle:
            self.close()  # a pipelined request is still being answered
        elif self.transport is not None:
            self.transport.write(_TOO_SLOW)
            self.force_close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    @property
    def idle(self) -> bool:
        """True while no complete head has arrived that is not answered yet."""
        return self._waiter is not None and not self._waiter.done()

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """aiohttp's answer to what it could not parse, without an echo of it and without a traceback."""
        _log.debug("request not understood", extra={"server": self._owner.name, "error": type(exc).__name__})
        if request.writer.output_size > 0:
            raise ConnectionError("an answer had begun")
        answer = _refusal(status, "this is not an HTTP request that can be answered; check its head")
        answer.headers.update(_HEADERS | _NO_PAGE)
        return answer


class _Refused(asyncio.Protocol):
    """A connection that comes too late: closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


# --- what every request passes ----------------------------------------------------------------


def _refusal(status: int, message: str) -> web.Response:
    """A one-line answer after which the connection closes: what follows a bad request cannot be trusted."""
    answer = web.Response(status=status, text=" ".join(message.split())[:500] + "\n")
    answer.force_close()
    return answer


def _guarded(answering: Answering) -> Answering:
    """`answering` with its errors as answers; a wrapper of each route, for aiohttp's middlewares cost more on every request."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            if "Transfer-Encoding" in request.headers and (request.version < HttpVersion11 or "Content-Length" in request.headers):
                return _refusal(400, "the length of the body is stated in a way that servers read differently")
            return await answering(request)
        except InvalidRequest as error:
            return _refusal(error.status, str(error))
        except StoreError as error:
            _log.error("request not stored", extra={"path": request.path, "error": str(error)})
            return _refusal(503, "cannot be stored now; try again later")
        except (web.HTTPException, ConnectionError):
            raise
        except Exception:
            _log.exception("request failed", extra={"method": request.method, "path": request.path})
            return _refusal(500, "internal error; the log of this server has the details")

    return guarded


async def read_body(request: web.Request, limit: int | None = None) -> bytes:
    """The whole body, at most `limit` bytes (default: the server's `max_body`).

    Raises InvalidRequest: 413 too large, also while a chunked body still arrives; 415 compressed; 408 not complete
    within the server's deadline; 400 malformed or cut off.
    """
    if any(encoding.strip().lower() != "identity" for encoding in request.headers.getall("Content-Encoding", ())):
        raise InvalidRequest("send the body without Content-Encoding", 415)
    most = request.app[_SERVER].max_body if limit is None else limit
    if (request.content_length or 0) > most:
        raise InvalidRequest(f"the body is over {most} bytes", 413)
    content = request.content
    try:
        if content.is_eof():
            body = content.read_nowait(-1)
        else:
            body = await _collect(request, content, most)
    except TimeoutError:
        raise InvalidRequest("the body did not arrive in time", 408) from None
    except (web.RequestPayloadError, ConnectionError, ValueError) as error:
        raise InvalidRequest("the body is malformed or was cut off") from error
    if len(body) > most:
        raise InvalidRequest(f"the body is over {most} bytes", 413)
    return body


async def _collect(request: web.Request, content: StreamReader, most: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    protocol = request.protocol
    assert isinstance(protocol, _Connection)
    async with asyncio.timeout_at(protocol.deadline):
        while not content.at_eof():
            piece = await content.readany()
            pieces.append(piece)
            size += len(piece)
            if size > most:
                break
    return b"".join(pieces)


def client_of(request: web.Request) -> str:
    """The address of who asks, also behind a trusted proxy; empty if it is not known."""
    return client(request.remote or "", request.headers.getall("X-Forwarded-For", ()), request.app[_SERVER].trusted)


@contextlib.contextmanager
def streaming(request: web.Request) -> Iterator[None]:
    """Marks an endless answer: `Server.stop` ends the block at once, as if it had ended by itself."""
    server = request.app[_SERVER]
    task = asyncio.current_task()
    assert task is not None
    server.streams.add(task)
    try:
        yield
    except asyncio.CancelledError:
        if not server.stopping:
            raise
        task.uncancel()
    finally:
        server.streams.discard(task)


# --- the server -------------------------------------------------------------------------------


def reachable(address: str) -> str:
    """`http://host:port` at which a client on this machine reaches who listens on `address`; a unix socket has no address of its own."""
    if address.startswith("/"):
        return "http://localhost"
    host, _, port = address.rpartition(":")
    return f"http://{ {'0.0.0.0': '127.0.0.1', '[::]': '[::1]'}.get(host, host) }:{port}"  # noqa: S104  # nosec B104  # it is read, not bound


class Server:
    """One listening address with its routes. Times are seconds, sizes are bytes."""

    def __init__(
        self,
        routes: Iterable[web.RouteDef],
        *,
        name: str,
        request_deadline: float = 10.0,
        max_body: int = 1024 * 1024,
        max_connections: int = 1000,
        max_per_origin: int = 100,
        trusted: Iterable[str] = (),
        metrics: Metrics | None = None,
    ) -> None:
        self.name = name
        self.request_deadline = request_deadline
        self.max_body = max_body
        self.max_connections = max_connections
        self.max_per_origin = max_per_origin
        self.trusted: Sequence[Network] = [network(one) for one in trusted]
        """Proxies that say whom they speak for; they may have all connections."""
        self.connections: dict[_Connection, None] = {}
        """In the order in which they began."""
        self.origins: Counter[str] = Counter()
        self.streams: set[asyncio.Task[Any]] = set()
        self._metrics = metrics
        if metrics is not None:
            metrics.connections.labels(name).set_function(lambda: len(self.connections))
        self.stopping = False
        self._app = web.Application(client_max_size=max_body)
        self._app[_SERVER] = self
        self._app.on_response_prepare.append(self._prepare)
        self._app.add_routes([web.RouteDef(one.method, one.path, _guarded(one.handler), one.kwargs) for one in routes])
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None
        self._address = ""
        self._socket_file: tuple[Path, int] | None = None

    async def _prepare(self, request: web.Request, answer: web.StreamResponse) -> None:
        answer.headers.update(_HEADERS)
        for name, value in _NO_PAGE.items():
            answer.headers.setdefault(name, value)
        if self._metrics is not None:
            self._metrics.answered(self.name, answer.status)
        if self.stopping:
            answer.force_close()
            answer.headers["Connection"] = "close"  # aiohttp has written its own headers already

    def origin_of(self, peer: Any) -> str:
        """The address of a peer, or its /64; empty for a trusted proxy and for a unix socket."""
        address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        return "" if not address or among(address, self.trusted) else neighbourhood(address)

    def admit(self, new: _Connection) -> bool:
        """Room for one more connection, if need be in place of one that asks nothing: the place with the most of them goes first.

        Nobody who sends nothing keeps others out, from one address or from many.
        """
        if new.origin and self.origins[new.origin] >= self.max_per_origin:
            idle = [one for one in self.connections if one.origin == new.origin and one.idle]
        elif len(self.connections) >= self.max_connections:
            idle = sorted((one for one in self.connections if one.idle), key=lambda one: (-self.origins[one.origin], not one.wordless))
        else:
            return True
        if idle:
            self.leave(idle[0])
            idle[0].force_close()
        return bool(idle)

    def enter(self, new: _Connection) -> None:
        """Count a connection."""
        self.connections[new] = None
        self.origins[new.origin] += 1

    def leave(self, old: _Connection) -> None:
        """Count it no more."""
        if old in self.connections:
            del self.connections[old]
            self.origins[old.origin] -= 1
            if not self.origins[old.origin]:
                del self.origins[old.origin]

    @property
    def address(self) -> str:
        """Where it listens: `host:port` with the real port, or the path of a unix socket."""
        return self._address

    @property
    def url(self) -> str:
        """`http://host:port`, as a client on this machine reaches it; a unix socket has no address of its own."""
        return reachable(self._address)

    async def start(self, listen: str) -> None:
        """Listen on `HOST:PORT` (port 0: any free one), `[::1]:8080`, or the absolute path of a unix socket (mode 0600).

        Raises OSError, saying what to do, if the address is malformed, taken or not ours to use.
        """
        runner = web.AppRunner(self._app, access_log=None, handle_signals=False)
        await runner.setup()
        factory = runner.server
        assert factory is not None
        loop = asyncio.get_running_loop()

        def connect() -> asyncio.Protocol:
            return _Refused() if self.stopping else _Connection(self, factory, loop)

        try:
            if listen.startswith("/"):
                bound = _bind_unix(Path(listen))
                self._socket_file = (Path(listen), os.stat(listen).st_ino)  # noqa: PTH116
                self._listening = await loop.create_unix_server(connect, sock=bound, backlog=_BACKLOG)
                self._address = listen
            else:
                host, port = parse_listen(listen)
                self._listening = await loop.create_server(connect, host, port, backlog=_BACKLOG)
                self._address = _written(self._listening)
        except OSError as error:
            await runner.cleanup()
            raise OSError(error.errno, f"cannot listen on {listen}: {_why(error)}") from error
        self._runner = runner

    async def stop(self, grace: float = 5.0) -> None:
        """Accept nothing new, end streams, give requests under way `grace` seconds, then close. Safe to call twice."""
        if self._runner is None or self._listening is None:
            return
        runner, self._runner = self._runner, None
        self.stopping = True
        self._listening.close()
        for stream in tuple(self.streams):
            stream.cancel()
        loop = asyncio.get_running_loop()
        end = loop.time() + grace
        while self.connections:
            for connection in tuple(self.connections):
                if connection.idle:
                    connection.force_close()
            if loop.time() >= end:
                break
            await asyncio.sleep(0.01)
        if runner.server is not None:
            await runner.server.shutdown(0.1)  # zero would mean for ever
        await runner.cleanup()
        if self._socket_file is not None:
            _remove_socket(*self._socket_file)


_SERVER = web.AppKey("crmbridge_server", Server)


# --- addresses ----------------------------------------------------------------------------------


def parse_listen(listen: str) -> tuple[str, int]:
    """`127.0.0.1:8080` or `[::1]:8080` as host and port; raises OSError saying what is expected."""
    host, colon, port = listen.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535 or not host.strip("[]") or (":" in host and not bracketed):
        raise OSError(errno.EINVAL, "expected HOST:PORT, [IPV6]:PORT or the absolute path of a unix socket")
    return (host[1:-1] if bracketed else host), int(port)


def _written(listening: asyncio.Server) -> str:
    for bound in listening.sockets:
        # Linux only, as is this daemon's service unit: an answer nobody reads must not hold a connection for ever.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
    host, port = listening.sockets[0].getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _why(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "something else listens there; stop it or give another address"
        case errno.EACCES | errno.EPERM:
            return "this user may not; give a port above 1023 or a folder this user can write"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address"
        case errno.ENOENT:
            return "the folder does not exist"
    return error.strerror or str(error)


def _bind_unix(path: Path) -> socket.socket:
    """A bound socket of mode 0600, in place of a stale file whose owner is gone. It does not listen yet."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError(errno.EEXIST, "a file that is not a socket is in the way; remove it or give another path")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()  # nobody listens: its process ended without cleaning up
            except TimeoutError:
                raise OSError(errno.EADDRINUSE, "busy") from None
            else:
                raise OSError(errno.EADDRINUSE, "in use")
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(str(path))
        path.chmod(0o600)  # before listen(): until then nobody can connect
    except BaseException:
        bound.close()
        raise
    return bound


def _remove_socket(path: Path, inode: int) -> None:
    with contextlib.suppress(OSError):
        if path.lstat().st_ino == inode:
            path.unlink()
