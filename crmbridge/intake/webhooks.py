"""Webhooks come in: verify, store, answer; then their source's desk interprets them.

A sender is answered 2xx only after the raw body is durable: some CRMs wait one second and never try again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from crmbridge.contract import CREDENTIALS, Discreet, Greeting, Reply, WebhookRequest, WebhookSource
from crmbridge.errors import InvalidRequest, StoreError
from crmbridge.intake.desk import Desk, desks_needed
from crmbridge.intake.interpreter import Interpreter
from crmbridge.store.interface import Store
from crmbridge.store.terms import Waiting
from crmbridge.store.underway import UnderWay
from crmbridge.telemetry import Metrics
from crmbridge.waiting import until_stored

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Heard:
    """What came to one source's door."""

    accepted_at: datetime | None = None
    """When a request was accepted last."""
    refused: int = 0
    """Requests that were refused since one was accepted."""
    refusal: str = ""
    refused_since: datetime | None = None


class Webhooks:
    """The door for all webhook sources, and a desk for each."""

    def __init__(
        self,
        store: Store,
        interpreter: Interpreter,
        sources: Mapping[str, WebhookSource],
        *,
        metrics: Metrics,
        now: Callable[[], datetime],
        refusing: Callable[[], str] = lambda: "",
        unseen: Callable[[str], None] = lambda _: None,
        under_way: UnderWay | None = None,
    ) -> None:
        """`refusing` gives the reason why nothing may be taken in just now; empty if it may. `unseen` hears whom a poll helps.

        `under_way`: where it is noted on what we work.
        """
        self._store = store
        self._interpreter = interpreter
        self._metrics = metrics
        self._now = now
        self._refusing = refusing
        self._unseen = unseen
        self._under_way = under_way or UnderWay()
        self._opened = asyncio.Event()
        self.desks: dict[str, Desk] = {}
        self.heard: dict[str, Heard] = {}
        """By the name of the source."""
        self._sources: Mapping[str, WebhookSource] = {}
        self.sources = sources

    @property
    def sources(self) -> Mapping[str, WebhookSource]:
        """By name; exchanged as a whole when the configuration is reloaded."""
        return self._sources

    @sources.setter
    def sources(self, sources: Mapping[str, WebhookSource]) -> None:
        self._sources = sources
        for name, desk in self.desks.items():
            desk.source = sources.get(name)
        for name in sources:
            self._desk(name)

    async def receive(self, name: str, request: WebhookRequest) -> Reply:
        """Verify and store one request; the reply is what this sender wants. Raises InvalidRequest."""
        source = self._sources.get(name)
        if source is None:
            raise InvalidRequest("no such hook", 404)
        try:
            if (greeting := self._greeted(name, request)) is not None:
                return greeting
            source.verify(request)
        except InvalidRequest as error:
            self._refused(name, error)
            raise
        try:
            if reason := self._refusing():
                raise StoreError(reason)
            kept = source.storable(request) if isinstance(source, Discreet) else request
            # A secret may be a part of the address, and proxies tell that in a header.
            shown = request.address if request.path or request.query else ""
            headers = {key: value for key, value in kept.headers.items() if key not in CREDENTIALS and not (shown and shown in value)}
            row = await self._store.accept(name, headers, "", kept.body, kept.received_at)  # a query may hold a secret: nobody needs it now
        except StoreError as error:
            self._metrics.received.labels(name, "503").inc()
            _log.error("a webhook could not be stored", extra={"source": name, "reason": str(error)})
            return source.reply(False)
        self._metrics.received.labels(name, "2xx").inc()
        heard = self.heard.setdefault(name, Heard())
        heard.accepted_at, heard.refused, heard.refusal, heard.refused_since = request.received_at, 0, "", None
        self.desks[name].put(row)
        return source.reply(True)

    def greet(self, name: str, request: WebhookRequest) -> Reply | None:
        """Answer a handshake, for which nothing is stored; None where the request is none. Raises InvalidRequest."""
        try:
            return self._greeted(name, request)
        except InvalidRequest as error:
            self._refused(name, error)
            raise

    def _greeted(self, name: str, request: WebhookRequest) -> Reply | None:
        source: object = self._sources.get(name)
        reply = source.greet(request) if isinstance(source, Greeting) else None
        if reply is not None:
            self._metrics.received.labels(name, "handshake").inc()
            _log.info("a webhook's handshake was answered", extra={"source": name, "method": request.method})
        return reply

    def _refused(self, name: str, error: InvalidRequest) -> None:
        heard = self.heard.setdefault(name, Heard())
        heard.refused, heard.refusal, heard.refused_since = heard.refused + 1, str(error), heard.refused_since or self._now()
        self._metrics.received.labels(name, str(error.status)).inc()
        _log.warning("a webhook was refused", extra={"source": name, "status": error.status, "reason": str(error)})

    def look_again(self) -> None:
        """Read the inbox again: a person asked to try failed requests once more."""
        for desk in self.desks.values():
            desk.look_again()
        self._opened.set()  # a request may be one of a source that had no desk yet

    async def run(self) -> None:
        """Let every desk work, for ever; what ends one ends all."""
        working: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                self._opened.clear()
                for name in desks_needed(await self._inbox(), self._sources):
                    self._desk(name)
                for name in self.desks.keys() - working.keys():
                    working[name] = asyncio.create_task(self.desks[name].run(), name=f"hooks {name}")
                opened = asyncio.create_task(self._opened.wait())
                try:
                    ended, _ = await asyncio.wait({opened, *working.values()}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    opened.cancel()
                for task in ended - {opened}:
                    task.result()
        finally:
            for task in working.values():
                task.cancel()
            await asyncio.gather(*working.values(), return_exceptions=True)

    async def _inbox(self) -> Sequence[Waiting]:
        def unable(error: StoreError) -> None:
            _log.error("the inbox cannot be looked at yet", extra={"reason": str(error)})

        return (await until_stored(self._store.overview, unable)).inbox

    def close(self) -> None:
        """Take no more calls, for good."""
        for desk in self.desks.values():
            desk.close()

    def _desk(self, name: str) -> None:
        if name not in self.desks:
            self.desks[name] = Desk(
                name,
                self._sources.get(name),
                store=self._store,
                interpreter=self._interpreter,
                now=self._now,
                unseen=self._unseen,
                under_way=self._under_way,
            )
            self._opened.set()
