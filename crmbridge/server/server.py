"""The HTTP server behind hooks, admin and feed: aiohttp's strict parser, with the absolute deadlines that it lacks.

aiohttp keeps a request open for as long as single bytes trickle in. Here a request must be complete, head and body together,
`request_deadline` seconds after its first byte. Bodies are never decompressed. A request that states its length in two ways
is refused. And an answer never says more than one line about what went wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from aiohttp import HttpVersion11, web
from aiohttp.streams import StreamReader

from crmbridge.errors import InvalidRequest, StoreError
from crmbridge.peers import Network, among, client, neighbourhood, network
from crmbridge.server.addresses import bind_unix, parse_listen, reachable, remove_socket, why, written
from crmbridge.server.connection import HEADERS, NO_PAGE, Connection, TurnedAway, refusal
from crmbridge.telemetry import Metrics

_BACKLOG = 512
_log = logging.getLogger(__name__)

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


# --- what every request passes through --------------------------------------------------------


def _guarded(answering: Answering) -> Answering:
    """Turn the errors of `answering` into answers. Each route is wrapped in this, for aiohttp's middlewares cost more on every request."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            if "Transfer-Encoding" in request.headers and (request.version < HttpVersion11 or "Content-Length" in request.headers):
                return refusal(400, "the length of the body is stated in a way that servers read differently")
            return await answering(request)
        except InvalidRequest as error:
            return refusal(error.status, str(error))
        except StoreError as error:
            _log.error("request not stored", extra={"path": request.path, "error": str(error)})
            return refusal(503, "cannot be stored now; try again later")
        except (web.HTTPException, ConnectionError):
            raise
        except Exception:
            _log.exception("request failed", extra={"method": request.method, "path": request.path})
            return refusal(500, "internal error; the log of this server has the details")

    return guarded


async def read_body(request: web.Request, limit: int | None = None) -> bytes:
    """Read the whole body, at most `limit` bytes (default: the server's `max_body`).

    Raises InvalidRequest: 413 if the body is too large, also while a chunked one still arrives; 415 if it is compressed; 408 if it is
    not complete within the server's deadline; 400 if it is malformed or cut off.
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
    assert isinstance(protocol, Connection)
    async with asyncio.timeout_at(protocol.deadline):
        while not content.at_eof():
            piece = await content.readany()
            pieces.append(piece)
            size += len(piece)
            if size > most:
                break
    return b"".join(pieces)


def client_of(request: web.Request) -> str:
    """Return the address of the client, also behind a trusted proxy. Empty if it is not known."""
    return client(request.remote or "", request.headers.getall("X-Forwarded-For", ()), request.app[_SERVER].trusted)


@contextlib.contextmanager
def streaming(request: web.Request) -> Iterator[None]:
    """Mark an endless answer: `Server.stop` ends the block at once, as if it had ended by itself."""
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
        """Proxies that say whom they speak for. They may have all connections."""
        self.connections: dict[Connection, None] = {}
        """The open connections, in the order in which they began."""
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
        answer.headers.update(HEADERS)
        for name, value in NO_PAGE.items():
            answer.headers.setdefault(name, value)
        if self._metrics is not None:
            self._metrics.answered(self.name, answer.status)
        if self.stopping:
            answer.force_close()
            answer.headers["Connection"] = "close"  # aiohttp has written its own headers already

    def origin_of(self, peer: Any) -> str:
        """Return the address of a peer, or its /64. Empty for a trusted proxy and for a unix socket."""
        address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        return "" if not address or among(address, self.trusted) else neighbourhood(address)

    def admit(self, new: Connection) -> bool:
        """Make room for one more connection, if need be in place of one that asks nothing. Return whether there is room.

        The origin with the most connections loses one first. So clients that send nothing, from one address or many, keep nobody out.
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

    def enter(self, new: Connection) -> None:
        """Count a connection."""
        self.connections[new] = None
        self.origins[new.origin] += 1

    def leave(self, old: Connection) -> None:
        """Count a connection no more."""
        if old in self.connections:
            del self.connections[old]
            self.origins[old.origin] -= 1
            if not self.origins[old.origin]:
                del self.origins[old.origin]

    @property
    def address(self) -> str:
        """Where the server listens: `host:port` with the real port, or the path of a unix socket."""
        return self._address

    @property
    def url(self) -> str:
        """`http://host:port` as a client on this machine reaches the server; `http://localhost` for a unix socket."""
        return reachable(self._address)

    async def start(self, listen: str) -> None:
        """Listen on `HOST:PORT` (port 0: any free one), `[::1]:8080`, or the absolute path of a unix socket (mode 0600).

        Raises OSError that says what to do, if the address is malformed, taken or not ours to use.
        """
        runner = web.AppRunner(self._app, access_log=None, handle_signals=False)
        await runner.setup()
        factory = runner.server
        assert factory is not None
        loop = asyncio.get_running_loop()

        def connect() -> asyncio.Protocol:
            return TurnedAway() if self.stopping else Connection(self, factory, loop)

        try:
            if listen.startswith("/"):
                bound = bind_unix(Path(listen))
                self._socket_file = (Path(listen), os.stat(listen).st_ino)  # noqa: PTH116
                self._listening = await loop.create_unix_server(connect, sock=bound, backlog=_BACKLOG)
                self._address = listen
            else:
                host, port = parse_listen(listen)
                self._listening = await loop.create_server(connect, host, port, backlog=_BACKLOG)
                self._address = written(self._listening)
        except OSError as error:
            await runner.cleanup()
            raise OSError(error.errno, f"cannot listen on {listen}: {why(error)}") from error
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
            await runner.server.shutdown(0.1)  # zero would mean no limit
        await runner.cleanup()
        if self._socket_file is not None:
            remove_socket(*self._socket_file)


_SERVER = web.AppKey("crmbridge_server", Server)
