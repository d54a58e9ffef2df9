"""Webhooks come in: verify, store, answer; then, in order of arrival, parse and interpret.

A sender is answered 2xx only after the raw body is durable: some CRMs wait one second and never try again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime

from crmbridge.contract import Reply, WebhookRequest, WebhookSource
from crmbridge.errors import InvalidRequest, StoreError
from crmbridge.http import describe
from crmbridge.intake.interpreter import Intake, Interpreter
from crmbridge.model import Observation
from crmbridge.store.interface import InboxRow, Store
from crmbridge.telemetry import Metrics

_log = logging.getLogger(__name__)
_BATCH = 100  # requests interpreted together
_LARGE = 64 * 1024  # bytes of a body whose parsing takes milliseconds
_IN_MEMORY, _BYTES_IN_MEMORY = 1000, 16 * 1024 * 1024  # requests kept at hand; the rest is read from the inbox


class Webhooks:
    """The door for all webhook sources. `sources` may be exchanged while it runs (reload)."""

    def __init__(
        self,
        store: Store,
        interpreter: Interpreter,
        sources: Mapping[str, WebhookSource],
        *,
        metrics: Metrics,
        now: Callable[[], datetime],
        closed: Callable[[], str] = lambda: "",
    ) -> None:
        """`closed` gives the reason why nothing may be taken in just now; empty if it may."""
        self._store = store
        self._interpreter = interpreter
        self.sources = sources
        self._metrics = metrics
        self._now = now
        self._closed = closed
        self._at_hand: deque[InboxRow] = deque()
        self._bytes_at_hand = 0
        self._behind = True  # the inbox may hold rows that are not at hand
        self._again = False  # the inbox may also hold rows before `_done`
        self._done = 0  # the highest inbox id that was dealt with
        self._wake = asyncio.Event()
        self._wake.set()

    async def receive(self, name: str, request: WebhookRequest) -> Reply:
        """Verify and store one request; the reply is what this sender wants. Raises InvalidRequest."""
        source = self.sources.get(name)
        if source is None:
            raise InvalidRequest("no such hook", 404)
        try:
            source.verify(request)
        except InvalidRequest as error:
            self._metrics.received.labels(name, str(error.status)).inc()
            _log.warning("a webhook was refused", extra={"source": name, "status": error.status, "reason": str(error)})
            raise
        try:
            if reason := self._closed():
                raise StoreError(reason)
            row = await self._store.accept(name, request.headers, request.query, request.body, request.received_at)
        except StoreError as error:
            self._metrics.received.labels(name, "503").inc()
            _log.error("a webhook could not be stored", extra={"source": name, "reason": str(error)})
            return source.reply(False)
        self._metrics.received.labels(name, "2xx").inc()
        if len(self._at_hand) < _IN_MEMORY and self._bytes_at_hand < _BYTES_IN_MEMORY:
            self._at_hand.append(row)
            self._bytes_at_hand += len(row.body)
        else:
            self._behind = True
        self._wake.set()
        return source.reply(True)

    def look_again(self) -> None:
        """The inbox has rows that this process has dealt with before: a person asked to try them again."""
        self._again = True  # not `_done = 0`: what is being interpreted now would set it back
        self._wake.set()

    async def run(self) -> None:
        """Interpret what is in the inbox, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while rows := await self._next():
                await self._interpret(rows)
                self._done = max(self._done, rows[-1].id)

    async def _next(self) -> list[InboxRow]:
        if self._again:
            self._again, self._behind, self._done = False, True, 0
            self._at_hand.clear()
            self._bytes_at_hand = 0
        if self._behind:
            self._behind = False  # before the read: what arrives during it may set it again
            rows = await self._store.waiting(self._done, _BATCH)
            if rows:
                self._behind = True
                return rows
        rows = []
        while self._at_hand and len(rows) < _BATCH:
            row = self._at_hand.popleft()
            self._bytes_at_hand -= len(row.body)
            if row.id > self._done:
                rows.append(row)
        return rows

    async def _interpret(self, rows: list[InboxRow]) -> None:
        by_source: dict[str, list[InboxRow]] = {}
        for row in rows:
            by_source.setdefault(row.source, []).append(row)
        for name, mine in by_source.items():
            observations: list[Observation] = []
            closed: list[int] = []
            failed: dict[int, str] = {}
            for row in mine:
                if len(row.body) > _LARGE:
                    await asyncio.sleep(0)  # others are answered in between
                try:
                    observations += self._parse(row)
                    closed.append(row.id)
                except Exception as error:
                    failed[row.id] = str(error) if isinstance(error, ValueError) else describe(error)
                    _log.error("a webhook could not be interpreted", extra={"source": name, "request": row.id, "reason": failed[row.id]})
            try:
                await self._record(Intake(source=name, observations=observations, closed=closed, failed=failed))
            except Exception as error:
                if len(mine) > 1:
                    _log.warning("requests are interpreted one by one", extra={"source": name, "reason": describe(error)})
                    for row in mine:
                        await self._interpret([row])
                else:
                    _log.exception("a webhook could not be interpreted", extra={"source": name, "request": mine[0].id})
                    await self._record(Intake(source=name, observations=(), failed={mine[0].id: describe(error)}))

    def _parse(self, row: InboxRow) -> list[Observation]:
        source = self.sources.get(row.source)
        if source is None:
            raise ValueError(f"no webhook source named {row.source} is configured")
        return list(source.parse(WebhookRequest(row.headers, row.body, row.query, row.received_at)))

    async def _record(self, intake: Intake) -> None:
        while True:
            try:
                return await self._interpreter.take(intake)
            except StoreError as error:
                _log.error("changes cannot be recorded yet", extra={"source": intake.source, "reason": str(error)})
                await asyncio.sleep(1)
