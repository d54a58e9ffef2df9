"""aiohttp with crmbridge's manners, for async connectors."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

import aiohttp
from yarl import URL

from crmbridge.errors import DeliveryError
from crmbridge.http.mark import MAX_ANSWER, USER_AGENT, begin
from crmbridge.model import Network


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Parse the body as JSON. Raises ValueError."""
        return json.loads(self.body)


_WHOLE: Final = re.compile(r"[!-~]+")


def _as_written(url: str) -> URL | str:
    """Keep `url` as it is to the last character, for it may be signed. An address that is not all printable ASCII is encoded first."""
    return URL(url, encoded=True) if _WHOLE.fullmatch(url) else url


class _Request(aiohttp.ClientRequest):
    """A request that sets the mark once it is connected and about to be written."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        begin()
        return await super().send(conn)


class Client:
    """The async counterpart of HttpSession. It is made anywhere, and opened on first use inside the running loop."""

    def __init__(self, network: Network, *, connections: int = 64) -> None:
        self._network = network
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            authority = ssl.create_default_context(cafile=self._network.ca_file) if self._network.ca_file else True
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._network.deadline),
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=10, ssl=authority),
                headers={"User-Agent": USER_AGENT},
                cookie_jar=aiohttp.DummyCookieJar(),
                request_class=_Request,
                trust_env=False,
            )
        return self._session

    async def send(self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Send one request and return its whole answer, within the deadline. A redirect is an answer too.

        Raises TimeoutError, aiohttp.ClientError (ClientPayloadError also for an answer over MAX_ANSWER bytes), ValueError.
        """
        proxy = self._network.proxy
        try:
            async with self._open().request(
                method, _as_written(url), data=body or None, headers=headers, allow_redirects=False, proxy=proxy
            ) as answer:
                pieces, size = [], 0
                async for piece in answer.content.iter_any():
                    pieces.append(piece)
                    size += len(piece)
                    if size > MAX_ANSWER:
                        raise aiohttp.ClientPayloadError(f"the answer is over {MAX_ANSWER} bytes")
                return Answer(answer.status, answer.headers, b"".join(pieces))
        except TimeoutError:
            raise TimeoutError(f"no complete answer within {self._network.deadline:g} s") from None

    async def ask(
        self, method: str, url: str, *, meaning: Callable[[Answer, datetime], DeliveryError], body: bytes = b"", headers: Mapping[str, str]
    ) -> Answer:
        """Send one request and return its answer if that is good (2xx).

        Raises `meaning(answer, now)` for another answer; otherwise raises what `send` raises.
        """
        answer = await self.send(method, url, body=body, headers=headers)
        if 200 <= answer.status < 300:
            return answer
        raise meaning(answer, datetime.now(timezone.utc))

    async def close(self) -> None:
        """Close connections; safe to call twice."""
        if self._session is not None:
            await self._session.close()
