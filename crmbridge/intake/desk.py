"""One source's webhooks after the door: parse, read whole what they only name, interpret; in order of arrival.

Each source has a desk of its own, so that one whose CRM cannot be read just now holds up no other.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from crmbridge.contract import Baseline, Caller, Rereading, Source, WebhookRequest, WebhookSource
from crmbridge.errors import SourceError, StoreError
from crmbridge.http import VendorRefused, describe
from crmbridge.intake.interpreter import Interpreter
from crmbridge.intake.parts import Intake
from crmbridge.intake.poller import backoff
from crmbridge.intake.reread import completed, wanting
from crmbridge.model import Observation, RecordRef, load_observation
from crmbridge.store import underway
from crmbridge.store.interface import Store
from crmbridge.store.terms import AlreadyKnown, InboxRow, Waiting
from crmbridge.store.underway import UnderWay
from crmbridge.waiting import until_stored

_log = logging.getLogger(__name__)
_BATCH = 100  # requests interpreted together
_LARGE = 32 * 1024  # bytes of a body whose parsing takes tens of milliseconds
_PIECE = 16 * 1024  # bytes that are parsed before others may go on
_IN_MEMORY, _BYTES_IN_MEMORY = 1000, 16 * 1024 * 1024  # requests kept at hand; the rest is read from the inbox
_AT_ONCE = 200  # records that are asked for in one call
_NEVER = frozenset({400, 404, 405, 410, 413, 414, 422})  # refusals that no waiting cures


class Desk:
    """What was taken in for one source. `source` may be exchanged while it runs (reload); None: it is no longer configured."""

    def __init__(
        self,
        name: str,
        source: WebhookSource | None,
        *,
        store: Store,
        interpreter: Interpreter,
        now: Callable[[], datetime],
        chance: Callable[[], float] = random.random,
        unseen: Callable[[str], None] = lambda _: None,
        under_way: UnderWay | None = None,
    ) -> None:
        """`unseen` hears the source's name when its webhooks name a record that only a poll can tell of.

        `under_way`: where it is noted on what we work.
        """
        self.name = name
        self.source = source
        self.failures = 0
        """Reads that failed in a row."""
        self.last_error = ""
        self.failing_since: datetime | None = None
        """Since when it cannot work; None while it can."""
        self._store = store
        self._interpreter = interpreter
        self._now = now
        self._chance = chance
        self._unseen = unseen
        self._under_way = under_way or UnderWay()
        self._call = Caller(f"hooks {name}", 1)
        self._at_hand: deque[InboxRow] = deque()
        self._bytes_at_hand = 0
        self._behind = True  # the inbox may hold rows that are not at hand
        self._again = False  # the inbox may also hold rows before `_done`
        self._done = 0  # the highest inbox id that was dealt with
        self._wake = asyncio.Event()
        self._wake.set()

    def put(self, row: InboxRow) -> None:
        """Take a request that is stored and answered."""
        if len(self._at_hand) < _IN_MEMORY and self._bytes_at_hand < _BYTES_IN_MEMORY:
            self._at_hand.append(row)
            self._bytes_at_hand += len(row.body)
        else:
            self._behind = True
        self._wake.set()

    def look_again(self) -> None:
        """Read the inbox from its beginning: a person asked to try again what this process has dealt with before."""
        self._again = True  # not `_done = 0`: what is being interpreted now would set it back
        self._wake.set()

    async def run(self) -> None:
        """Interpret what is in the inbox, for ever; what fails is waited out and begun again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while rows := await self._next():
                    await self._interpret(rows)
                    self._done = max(self._done, rows[-1].id)
                    self.failures, self.last_error, self.failing_since = 0, "", None
            except Exception as error:
                _log.exception("webhooks cannot be interpreted just now", extra={"source": self.name})
                self.look_again()  # what was at hand is in the inbox
                await asyncio.sleep(self._failed(error))

    def close(self) -> None:
        """Take no more calls."""
        self._call.close()

    async def _next(self) -> list[InboxRow]:
        if self._again:
            self._again, self._behind, self._done = False, True, 0
            self._at_hand.clear()
            self._bytes_at_hand = 0
        if self._behind:
            self._behind = False  # before the read: what arrives during it may set it again
            rows = await self._store.waiting(self.name, self._done, _BATCH)
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

    async def _interpret(self, rows: Sequence[InboxRow]) -> None:
        if len(rows) > 1 and any(row.crashes or row.record is not None for row in rows):
            for row in rows:
                await self._interpret([row])
        else:
            await self._interpret_together(rows)

    async def _interpret_together(self, rows: Sequence[InboxRow]) -> None:
        observations: list[Observation] = []
        told_by: list[int] = []
        closed: list[int] = []
        failed: dict[int, str] = {}
        parsed = 0
        with self._under_way.slot() as slot:
            for row in rows:
                parsed += len(row.body)
                if parsed > _PIECE:  # others are answered in between
                    await asyncio.sleep(0)
                    parsed = 0
                try:
                    if row.crashes:
                        async with self._under_way.alone:
                            slot.begin(underway.requests([row.id]))
                            found = await self._call(self._parse, row)
                    else:
                        slot.begin(underway.requests([row.id]))
                        # What takes long to parse does so in a thread.
                        found = await self._call(self._parse, row) if len(row.body) > _LARGE else self._parse(row)
                    observations += found
                    told_by += [row.id] * len(found)
                    closed.append(row.id)
                except Exception as error:
                    failed[row.id] = _words(error)
                    self._complain(row, error)
                finally:
                    slot.end()
        first = rows[0]
        try:
            whole = await self._whole(observations)
            intake = Intake(
                source=self.name,
                observations=whole,
                closed=closed,
                failed=failed,
                requests=closed,
                told_by=told_by if whole is observations else (),  # what was read whole came in no request
            )
            await self._record(replace(intake, revision=first.revision) if first.record is not None else intake, first)
        except Exception as error:
            if len(rows) > 1:
                _log.warning("requests are interpreted one by one", extra={"source": self.name, "reason": describe(error)})
                for row in await self._store.waiting(self.name, first.id - 1, len(rows)):  # what was recorded is closed
                    if row.id <= rows[-1].id:
                        await self._interpret([row])
                return
            self._complain(first, error)
            await self._record(Intake(source=self.name, observations=(), failed={first.id: _words(error)}), first)

    def _complain(self, row: InboxRow, error: Exception) -> None:
        facts = {"source": self.name, "request": row.id, "reason": _words(error)}
        _log.error("a webhook could not be interpreted", exc_info=not isinstance(error, ValueError), extra=facts)

    def _parse(self, row: InboxRow) -> list[Observation]:
        if row.record is not None:  # it was read before, and put aside
            return [load_observation(row.body)]
        if self.source is None:
            raise ValueError(f"no webhook source named {self.name} is configured")
        return list(self.source.parse(WebhookRequest(row.headers, row.body, row.query, row.received_at)))

    # --- reading whole what a webhook only names

    async def _whole(self, observations: list[Observation]) -> list[Observation]:
        """With the whole records behind the partial ones; waits for as long as the CRM cannot be read.

        Raises ValueError where the CRM will never give one of them.
        """
        wanted = wanting(observations)
        if not wanted:
            return observations
        found: list[Observation] = []
        for record_type, ids in wanted.items():
            for start in range(0, len(ids), _AT_ONCE):
                found += await self._read(record_type, ids[start : start + _AT_ONCE])
        records = [RecordRef(self.name, record_type, id) for record_type, ids in wanted.items() for id in ids]
        known = (await self._known(records)).snapshots.keys()
        source: object = self.source
        polled = isinstance(source, Source) and isinstance(source, Baseline) and source.enumerates()
        if polled and any(record not in known for record in records):
            self._unseen(self.name)
        return completed(observations, found, self.name, known, polled=polled)

    async def _known(self, records: Sequence[RecordRef]) -> AlreadyKnown:
        def unable(error: StoreError) -> None:
            _log.error("the store cannot be read yet", extra={"source": self.name, "reason": str(error)})

        return await until_stored(lambda: self._store.known(records), unable)

    async def _read(self, record_type: str, ids: Sequence[str]) -> Sequence[Observation]:
        while True:
            source: object = self.source
            if not isinstance(source, Rereading):
                raise ValueError("its source names records that it cannot read")
            try:
                found = await self._call(source.fetch_many, record_type, ids)
            except VendorRefused as error:
                if error.status not in _NEVER:
                    await asyncio.sleep(self._failed(error))
                    continue
                raise ValueError(f"the CRM refuses to show it: {error}") from None
            except (SourceError, TimeoutError) as error:
                await asyncio.sleep(self._failed(error))
            else:
                self.failures, self.last_error, self.failing_since = 0, "", None
                return found

    def _failed(self, error: Exception) -> float:
        self.failures += 1
        self.failing_since = self.failing_since or self._now()
        self.last_error = str(error) if isinstance(error, SourceError) else describe(error)
        pause = backoff(self.failures, self._chance())
        if isinstance(error, SourceError) and error.retry_at:
            pause = max(pause, (error.retry_at - self._now()).total_seconds())
        facts = {"source": self.name, "failures": self.failures, "again_in_s": round(pause), "reason": self.last_error}
        _log.warning("what webhooks name could not be read", extra=facts)
        return pause

    async def _record(self, intake: Intake, row: InboxRow) -> None:
        parts = self._interpreter.parts(replace(intake, alone=bool(row.crashes)))

        async def record() -> None:
            if not row.crashes:
                return await self._interpreter.take_parts(parts)
            async with self._under_way.alone:  # while code works on it, it works on nothing else of that kind
                return await self._interpreter.take_parts(parts)

        def unable(error: StoreError) -> None:
            _log.error("changes cannot be recorded yet", extra={"source": intake.source, "reason": str(error)})

        await until_stored(record, unable)


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) and str(error) else describe(error)


def desks_needed(inbox: Sequence[Waiting], sources: Mapping[str, WebhookSource]) -> list[str]:
    """Name all sources that have or had requests in the inbox. A source that is gone must be told of too."""
    return list(dict.fromkeys([*sources, *(one.source for one in inbox if not one.failed)]))
