"""Walks: a source is gone through from end to end, for what no stamp tells of. What was deleted lacks; what changed is compared.

A walk takes what is known when it begins, and strikes out what it meets; what is left at its end is gone. So nothing about it is kept
but in memory (some 70 bytes a record), a restart only begins it anew, and a record that is made meanwhile is never taken for deleted.
It goes on for a moment after each poll, so that polls are not kept waiting.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from crmbridge.contract import Caller, Walk, Walking
from crmbridge.errors import SourceError
from crmbridge.http import describe
from crmbridge.intake.doubts import DoubtKind, Doubts
from crmbridge.intake.interpreter import Interpreter
from crmbridge.intake.parts import Intake
from crmbridge.model import Observation
from crmbridge.store.interface import Store
from crmbridge.store.terms import MAX_BATCH

_log = logging.getLogger(__name__)
_PAGE: Final = 5_000  # ids of one read of the store
_BUDGET: Final = 2.0  # seconds that walks take after one poll
_FEW: Final = 10  # records: where more are known, a walk that meets none of them says something of the source, not of them
_SHARE: Final = 10  # where more than a few lack, and more than one in so many, a table may just be filled anew: they must lack twice


@dataclass(slots=True)
class _Round:
    """A walk under way."""

    record_type: str
    rows: bool
    bookmark: str | None = None
    count: int = 0
    unmet: set[int] = field(default_factory=set)
    news: frozenset[bool] = frozenset()
    """What is news: True, what differs; False, what lacks. Where nobody ever looked, what the first walk finds may be years old."""


class Walker:
    """Walks through the record types of one source, one after the other."""

    def __init__(
        self,
        name: str,
        source: Walking,
        *,
        store: Store,
        interpreter: Interpreter,
        now: Callable[[], datetime],
        call: Caller,
        monotonic: Callable[[], float],
        poll: Callable[[], Awaitable[Collection[tuple[str, str]]]],
    ) -> None:
        """`poll` polls now, and gives the type and id of every record that it met."""
        self._name = name
        self._source = source
        self._store = store
        self._interpreter = interpreter
        self._doubts: Doubts = interpreter.doubts
        self._now = now
        self._call = call
        self._monotonic = monotonic
        self._poll = poll
        self._walked: dict[tuple[str, bool], float] = {}
        """When a walk of this type began last, through ids or through whole records."""
        self._lacked: dict[str, set[int]] = {}
        """What the walk before did not meet, where one walk proves nothing."""
        self._round: _Round | None = None

    async def go_on(self, budget: float = _BUDGET) -> None:
        """Walk for about `budget` seconds, if a walk is due. A walk that fails is told of, and begins anew. Raises StoreError."""
        until = self._monotonic() + budget
        while self._monotonic() < until:
            current = self._round = self._round or await self._begin()
            if current is None:
                return
            try:
                await self._stretch(current)
            except (SourceError, TimeoutError) as error:
                self._round = None
                self._told(current.record_type, str(error) if isinstance(error, SourceError) else describe(error))

    async def learnt(self) -> None:
        """All that exists was just read: what walks find from now on has happened since, the first one too. Raises StoreError."""
        for record_type, walk in self._source.walks().items():
            for compared, every in ((True, walk.rows_every), (False, walk.ids_every)):
                if every is not None:
                    await self._store.walk_ended(self._name, record_type, compared=compared, now=self._now())

    async def _begin(self) -> _Round | None:
        for record_type, walk in self._source.walks().items():
            for rows in (True, False):  # who reads whole records has met their ids
                if not self._due(record_type, walk, rows):
                    continue
                self._walked[record_type, rows] = self._monotonic()
                ended = await self._store.walked(self._name)
                found = _Round(record_type, rows, news=frozenset(compared for of, compared in ended if of == record_type))
                most = walk.most_rows if rows else walk.most_ids
                if await self._know(found, most):
                    if rows:
                        self._walked[record_type, False] = self._monotonic()
                    return found
                _log.info(
                    "too many records to walk through",
                    extra={"source": self._name, "record": record_type, "most": most, "compare": rows},
                )
        return None

    def _due(self, record_type: str, walk: Walk, rows: bool) -> bool:
        every = walk.rows_every if rows else walk.ids_every
        last = self._walked.get((record_type, rows))
        return every is not None and (last is None or self._monotonic() - last >= every.total_seconds())

    async def _know(self, found: _Round, most: int) -> bool:
        """Take what is known of the type; False if that is more than `most`."""
        after = ""
        while ids := await self._store.ids_of(self._name, found.record_type, after, _PAGE):
            found.unmet.update(map(_mark, ids))
            found.count += len(ids)
            if found.count > most:
                return False
            after = ids[-1]
        return True

    async def _stretch(self, current: _Round) -> None:
        stretch = await self._call(self._source.walk, current.record_type, current.bookmark, current.rows)
        marks = [_mark(id) for id in stretch.ids]
        if current.rows:
            # What is not known is new, also where its stamp is so old that no poll looks behind it: an import, a late commit.
            news = True in current.news
            # Silently is learnt only what no poll would ever find: what changed since the last one is a poll's to tell.
            met = () if news else await self._poll()
            found = [one for one in stretch.observations if (one.record_type, one.record_id) not in met]
            await self._take(found, learning=not news)
        current.unmet.difference_update(marks)
        if stretch.bookmark is not None and stretch.bookmark == current.bookmark:
            raise SourceError(f"the walk through {current.record_type} does not get on")
        current.bookmark = stretch.bookmark
        if current.bookmark is None:
            self._round = None
            await self._end(current)

    async def _end(self, current: _Round) -> None:
        if len(current.unmet) == current.count > _FEW:
            self._told(current.record_type, f"none of {current.count} known records was met: are they out of sight?")
            return
        self._doubts.end(DoubtKind.WALK, f"{self._name}/{current.record_type}")
        many = len(current.unmet) > _FEW and len(current.unmet) > current.count // _SHARE
        if many or not self._source.walks()[current.record_type].certain:
            lacking, current.unmet = current.unmet, current.unmet & self._lacked.get(current.record_type, set())
            self._lacked[current.record_type] = lacking
        else:
            self._lacked.pop(current.record_type, None)
        for compared in {False, current.rows}:
            await self._store.walk_ended(self._name, current.record_type, compared=compared, now=self._now())
        if not current.unmet:
            return
        now, after = self._now(), ""
        while ids := await self._store.ids_of(self._name, current.record_type, after, _PAGE):
            gone = [id for id in ids if _mark(id) in current.unmet]
            await self._take([_gone(current.record_type, id, now) for id in gone], learning=False not in current.news)
            after = ids[-1]
        _log.info("records are gone", extra={"source": self._name, "record": current.record_type, "records": len(current.unmet)})

    async def _take(self, observations: Sequence[Observation], *, learning: bool) -> None:
        for start in range(0, len(observations), MAX_BATCH):
            some = observations[start : start + MAX_BATCH]
            await self._interpreter.take(Intake(source=self._name, observations=some, learning=learning, unseen_is_new=not learning))

    def _told(self, record_type: str, reason: str) -> None:
        self._doubts.note(DoubtKind.WALK, f"{self._name}/{record_type}", reason, self._now())
        _log.warning("a walk failed", extra={"source": self._name, "record": record_type, "reason": reason})


def _mark(id: str) -> int:
    """Return what stands for an id in memory: 64 bits. Among a million ids, two share them once in 37 million times."""
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "big")


def _gone(record_type: str, id: str, now: datetime) -> Observation:
    """When it was deleted, nobody knows: some time since the walk before."""
    return Observation(record_type=record_type, record_id=id, fields={}, deleted=True, occurred_at=now)
