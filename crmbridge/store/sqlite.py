"""The store on SQLite. One function, one transaction; the SQL stands in queries.sql."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final

from crmbridge.db import Database, Schema, repeated, statements
from crmbridge.model import (
    ChangeEvent,
    Cursor,
    Delivery,
    Fields,
    Kind,
    Message,
    Receipt,
    RecordRef,
    State,
    dump_fields,
    dump_json,
    dump_message,
    from_us,
    load_fields,
    load_json,
    load_message,
    to_us,
)
from crmbridge.store.interface import (
    MAX_BATCH,
    Attempt,
    Batch,
    Conflict,
    Entry,
    InboxRow,
    Known,
    Lease,
    NewDelivery,
    Published,
    Retention,
    Settlement,
    Snapshot,
    SourcePosition,
    Wait,
)

_HERE: Final = Path(__file__).parent
SCHEMA: Final = Schema("crmbridge store", 0x63726D62, _HERE / "migrations")  # "crmb"
Q: Final = statements(_HERE / "queries.sql")
_WHOLE, _PAUSE = "*", "!"  # `waits` channels: a whole destination until an instant; until a person acts
_STALE: Final = "stale"
_PARAMETERS: Final = 30_000  # of one statement; SQLite takes 32,766


class SqliteStore:
    """Implements `crmbridge.store.interface.Store`."""

    def __init__(self, path: Path, *, synchronous: str = "FULL") -> None:
        self.database = Database(path, SCHEMA, synchronous=synchronous)

    def close(self) -> None:
        self.database.close()

    # --- intake

    async def accept(self, source: str, headers: Mapping[str, str], query: str, body: bytes, now: datetime) -> InboxRow:
        values = (source, to_us(now), dump_json(dict(headers)), query, body)
        row_id = await self.database.write_together(_accept, values)
        return InboxRow(row_id, source, now, headers, query, body)

    async def waiting(self, after: int, limit: int) -> list[InboxRow]:
        rows = await self.database.read(lambda db: db.execute(Q["inbox_waiting"], (after, limit)).fetchall())
        return [InboxRow(r["id"], r["source"], from_us(r["received_at"]), load_json(r["headers"]), r["query"], r["body"]) for r in rows]

    async def position(self, source: str) -> SourcePosition:
        row = await self.database.read(lambda db: db.execute(Q["source_get"], (source,)).fetchone())
        return _position(row) if row else SourcePosition()

    async def known(self, records: Sequence[RecordRef], source: str = "", observations: Sequence[str] = ()) -> Known:
        wanted, ids = dump_json([_ref(record) for record in records]), dump_json(observations)

        def query(db: sqlite3.Connection) -> Known:
            snapshots = {
                RecordRef(*r[:3]): Snapshot(r[3], r[4], bool(r[5]), load_fields(r[6])) for r in db.execute(Q["snapshots_get"], (wanted,))
            }
            seen = {row[0] for row in db.execute(Q["observations_known"], (source, ids))} if observations else set()
            return Known(snapshots, seen)

        return await self.database.read(query)

    async def record(self, batch: Batch, now: datetime) -> int:
        if len(batch.entries) > MAX_BATCH:
            raise ValueError(f"a batch holds at most {MAX_BATCH} entries, not {len(batch.entries)}")
        # Everything that can be computed outside the transaction is: the writer thread serves everyone.
        moment = to_us(now)
        dump = _Dumps()
        snapshots = [_snapshot_row(entry.record, entry.snapshot, dump) for entry in batch.entries if entry.snapshot]
        assumed = dump_json([(*_ref(entry.record), entry.assumed) for entry in batch.entries if entry.snapshot])
        events = [_event_row(entry.event, entry.stale, moment, dump) for entry in batch.entries if entry.event]
        deliveries = [_delivery_row(entry, new, moment) for entry in batch.entries for new in entry.deliveries]
        seen = [entry.observation_id for entry in batch.entries if entry.observation_id]

        def unit(db: sqlite3.Connection) -> int:
            if snapshots:
                if db.execute(Q["snapshots_conflict"], (assumed,)).fetchone():
                    raise Conflict
                _insert(db, "snapshots_put", snapshots)
            _insert(db, "events_insert", events)
            added = _insert(db, "deliveries_insert", deliveries)
            if seen:
                db.execute(Q["observations_insert"], (batch.source, moment, dump_json(seen)))
            if batch.closed:
                db.execute(Q["inbox_close"], (dump_json(batch.closed),))
            for id, failure in batch.failed.items():
                db.execute(Q["inbox_fail"], (failure, id))
            if batch.position:
                at = batch.position
                polled = to_us(at.polled_at) if at.polled_at else None
                db.execute(Q["source_move"], (batch.source, at.cursor, int(at.baselined), polled))
            return added

        return await self.database.write(unit)

    # --- publisher

    async def lease(self, destination: str, *, now: datetime, limit: int, per_lane: int, skip: Sequence[str], after: str = "") -> Lease:
        moment, skipped = to_us(now), dump_json(skip)

        def unit(db: sqlite3.Connection) -> tuple[list[dict[str, Any]], int | None]:
            taken: list[dict[str, Any]] = []
            next_due: int | None = None
            for heads in _lanes(db, destination, after, skipped, min(per_lane, limit) + 1):
                wanted = min(per_lane, limit - len(taken))
                due = [row for row in heads if row["due"] <= moment]
                taken += due[:wanted]
                if len(due) > wanted or len(taken) >= limit:
                    next_due = moment
                elif len(due) < len(heads):
                    later: int = heads[len(due)]["due"]
                    next_due = later if next_due is None else min(next_due, later)
                if len(taken) >= limit:
                    break
            by_parent: dict[str, list[int]] = {}
            for row in taken:
                by_parent.setdefault(dump_json(row["parent"]), []).append(row["id"])
            for parent, ids in by_parent.items():
                db.execute(Q["deliveries_lease"], (parent, dump_json(ids)))
            return taken, next_due

        rows, next_due = await self.database.write(unit)
        return Lease([_leased(row) for row in rows], from_us(next_due) if next_due is not None else None)

    async def settle(self, settlements: Sequence[Settlement], waits: Sequence[Wait], now: datetime) -> None:
        await self.database.write_together(_settle, (settlements, waits, to_us(now)))

    async def interrupted(self) -> list[Delivery]:
        return await self.database.read(lambda db: [_delivery(db, row) for row in db.execute(Q["interrupted"])])

    async def waits(self) -> list[Wait]:
        rows = await self.database.read(lambda db: db.execute(Q["waits_all"]).fetchall())
        return [
            Wait(
                destination=r["destination"],
                channel=None if r["channel"] in (_WHOLE, _PAUSE) else r["channel"],
                until=from_us(r["until"]) if r["until"] is not None else None,
                reason=r["reason"],
                since=from_us(r["since"]),
            )
            for r in rows
        ]

    async def end_pause(self, destination: str) -> bool:
        return await self.database.write(lambda db: db.execute(Q["pause_end"], (destination,)).rowcount > 0)

    # --- people

    async def deliveries(
        self, state: State, *, destination: str | None = None, rule: str | None = None, limit: int = 100, oldest: bool = False
    ) -> list[Delivery]:
        values = {"state": state, "destination": destination, "rule": rule, "limit": limit}
        name = "deliveries_oldest" if oldest else "deliveries_newest"
        return await self.database.read(lambda db: [_delivery(db, row) for row in db.execute(Q[name], values)])

    async def delivery(self, name: str) -> tuple[Delivery, list[Attempt]] | None:
        def query(db: sqlite3.Connection) -> tuple[Delivery, list[Attempt]] | None:
            number = int(name) if name.isascii() and name.isdigit() and len(name) < 18 else -1
            row = db.execute(Q["delivery_get"], {"id": number, "key": name}).fetchone()
            if row is None:
                return None
            attempts = db.execute(Q["attempts_of"], (row["id"],))
            return _delivery(db, row), [Attempt(a["number"], from_us(a["ended_at"]), a["outcome"], a["error"]) for a in attempts]

        return await self.database.read(query)

    async def requeue(self, delivery: Delivery, message: Message, now: datetime, reason: str = "") -> bool:
        values = {
            "id": delivery.id,
            "due": to_us(now),
            "message": dump_message(message),
            "channel": _channel(message),
            "thread": message.thread,
            "reason": reason,
        }
        return await self.database.write(lambda db: db.execute(Q["delivery_requeue"], values).rowcount > 0)

    async def drop(self, delivery: Delivery, reason: str, now: datetime) -> bool:
        values = {"id": delivery.id, "reason": reason, "now": to_us(now)}
        return await self.database.write(lambda db: db.execute(Q["delivery_drop"], values).rowcount > 0)

    async def confirm(self, delivery: Delivery, receipt: Receipt, reason: str, now: datetime) -> bool:
        def unit(db: sqlite3.Connection) -> bool:
            if not db.execute(Q["delivery_publish"], {"id": delivery.id, "reason": reason, "now": to_us(now)}).rowcount:
                return False
            _insert(db, "receipts_insert", [_receipt_row(delivery, receipt, to_us(now))])
            return True

        return await self.database.write(unit)

    async def failed_requests(self, limit: int = 100) -> list[tuple[InboxRow, str]]:
        rows = await self.database.read(lambda db: db.execute(Q["inbox_failed"], (limit,)).fetchall())
        return [(InboxRow(r["id"], r["source"], from_us(r["received_at"]), {}, "", b""), r["failure"]) for r in rows]

    async def failed_request(self, id: int) -> tuple[InboxRow, str] | None:
        r = await self.database.read(lambda db: db.execute(Q["inbox_get"], (id,)).fetchone())
        if r is None:
            return None
        row = InboxRow(r["id"], r["source"], from_us(r["received_at"]), load_json(r["headers"]), r["query"], r["body"])
        return row, r["failure"]

    async def retry_request(self, id: int) -> bool:
        return await self.database.write(lambda db: db.execute(Q["inbox_retry"], (id,)).rowcount > 0)

    async def drop_request(self, id: int) -> bool:
        return await self.database.write(lambda db: db.execute(Q["inbox_drop"], (id,)).rowcount > 0)

    async def event(self, id: str) -> ChangeEvent | None:
        row = await self.database.read(lambda db: db.execute(Q["event_get"], (id,)).fetchone())
        return _event(row) if row and row["kind"] != _STALE else None

    async def events_after(self, seq: int, limit: int) -> list[tuple[int, ChangeEvent, bool]]:
        rows = await self.database.read(lambda db: db.execute(Q["events_after"], (seq, limit)).fetchall())
        return [(row["seq"], _event(row), row["kind"] == _STALE) for row in rows]

    async def last_event(self) -> int:
        return await self.database.read(lambda db: int(db.execute(Q["events_last"]).fetchone()[0]))

    async def published(self, limit: int = 100) -> list[Published]:
        rows = await self.database.read(
            lambda db: [(_delivery(db, row), row["settled_at"]) for row in db.execute(Q["published"], (limit,))]
        )
        return [Published(delivery, from_us(at)) for delivery, at in rows]

    async def overview(self) -> dict[str, Any]:
        def query(db: sqlite3.Connection) -> dict[str, Any]:
            return {
                "deliveries": [tuple(row) for row in db.execute(Q["counts"])],
                "oldest": {name: from_us(at) for name, at in db.execute(Q["oldest_queued"])},
                "inbox": [(source, bool(failed), count) for source, failed, count in db.execute(Q["inbox_counts"])],
                "sources": {row["name"]: _position(row) for row in db.execute(Q["source_all"])},
            }

        return await self.database.read(query)

    # --- upkeep

    async def purge(self, retention: Retention, now: datetime, limit: int = 500) -> int:
        old = {
            "purge_events": to_us(now - retention.journal),
            "purge_deliveries": to_us(now - retention.delivered),
            "purge_observations": to_us(now - retention.observations),
        }
        return await self.database.write(lambda db: sum(db.execute(Q[name], (before, limit)).rowcount for name, before in old.items()))

    async def probe(self) -> None:
        await self.database.write(lambda db: db.execute(Q["probe"]))


# --- units that many callers share ------------------------------------------------------------


def _accept(db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> Sequence[int]:
    """Inbox rows; returns their ids. One statement numbers its rows one behind the other."""
    last = db.execute(repeated(Q["inbox_insert"], len(rows)), list(chain.from_iterable(rows))).lastrowid or 0
    return range(last - len(rows) + 1, last + 1)


def _settle(db: sqlite3.Connection, calls: Sequence[tuple[Sequence[Settlement], Sequence[Wait], int]]) -> Sequence[None]:
    """How attempts ended, and the silence that they ask for."""
    ended = [(one, moment) for settlements, _, moment in calls for one in settlements]
    if ended:
        db.execute(Q["deliveries_settle"], (dump_json([_settled_row(one, moment) for one, moment in ended]),))
    _insert(db, "receipts_insert", [_receipt_row(one.delivery, one.receipt, moment) for one, moment in ended if one.receipt])
    _insert(db, "attempts_insert", [_attempt_row(one, moment) for one, moment in ended if not one.receipt])
    for _, waits, _ in calls:
        for wait in waits:
            db.execute(Q["wait_put"], _wait_row(wait))
    return [None] * len(calls)


def _insert(db: sqlite3.Connection, name: str, rows: Sequence[Sequence[Any]]) -> int:
    """Insert all rows with as few statements as their parameters allow; returns how many were new."""
    most = _PARAMETERS // len(rows[0]) if rows else 1
    parts = [rows[start : start + most] for start in range(0, len(rows), most)]
    return sum(db.execute(repeated(Q[name], len(part)), list(chain.from_iterable(part))).rowcount for part in parts)


# --- rows -----------------------------------------------------------------------------------


def _ref(record: RecordRef) -> tuple[str, str, str]:
    return record.source, record.type, record.id


def _lanes(db: sqlite3.Connection, destination: str, after: str, skip: str, limit: int) -> Iterator[list[dict[str, Any]]]:
    """What waits in each of a destination's lanes, earliest first: from the lane behind `after` to the last, then from the first."""
    start = _behind(after) if after else ""
    for low, high in ((start, None), ("", start)) if start else (("", None),):
        values = {"destination": destination, "start": low, "stop": high, "skip": skip, "limit": limit}
        for _, heads in db.execute(Q["lanes"], values):
            yield load_json(heads)


def _behind(channel: str) -> str:
    """The least name greater than `channel`; names hold no NUL."""
    return channel + "\0"


def _position(row: sqlite3.Row) -> SourcePosition:
    cursor = Cursor(row["cursor"]) if row["cursor"] is not None else None
    return SourcePosition(cursor, bool(row["baselined"]), from_us(row["polled_at"]) if row["polled_at"] is not None else None)


class _Dumps:
    """`dump_fields`, once for each mapping: an event and the snapshot it leaves hold the same one."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Fields, str]] = {}  # holds the mapping too, so that no other takes its identity

    def __call__(self, fields: Fields) -> str:
        if (known := self._known.get(id(fields))) is None:
            known = self._known[id(fields)] = (fields, dump_fields(fields))
        return known[1]


def _snapshot_row(record: RecordRef, snapshot: Snapshot, dump: _Dumps) -> tuple[Any, ...]:
    return (*_ref(record), snapshot.revision, snapshot.version, int(snapshot.deleted), dump(snapshot.fields))


def _event_row(event: ChangeEvent, stale: bool, moment: int, dump: _Dumps) -> tuple[Any, ...]:
    return (
        event.id,
        event.source,
        event.record_type,
        event.record_id,
        event.revision,
        _STALE if stale else event.kind.value,
        to_us(event.occurred_at),
        moment,
        event.actor,
        event.url,
        dump(event.fields),
        dump(event.before),
    )


def _event(row: sqlite3.Row) -> ChangeEvent:
    return ChangeEvent(
        id=row["id"],
        source=row["source"],
        record_type=row["record_type"],
        record_id=row["record_id"],
        revision=row["revision"],
        kind=Kind.UPDATED if row["kind"] == _STALE else Kind(row["kind"]),
        occurred_at=from_us(row["occurred_at"]),
        fields=load_fields(row["fields"]),
        before=load_fields(row["before"]),
        actor=row["actor"],
        url=row["url"],
    )


def _channel(message: Message) -> str:
    return message.channel.key if message.channel else ""


def _delivery_row(entry: Entry, new: NewDelivery, moment: int) -> tuple[Any, ...]:
    message = new.message
    return (
        new.key,
        entry.event.id if entry.event else "",
        message.destination,
        _channel(message),
        str(message.record),
        message.rule,
        message.step,
        message.thread,
        dump_message(message),
        State.DEAD if new.error else State.QUEUED,
        "unrenderable" if new.error else "",
        moment,
        new.error,
        moment,
    )


def _settled_row(one: Settlement, moment: int) -> tuple[Any, ...]:
    ended = one.state in (State.DELIVERED, State.SUPERSEDED)
    due = to_us(one.due) if one.due else moment
    return (one.delivery.id, one.state, one.reason, due, one.error, int(not one.counted), moment if ended else None)


def _attempt_row(one: Settlement, moment: int) -> tuple[Any, ...]:
    return (one.delivery.id, one.delivery.attempts, moment, one.outcome, one.error)


def _leased(row: Mapping[str, Any]) -> Delivery:
    """A row of the query `lanes`, as it is after the lease."""
    return Delivery(
        id=row["id"],
        key=row["key"],
        event_id=row["event_id"],
        message=load_message(row["message"]),
        state=State.SENDING,
        due=from_us(row["due"]),
        reason=row["reason"],
        attempts=row["attempts"] + 1,
        last_error=row["last_error"],
        parent=Receipt(**row["parent"]) if row["parent"] else None,
    )


def _delivery(db: sqlite3.Connection, row: sqlite3.Row) -> Delivery:
    own = db.execute(Q["receipt_get"], (row["key"],)).fetchone() if row["state"] == State.DELIVERED else None
    return Delivery(
        id=row["id"],
        key=row["key"],
        event_id=row["event_id"],
        message=load_message(row["message"]),
        state=State(row["state"]),
        due=from_us(row["due"]),
        reason=row["reason"],
        attempts=row["attempts"],
        last_error=row["last_error"],
        receipt=_receipt(own) if own else None,
        parent=_parent(db, row),
    )


def _parent(db: sqlite3.Connection, row: sqlite3.Row) -> Receipt | None:
    """What a delivery replies to: as frozen at its first attempt, before that the first message of its thread."""
    if row["parent"] is not None:
        frozen = load_json(row["parent"])
        return Receipt(**frozen) if frozen else None
    if row["thread"] is None:
        return None
    first = db.execute(Q["receipt_first_of_thread"], (row["destination"], row["channel"], row["thread"])).fetchone()
    return _receipt(first) if first else None


def _receipt(row: sqlite3.Row) -> Receipt:
    return Receipt(remote_id=row["remote_id"], url=row["url"], extra=load_json(row["extra"]))


def _receipt_row(delivery: Delivery, receipt: Receipt, moment: int) -> tuple[Any, ...]:
    message = delivery.message
    extra = dump_json(dict(receipt.extra))
    return (delivery.key, message.destination, _channel(message), message.thread, receipt.remote_id, receipt.url, extra, moment)


def _wait_row(wait: Wait) -> dict[str, Any]:
    return {
        "destination": wait.destination,
        "channel": _PAUSE if wait.until is None else _WHOLE if wait.channel is None else wait.channel,
        "until": to_us(wait.until) if wait.until else None,
        "reason": wait.reason,
        "since": to_us(wait.since),
    }
