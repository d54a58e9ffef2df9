"""What comes in: the inbox, positions, snapshots, the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from crmbridge.db import repeated
from crmbridge.model import ChangeEvent, LastBody, RecordRef, Repeat, dump_json, from_us, load_fields, to_us
from crmbridge.store.interface import (
    MAX_BATCH,
    Batch,
    Conflict,
    Gone,
    InboxRow,
    Journalled,
    Known,
    Snapshot,
    SourcePosition,
)
from crmbridge.store.sqlite import rows
from crmbridge.store.sqlite.rows import Q, insert, ref
from crmbridge.store.underway import MOST


class Intake(rows.Base):
    """The part of the store that intake writes."""

    async def accept(self, source: str, headers: Mapping[str, str], query: str, body: bytes, now: datetime) -> InboxRow:
        values = (source, to_us(now), dump_json(dict(headers)), query, body)
        row_id = await self.database.write_together(_accept, values)
        return InboxRow(row_id, source, now, headers, query, body)

    async def waiting(self, source: str, after: int, limit: int) -> list[InboxRow]:
        found = await self.database.read(lambda db: db.execute(Q["inbox_waiting"], (source, after, limit)).fetchall())
        return [rows.inbox_row(row) for row in found]

    async def position(self, source: str) -> SourcePosition:
        row = await self.database.read(lambda db: db.execute(Q["source_get"], (source,)).fetchone())
        return rows.position(row) if row else SourcePosition()

    async def known(self, records: Sequence[RecordRef], source: str = "", observations: Sequence[str] = (), bodies: bool = False) -> Known:
        wanted, ids = dump_json([ref(record) for record in records]), dump_json(observations)

        def query(db: sqlite3.Connection) -> Known:
            snapshots = {
                RecordRef(*r[:3]): Snapshot(r[3], r[4], bool(r[5]), load_fields(r[6])) for r in db.execute(Q["snapshots_get"], (wanted,))
            }
            seen = {id: from_us(at) for id, at in db.execute(Q["observations_known"], (source, ids))} if observations else {}
            told = db.execute(Q["bodies_known"], (wanted,)) if bodies else ()
            return Known(snapshots, seen, {RecordRef(*r[:3]): LastBody(r[3], r[4], from_us(r[5])) for r in told})

        return await self.database.read(query)

    async def ids_of(self, source: str, record_type: str, after: str, limit: int) -> list[str]:
        found = await self.database.read(lambda db: db.execute(Q["snapshots_ids"], (source, record_type, after, limit)).fetchall())
        return [row[0] for row in found]

    async def walked(self, source: str) -> set[tuple[str, bool]]:
        found = await self.database.read(lambda db: db.execute(Q["walks_known"], (source,)).fetchall())
        return {(record_type, bool(compared)) for record_type, compared in found}

    async def walk_ended(self, source: str, record_type: str, *, compared: bool, now: datetime) -> None:
        values = (source, record_type, int(compared), to_us(now))
        await self.database.write(lambda db: db.execute(Q["walks_ended"], values))

    async def record(self, batch: Batch, now: datetime) -> int:
        if len(batch.entries) > MAX_BATCH:
            raise ValueError(f"a batch holds at most {MAX_BATCH} entries, not {len(batch.entries)}")
        # Everything that can be computed outside the transaction is: the writer thread serves everyone.
        moment = to_us(now)
        dump = rows.Dumps()
        snapshots = [rows.snapshot_row(entry.record, entry.snapshot, dump) for entry in batch.entries if entry.snapshot]
        assumed = dump_json([(*ref(entry.record), entry.assumed) for entry in batch.entries if entry.snapshot])
        events = [rows.event_row(entry.event, entry.stale, moment, dump) for entry in batch.entries if entry.event and entry.fresh]
        deliveries = [rows.delivery_row(entry, new, moment) for entry in batch.entries for new in entry.deliveries]
        seen = [entry.observation_id for entry in batch.entries if entry.observation_id]
        told = [(*ref(record), one.digest, one.item, to_us(one.received_at)) for record, one in batch.bodies.items() if one]
        untold = [ref(record) for record, one in batch.bodies.items() if one is None]
        again = [rows.repeat_row(one) for one in batch.repeats]

        def unit(db: sqlite3.Connection) -> int:
            if batch.needed and db.execute(Q["inbox_there"], (dump_json(batch.needed),)).fetchone()[0] < len(batch.needed):
                raise Gone
            if snapshots:
                if db.execute(Q["snapshots_conflict"], (assumed,)).fetchone():
                    raise Conflict
                insert(db, "snapshots_put", snapshots)
            insert(db, "events_insert", events)
            added = insert(db, "deliveries_insert", deliveries)
            if seen:
                db.execute(Q["observations_insert"], (batch.source, moment, dump_json(seen)))
            if told:
                db.execute(Q["bodies_put"], (dump_json(told),))
            if untold:
                db.execute(Q["bodies_drop"], (dump_json(untold),))
            if again:
                db.execute(Q["repeats_put"], (dump_json(again),))
            if batch.closed:  # before what is put aside: one that was tried again in vain gets a row of its own
                db.execute(Q["inbox_close"], (dump_json(batch.closed),))
            for one in batch.aside:
                known = dump_json({"revision": one.revision})
                db.execute(Q["inbox_aside"], (batch.source, moment, known, one.seen, one.reason, one.record.inner))
            if batch.mended:
                db.execute(Q["inbox_mended"], (batch.source, dump_json([one.inner for one in batch.mended])))
            for id, failure in batch.failed.items():
                db.execute(Q["inbox_fail"], (failure, id))
            if batch.position:
                at = batch.position
                polled = to_us(at.polled_at) if at.polled_at else None
                db.execute(Q["source_move"], (batch.source, at.cursor, int(at.baselined), polled))
            return added

        return await self.database.write(unit)

    # --- requests that nobody could interpret

    async def failed_requests(self, limit: int = 100, after: int = 0) -> list[tuple[InboxRow, str]]:
        found = await self.database.read(lambda db: db.execute(Q["inbox_failed"], (after, limit)).fetchall())
        return [
            (InboxRow(row["id"], row["source"], from_us(row["received_at"]), {}, "", b"", row["record"]), row["failure"]) for row in found
        ]

    async def failed_request(self, id: int) -> tuple[InboxRow, str] | None:
        row = await self.database.read(lambda db: db.execute(Q["inbox_get"], (id,)).fetchone())
        return (rows.inbox_row(row), row["failure"]) if row else None

    async def retry_request(self, id: int) -> bool:
        return await self.database.write(lambda db: db.execute(Q["inbox_retry"], (id,)).rowcount > 0)

    async def drop_request(self, id: int) -> bool:
        return await self.database.write(lambda db: db.execute(Q["inbox_drop"], (id,)).rowcount > 0)

    # --- what ended the process before

    async def crashed(self, requests: Sequence[int], records: Sequence[RecordRef], deliveries: Sequence[int], now: datetime) -> None:
        def unit(db: sqlite3.Connection) -> None:
            why = f"crmbridge ended {MOST} times while it was worked on"
            db.execute(Q["inbox_crashed"], {"ids": dump_json(requests), "most": MOST, "why": why})
            db.execute(Q["deliveries_crashed"], {"ids": dump_json(deliveries), "most": MOST, "why": why})
            for one in records:
                db.execute(Q["suspects_put"], (*ref(one), to_us(now)))

        await self.database.write(unit)

    async def suspects(self) -> dict[RecordRef, int]:
        found = await self.database.read(lambda db: db.execute(Q["suspects_all"]).fetchall())
        return {RecordRef(*row[:3]): row[3] for row in found}

    async def acquit(self, record: RecordRef) -> None:
        await self.database.write(lambda db: db.execute(Q["suspects_drop"], ref(record)))

    async def put_aside(self) -> dict[tuple[str, str], bytes]:
        return await self.database.read(lambda db: {(source, record): body for source, record, body in db.execute(Q["inbox_records"])})

    # --- the journal

    async def event(self, id: str) -> ChangeEvent | None:
        row = await self.database.read(lambda db: db.execute(Q["event_get"], (id,)).fetchone())
        return rows.event(row) if row and row["kind"] != rows.STALE else None

    async def events_after(self, seq: int, limit: int) -> list[Journalled]:
        return await self._journal("events_after", seq, limit)

    async def events_since(self, since: datetime, limit: int) -> list[Journalled]:
        return await self._journal("events_since", to_us(since), limit)

    async def events_of(self, record: RecordRef, limit: int) -> list[Journalled]:
        return await self._journal("events_of", *ref(record), limit)

    async def _journal(self, name: str, *values: Any) -> list[Journalled]:
        return [rows.journalled(row) for row in await self.database.read(lambda db: db.execute(Q[name], values).fetchall())]

    async def last_event(self) -> int:
        return await self.database.read(lambda db: int(db.execute(Q["events_last"]).fetchone()[0]))

    async def repeats_of(self, id: str, limit: int) -> list[Repeat]:
        return [rows.repeat(row) for row in await self.database.read(lambda db: db.execute(Q["repeats_of"], (id, limit)).fetchall())]

    async def records_named(self, id: str, limit: int) -> list[RecordRef]:
        found = await self.database.read(lambda db: db.execute(Q["records_named"], (id, limit)).fetchall())
        return [RecordRef(*row) for row in found]

    async def snapshots_with(self, words: str, after: RecordRef | None, limit: int) -> tuple[dict[RecordRef, Snapshot], RecordRef | None]:
        start = (after.source, after.type, after.id) if after else ("", "", "")
        written = dump_json(words)[1:-1]

        def query(db: sqlite3.Connection) -> tuple[dict[RecordRef, Snapshot], RecordRef | None]:
            page = db.execute(Q["snapshots_after"], (*start, limit)).fetchall()
            with_it = {RecordRef(*r[:3]): Snapshot(r[3], r[4], bool(r[5]), load_fields(r[6])) for r in page if written in r[6].casefold()}
            return with_it, RecordRef(*page[-1][:3]) if len(page) == limit else None

        return await self.database.read(query)


def _accept(db: sqlite3.Connection, found: Sequence[tuple[Any, ...]]) -> Sequence[int]:
    """Inbox rows; returns their ids. One statement numbers its rows one behind the other."""
    last = db.execute(repeated(Q["inbox_insert"], len(found)), list(chain.from_iterable(found))).lastrowid or 0
    return range(last - len(found) + 1, last + 1)
