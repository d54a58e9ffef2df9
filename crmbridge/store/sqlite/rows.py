"""Rows of the database to and from crmbridge's nouns."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

from crmbridge.db import Database
from crmbridge.model import (
    ChangeEvent,
    ChangeKind,
    Channel,
    Cursor,
    Delivery,
    Fields,
    Message,
    Receipt,
    RecordRef,
    Repeat,
    Same,
    State,
    Why,
    dump_fields,
    dump_json,
    dump_message,
    from_us,
    load_fields,
    load_json,
    load_message,
    to_us,
)
from crmbridge.schema import Schema, repeated, statements
from crmbridge.store.terms import Entry, InboxRow, Journalled, NewDelivery, Selection, Settlement, Snapshot, SourcePosition, Wait

_HERE: Final = Path(__file__).parent
SCHEMA: Final = Schema("crmbridge store", 0x63726D62, _HERE.with_name("migrations"))  # "crmb"
Q: Final = statements(_HERE.with_name("queries.sql"))
STALE: Final = "stale"
WHOLE: Final = "*"
"""`waits.channel`: a whole destination, until an instant."""
HALT: Final = "!"
"""`waits.channel`: a whole destination, until a person acts."""
_PARAMETERS: Final = 30_000  # of one statement; SQLite takes 32,766


class Base:
    """What every part of the store works on."""

    database: Database


def insert(db: sqlite3.Connection, name: str, rows: Sequence[Sequence[Any]]) -> int:
    """Insert all rows with as few statements as their parameters allow; returns how many were new."""
    most = _PARAMETERS // len(rows[0]) if rows else 1
    parts = [rows[start : start + most] for start in range(0, len(rows), most)]
    return sum(db.execute(repeated(Q[name], len(part)), list(chain.from_iterable(part))).rowcount for part in parts)


def ref(record: RecordRef) -> tuple[str, str, str]:
    return record.source, record.type, record.id


# --- intake


def inbox_row(row: sqlite3.Row) -> InboxRow:
    headers = load_json(row["headers"])
    aside = row["record"] is not None  # then they are no headers, but what was known of the record
    return InboxRow(
        id=row["id"],
        source=row["source"],
        received_at=from_us(row["received_at"]),
        headers={} if aside else headers,
        query=row["query"],
        body=row["body"],
        record=row["record"],
        crashes=row["crashes"],
        revision=int(headers.get("revision", 0)) if aside else 0,
    )


def position(row: sqlite3.Row) -> SourcePosition:
    cursor = Cursor(row["cursor"]) if row["cursor"] is not None else None
    return SourcePosition(cursor, bool(row["baselined"]), from_us(row["polled_at"]) if row["polled_at"] is not None else None)


class Dumps:
    """`dump_fields`, once for each mapping: an event and the snapshot it leaves hold the same one."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Fields, str]] = {}  # holds the mapping too, so that no other takes its identity

    def __call__(self, fields: Fields) -> str:
        if (known := self._known.get(id(fields))) is None:
            known = self._known[id(fields)] = (fields, dump_fields(fields))
        return known[1]


def snapshot_row(record: RecordRef, snapshot: Snapshot, dump: Dumps) -> tuple[Any, ...]:
    return (*ref(record), snapshot.revision, snapshot.version, int(snapshot.deleted), dump(snapshot.fields))


def repeat_row(one: Repeat) -> tuple[Any, ...]:
    record = one.record
    return (record.id, record.source, record.type, one.same.value, one.name, to_us(one.first_at), to_us(one.last_at), one.count)


def repeat(row: sqlite3.Row) -> Repeat:
    return Repeat(RecordRef(*row[:3]), Same(row["same"]), row["name"], from_us(row["first_at"]), from_us(row["last_at"]), row["count"])


def event_row(event: ChangeEvent, stale: bool, moment: int, dump: Dumps) -> tuple[Any, ...]:
    return (
        event.id,
        event.source,
        event.record_type,
        event.record_id,
        event.revision,
        STALE if stale else event.kind.value,
        to_us(event.occurred_at),
        moment,
        event.actor,
        event.url,
        dump(event.fields),
        dump(event.before),
    )


def event(row: sqlite3.Row) -> ChangeEvent:
    return ChangeEvent(
        id=row["id"],
        source=row["source"],
        record_type=row["record_type"],
        record_id=row["record_id"],
        revision=row["revision"],
        kind=ChangeKind.UPDATED if row["kind"] == STALE else ChangeKind(row["kind"]),
        occurred_at=from_us(row["occurred_at"]),
        fields=load_fields(row["fields"]),
        before=load_fields(row["before"]),
        actor=row["actor"],
        url=row["url"],
    )


def journalled(row: sqlite3.Row) -> Journalled:
    return Journalled(row["seq"], event(row), row["kind"] == STALE, from_us(row["recorded_at"]))


# --- deliveries


def channel_of(message: Message) -> str:
    return message.channel.key if message.channel else ""


def delivery_row(entry: Entry, new: NewDelivery, moment: int) -> tuple[Any, ...]:
    message, error = new.message, new.error
    try:
        dumped = dump_message(message)
    except Exception as odd:  # a layout that is not JSON: it costs this message, and nothing that is recorded with it
        message = replace(message, text=(), link=None, blocks=None, media=None, subject=None, extra={})
        dumped, error = dump_message(message), f"it cannot be written: {type(odd).__name__}: {odd}"[:300]
    state = State.DEAD if error else new.state
    return (
        new.key,
        entry.event.id if entry.event else "",
        new.generation,
        message.destination,
        channel_of(message),
        str(message.record),
        message.rule,
        message.step,
        message.thread,
        dumped,
        state,
        Why.UNRENDERABLE if error else new.reason,
        moment,
        error,
        moment,
        to_us(message.expires_at) if message.expires_at else None,
        moment if state is State.HELD else None,
        moment if state is State.UNSAID else None,
    )


def settled_row(one: Settlement, moment: int) -> tuple[Any, ...]:
    ended = one.state in (State.DELIVERED, State.UNSAID)
    due = to_us(one.due) if one.due else moment
    doubt, look = (to_us(at) if at else None for at in (one.doubt_from, one.look_at))
    return (one.delivery.id, one.state, one.reason, due, one.error, int(not one.counted), moment if ended else None, doubt, look)


def attempt_row(one: Settlement, moment: int) -> tuple[Any, ...]:
    return (one.delivery.id, one.delivery.attempts, moment, one.outcome, one.error)


def leased(row: Mapping[str, Any], *, tried: bool = True) -> Delivery:
    """Read a row of the query `lanes`: as it is after the lease, or as it died if it was not `tried`."""
    return Delivery(
        id=row["id"],
        key=row["key"],
        event_id=row["event_id"],
        message=load_message(row["message"]),
        state=State.SENDING if tried else State.DEAD,
        due=from_us(row["due"]),
        reason=row["reason"],
        attempts=row["attempts"] + tried,
        last_error=row["last_error"],
        parent=Receipt(**row["parent"]) if row["parent"] else None,
        generation=row["generation"],
        accepted_at=from_us(row["accepted_at"]),
        expires_at=from_us(row["expires_at"]) if row["expires_at"] is not None else None,
        crashes=row["crashes"],
    )


def delivery(db: sqlite3.Connection, row: sqlite3.Row) -> Delivery:
    own = db.execute(Q["receipt_get"], (row["key"],)).fetchone() if row["state"] == State.DELIVERED else None
    return Delivery(
        id=row["id"],
        key=row["key"],
        event_id=row["event_id"],
        message=_message(row),
        state=State(row["state"]),
        due=from_us(row["due"]),
        reason=row["reason"],
        attempts=row["attempts"],
        last_error=row["last_error"],
        receipt=receipt(own) if own else None,
        parent=_parent_if_any(db, row),
        generation=row["generation"],
        accepted_at=from_us(row["accepted_at"]),
        expires_at=from_us(row["expires_at"]) if row["expires_at"] is not None else None,
        crashes=row["crashes"],
    )


def _message(row: sqlite3.Row) -> Message:
    """Read a row's message. One that cannot be read is a message without words, so that people see its row and all others."""
    try:
        return load_message(row["message"])
    except Exception:
        source, kind, name = [*str(row["record"]).split("/", 2), "", ""][:3]
        channel = Channel(row["channel"]) if row["channel"] else None
        return Message(
            destination=row["destination"],
            channel=channel,
            rule=row["rule"],
            step=row["step"],
            text=(),
            record=RecordRef(source, kind, name),
            occurred_at=from_us(row["accepted_at"]),
        )


def _parent_if_any(db: sqlite3.Connection, row: sqlite3.Row) -> Receipt | None:
    try:
        return _parent(db, row)
    except (ValueError, TypeError):  # what it was frozen as cannot be read
        return None


def _parent(db: sqlite3.Connection, row: sqlite3.Row) -> Receipt | None:
    """Find what a delivery replies to: as frozen at its first attempt, before that the first message of its thread."""
    if row["parent"] is not None:
        frozen = load_json(row["parent"])
        return Receipt(**frozen) if frozen else None
    if row["thread"] is None:
        return None
    first = db.execute(Q["receipt_first_of_thread"], (row["destination"], row["channel"], row["thread"])).fetchone()
    return receipt(first) if first else None


def receipt(row: sqlite3.Row) -> Receipt:
    return Receipt(remote_id=row["remote_id"], url=row["url"], extra=load_json(row["extra"]))


def receipt_row(one: Delivery, proof: Receipt, moment: int) -> tuple[Any, ...]:
    message = one.message
    extra = dump_json(dict(proof.extra))
    return (one.key, message.destination, channel_of(message), message.thread, proof.remote_id, proof.url, extra, moment)


def lanes(db: sqlite3.Connection, destination: str, after: str, skip: str, limit: int) -> Iterator[list[dict[str, Any]]]:
    """Yield what waits in each of a destination's lanes, earliest first: from the lane behind `after` round to itself."""
    start = f"{after}\0" if after else ""  # the least name greater than `after`; names hold no NUL
    for low, high in ((start, None), ("", start)) if start else (("", None),):
        values = {"destination": destination, "start": low, "stop": high, "skip": skip, "limit": limit}
        for _, heads in db.execute(Q["lanes"], values):
            yield load_json(heads)


# --- waits and selections


def wait_row(wait: Wait) -> dict[str, Any]:
    return {
        "destination": wait.destination,
        "channel": HALT if wait.until is None else WHOLE if wait.channel is None else wait.channel,
        "until": to_us(wait.until) if wait.until else None,
        "reason": wait.reason,
        "since": to_us(wait.since),
    }


def wait(row: sqlite3.Row) -> Wait:
    return Wait(
        destination=row["destination"],
        channel=None if row["channel"] in (WHOLE, HALT) else row["channel"],
        until=from_us(row["until"]) if row["until"] is not None else None,
        reason=row["reason"],
        since=from_us(row["since"]),
    )


def selection_values(selection: Selection) -> dict[str, Any]:
    return {
        "ids": dump_json(selection.ids) if selection.ids else None,
        "destination": selection.destination,
        "channel": selection.channel,
        "rule": selection.rule,
        "record": selection.record,
        "reason": selection.reason,
        "since": to_us(selection.since) if selection.since else None,
        "until": to_us(selection.until) if selection.until else None,
    }
