"""Asking the CRM itself, beside the polls: what was there before us, and what we may have missed. The live cursor stays where it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from crmbridge.contract import Caller, Rewindable
from crmbridge.errors import SourceError
from crmbridge.model import ChangeEvent, Cursor, Kind, Observation, Page, RecordRef, digest, dump_fields
from crmbridge.store.interface import Batch, Entry, Snapshot, SourcePosition
from crmbridge.web import scope as scopes
from crmbridge.web import shapes
from crmbridge.web.orders import Orders, example
from crmbridge.web.scope import Refused

_BITE: Final = 500  # records read in one answer, or one page if that is more
_PAGE: Final = 200  # records recorded at once
_UNDER_WAY: Final = timedelta(minutes=5)  # a change this young may still be on its way to us


class Asking(Orders):
    """Reads sources on demand."""

    async def backfill(
        self, source: str, since: str, until: str | None = None, cursor: str | None = None, dry_run: bool = False
    ) -> dict[str, Any]:
        """Say what the rules say of records that changed in a time, each as if it had just been made as it is now.

        What was said of the same state already is not said again; another backfill of the same time says nothing new.
        One answer covers some hundreds of records; `next` is where to go on, None at the end.
        """
        now = self._now()
        begin, end = scopes.instant(since, now), scopes.instant(until, now) if until else now
        seen = messages = 0
        examples: list[dict[str, str]] = []
        async with self._opened(source) as (call, asked):
            place: str | None = cursor or await call(asked.since, begin)
            while place is not None and seen < _BITE:
                page: Page = await call(asked.poll, Cursor(place))
                meant = [one for one in page.observations if begin <= one.occurred_at < end and not (one.deleted or one.merged_into)]
                seen += len(meant)
                for start in range(0, len(meant), _PAGE):
                    entries = await self._backfilled(source, meant[start : start + _PAGE])
                    known = await self._store.known_keys([new.key for entry in entries for new in entry.deliveries])
                    fresh = [new for entry in entries for new in entry.deliveries if new.key not in known]
                    messages += len(fresh)
                    examples += [example(new) for new in fresh[: 20 - len(examples)]]
                    if entries and not dry_run:
                        await self._store.record(Batch(source=source, entries=entries), now)
                place = page.cursor if page.has_more else None
        if messages and not dry_run:
            self._changed()
        return {
            "records": seen,
            "messages": messages,
            "examples": examples,
            "dry_run": dry_run,
            "next": place,
            "since": begin.isoformat(),
            "until": end.isoformat(),
        }

    async def _backfilled(self, source: str, observations: Sequence[Observation]) -> list[Entry]:
        """What the rules say of each record that they say something of."""
        records = {RecordRef(source, one.record_type, one.record_id): one for one in observations}
        known = (await self._store.known(list(records))).snapshots
        entries = []
        for record, one in records.items():
            snapshot = known.get(record)
            fields = {**(snapshot.fields if snapshot else {}), **one.fields}
            last = await self._store.events_of(record, 1)
            told = bool(last) and not last[0].stale and last[0].event.fields == fields
            event = last[0].event if told else _event(record, replace(one, fields=fields), snapshot)
            if new := self._replayed(event, self._engine().run(event), 0):
                learnt = None if snapshot else Snapshot(0, one.version, False, fields)
                entries.append(Entry(record=record, snapshot=learnt, event=event, fresh=not told, deliveries=new))
        return entries

    async def audit(self, source: str, since: str, cursor: str | None = None) -> dict[str, Any]:
        """Ask the CRM what changed since an instant, and name what is not known here as it is there. Changes nothing.

        What changed within the last minutes may still be on its way, and is left out. `next` as in `backfill`.
        """
        now = self._now()
        begin = scopes.instant(since, now)
        seen, missing = 0, list[dict[str, Any]]()
        async with self._opened(source) as (call, asked):
            place: str | None = cursor or await call(asked.since, begin)
            while place is not None and seen < _BITE:
                page: Page = await call(asked.poll, Cursor(place))
                meant = [one for one in page.observations if begin <= one.occurred_at < now - _UNDER_WAY]
                seen += len(meant)
                missing += await self._unknown_here(source, meant)
                place = page.cursor if page.has_more else None
        return {"records": seen, "missing": missing, "next": place, "since": begin.isoformat()}

    async def _unknown_here(self, source: str, observations: Sequence[Observation]) -> list[dict[str, Any]]:
        records = [RecordRef(source, one.record_type, one.record_id) for one in observations]
        known = (await self._store.known(records)).snapshots
        found = []
        for record, one in zip(records, observations, strict=True):
            snapshot, gone = known.get(record), one.deleted or one.merged_into is not None
            if snapshot is None:
                why = "" if gone else "never seen"
            elif gone:
                why = "" if snapshot.deleted else "its deletion was not seen"
            else:
                others = [name for name, value in one.fields.items() if snapshot.fields.get(name) != value]
                why = f"not seen since it changed: {', '.join(others)}" if others else ""
            if why:
                found.append({"record": str(record), "changed_at": one.occurred_at.isoformat(), "why": why, "url": one.url})
        return found

    # --- where a source is read on

    async def state_show(self, source: str) -> dict[str, Any]:
        """How far a source has been read."""
        position = await self._store.position(source)
        return {
            "source": source,
            "cursor": position.cursor,
            "baselined": position.baselined,
            "polled_at": shapes.moment(position.polled_at),
        }

    async def state_set(self, source: str, since: str | None = None, cursor: str | None = None) -> dict[str, Any]:
        """Read a source on from an instant, or a cursor that `state show` once gave. What is read again and did not change says nothing."""
        if (since is None) == (cursor is None):
            raise Refused("say from where: --since or --cursor")
        if since is not None:
            async with self._opened(source) as (call, asked):
                cursor = await call(asked.since, scopes.instant(since, self._now()))
        assert cursor is not None
        before = await self._store.position(source)
        position = SourcePosition(Cursor(cursor), before.baselined, before.polled_at)
        if self._moved is not None:
            await self._moved(source, position)
        else:
            await self._store.record(Batch(source=source, entries=(), position=position), self._now())
        return {"source": source, "cursor": cursor, "before": before.cursor}

    @asynccontextmanager
    async def _opened(self, name: str) -> AsyncIterator[tuple[Caller, Any]]:
        """A source of our own beside the polled one, and how to call it."""
        if self._source is None:
            raise Refused("sources cannot be asked here")
        asked = self._source(name)
        close = asked.close if hasattr(asked, "close") else None
        if close is None or not isinstance(asked, Rewindable):
            raise Refused(f"{name} cannot be read from an instant on: its CRM calls us")
        call = Caller(f"asking {name}", 1)
        try:
            yield call, asked
        except SourceError as error:
            raise Refused(f"{name} cannot be read: {error}") from None
        finally:
            await call(close)
            call.close()


def _event(record: RecordRef, one: Observation, known: Snapshot | None) -> ChangeEvent:
    """A record as if it had just been made, under a name that the same state always has."""
    return ChangeEvent(
        id=digest("backfill", str(record), dump_fields(one.fields)),
        source=record.source,
        record_type=record.type,
        record_id=record.id,
        revision=known.revision if known else 0,
        kind=Kind.CREATED,
        occurred_at=one.occurred_at,
        fields=one.fields,
        before={},
        actor=one.actor,
        url=one.url,
    )
