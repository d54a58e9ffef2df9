"""One connection of a client, with the deadlines that aiohttp lacks."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.streams import StreamReader
from aiohttp.web_request import BaseRequest

if TYPE_CHECKING:
    from crmbridge.server.server import Server

_FIRST_BYTE = 10.0  # seconds that a new connection may be silent
_IDLE = 30.0  # seconds that a keep-alive connection may be silent
_LINGER = 2.0  # seconds in which the rest of a refused body is read and dropped, so that the answer still arrives
HEADERS = {"Server": "crmbridge", "X-Content-Type-Options": "nosniff"}
NO_PAGE = {"Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"}
"""Headers for an answer that sets none itself: they tell a browser that it is no page, and belongs in none."""
_SHORT = {**HEADERS, **NO_PAGE, "Content-Length": "0", "Connection": "close"}
_TOO_SLOW = "\r\n".join(("HTTP/1.1 408 Request Timeout", *map(": ".join, _SHORT.items()), "", "")).encode()
_log = logging.getLogger(__name__)


def refusal(status: int, message: str) -> web.Response:
    """Make a one-line answer after which the connection closes. What follows a bad request cannot be trusted."""
    answer = web.Response(status=status, text=" ".join(message.split())[:500] + "\n")
    answer.force_close()
    return answer


class Connection(web.RequestHandler):
    """A connection of aiohttp that also knows when the present request began.

    The private names of aiohttp that are used here (`_request_count`, `_messages`, `_waiter`) are proved by
    tests/unit/test_server.py: a head that comes byte by byte, such a body, and a stop with requests under way.
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
        """The address that it comes from, or its network. Empty for trusted proxies and a unix socket, which may have all connections."""
        self.deadline = 0.0
        """The loop time by which the present request must be complete."""

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
            # The reader of the last request in this piece: until it ends, the data that arrives is body.
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
        """Answer a request that aiohttp could not parse, without an echo of the request and without a traceback."""
        _log.debug("request not understood", extra={"server": self._owner.name, "error": type(exc).__name__})
        if request.writer.output_size > 0:
            raise ConnectionError("an answer had begun")
        answer = refusal(status, "this is not an HTTP request that can be answered; check its head")
        answer.headers.update(HEADERS | NO_PAGE)
        return answer


class TurnedAway(asyncio.Protocol):
    """A connection that comes when the server is stopping. It is closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
