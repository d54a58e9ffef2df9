"""One of each transaction of the store, in a fixed order, each followed by `ACK n`: what fault injection is applied to.

    store_driver.py DATABASE MIGRATIONS [SYNCHRONOUS]

It opens a database that is one migration behind, so that the first step is that migration with its backup. Everything in it
is fixed, instants too, so after step n the whole content has one digest, whoever ran it: `digests` gives them all. What a fault
leaves behind must be the content after the last acknowledged step, or after the one that was under way; nothing between.

A step that the store refuses is tried again while the store says it may recover; else `FAILED n` ends the run with 3.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from unittest import mock

from crmbridge import db
from crmbridge.errors import StoreError
from crmbridge.model import (
    ChangeEvent,
    ChangeKind,
    Channel,
    Cursor,
    LastBody,
    Literal,
    Message,
    Receipt,
    RecordRef,
    Repeat,
    Same,
    State,
    event_id,
)
from crmbridge.schema import Schema
from crmbridge.store import SqliteStore, sqlite
from crmbridge.store.terms import (
    Batch,
    Entry,
    NewDelivery,
    Pause,
    PauseKind,
    Retention,
    Selection,
    Settlement,
    Snapshot,
    SourcePosition,
    Wait,
)

NEXT = "CREATE TABLE later (n INTEGER) STRICT; INSERT INTO later VALUES (1); CREATE INDEX later_events ON events (record_id, revision);"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)
ROUNDS = 2
pause = 0.0  # seconds for which the driver is quiet now and then
TRIES = 4
Step = Callable[[SqliteStore], Awaitable[object]]


def migrations(folder: Path) -> Path:
    """The store's migrations and one more, in `folder`."""
    copied = Path(shutil.copytree(sqlite.SCHEMA.migrations, folder / "migrations"))
    (copied / "9000_next.sql").write_text(NEXT)
    return copied


def open_store(path: Path, folder: Path, synchronous: str = "FULL") -> SqliteStore:
    """The store with the migrations in `folder`."""
    schema = Schema(sqlite.SCHEMA.name, sqlite.SCHEMA.application_id, folder)
    with mock.patch.object(sqlite, "SCHEMA", schema):
        return SqliteStore(path, synchronous=synchronous)


def entries(number: int, count: int) -> list[Entry]:
    """Changes with a message to each of three lanes."""
    made = []
    for index in range(count):
        record = RecordRef("crm", "Deal", f"{number}-{index}")
        fields = {"Name": f"Parkers {number} " + "x" * 200}
        event = ChangeEvent(
            id=event_id(record, 1, fields),
            source="crm",
            record_type="Deal",
            record_id=record.id,
            revision=1,
            kind=ChangeKind.CREATED,
            occurred_at=NOW,
            fields=fields,
            before={},
        )
        messages = [
            Message(
                destination="out",
                channel=Channel(f"#{lane}", lane),
                rule="r",
                step=lane,
                text=(Literal(f"said {number} {index} {lane}"),),
                record=record,
                occurred_at=NOW,
                thread=record.id,
            )
            for lane in "abc"
        ]
        made.append(
            Entry(
                record=record,
                snapshot=Snapshot(1, "1", False, fields),
                event=event,
                deliveries=[NewDelivery(key=f"k-{number}-{index}-{one.step}", message=one) for one in messages],
                observation_id=f"o-{number}-{index}",
            )
        )
    return made


def steps() -> list[Step]:
    """Every transaction, ROUNDS times."""
    made: list[Step] = []
    for number in range(1, ROUNDS + 1):
        moment = NOW + timedelta(days=100 * number)

        async def accept(store: SqliteStore, number: int = number, moment: datetime = moment) -> None:
            await store.accept("crm", {"content-type": "application/json"}, "", b"%d" % number + b"y" * 300, moment)

        async def record(store: SqliteStore, number: int = number, moment: datetime = moment) -> None:
            closed = [row.id for row in await store.waiting("crm", 0, 100)]
            position = SourcePosition(Cursor(f"c{number}"), True, moment)
            made = entries(number, 2)
            bodies = {one.record: LastBody(f"d-{number}", 0, moment) for one in made[:1]} | {one.record: None for one in made[1:]}
            repeats = [Repeat(one.record, Same.BYTES, "d", moment, moment) for one in made]
            await store.record(Batch(source="crm", entries=made, closed=closed, bodies=bodies, repeats=repeats, position=position), moment)

        async def lease(store: SqliteStore, moment: datetime = moment) -> None:
            await store.lease("out", now=moment, limit=4, per_lane=2, skip=["#c"])

        async def settle(store: SqliteStore, moment: datetime = moment) -> None:
            said, dead, unknown, again = await store.interrupted()
            ended = [
                Settlement(delivery=said, state=State.DELIVERED, outcome="delivered", receipt=Receipt(remote_id=said.key)),
                Settlement(delivery=dead, state=State.DEAD, outcome="rejected", reason="rejected: no", error="no"),
                Settlement(delivery=unknown, state=State.UNKNOWN, outcome="unknown", error="cut"),
                Settlement(delivery=again, state=State.QUEUED, outcome="rate_limited", due=moment, counted=False),
            ]
            wait = Wait(destination="out", channel="#b", until=moment + timedelta(minutes=5), reason="slow down", since=moment)
            await store.settle(ended, [wait], moment)

        async def requeue(store: SqliteStore, moment: datetime = moment) -> None:
            (dead,) = await store.select([State.DEAD], Selection())
            await store.requeue(dead, dead.message, moment)

        async def drop(store: SqliteStore, moment: datetime = moment) -> None:
            await store.drop([State.UNKNOWN], Selection(destination="out"), "dropped", moment)

        async def hold(store: SqliteStore, moment: datetime = moment) -> None:
            await store.hold(Selection(channel="#c"), "by hand", moment)

        async def release(store: SqliteStore, moment: datetime = moment) -> None:
            await store.release(Selection(channel="#c"), moment + timedelta(seconds=1))

        async def pause_(store: SqliteStore, number: int = number, moment: datetime = moment) -> None:
            await store.pause(Pause(kind=PauseKind.RULE, name=f"r{number}", reason="why", since=moment))

        async def forget(store: SqliteStore, number: int = number) -> None:
            await store.forget(RecordRef("crm", "Deal", f"{number}-1"))

        async def many(store: SqliteStore, number: int = number, moment: datetime = moment) -> None:
            await store.record(Batch(source="crm", entries=entries(100 + number, 20)), moment)
            await asyncio.sleep(pause)  # a quiet moment: the log is moved into the database

        async def purge(store: SqliteStore, moment: datetime = moment) -> None:
            await store.purge(Retention(), moment + timedelta(days=95))

        made += [accept, record, lease, settle, requeue, drop, hold, release, pause_, many, forget, purge]
    return made


def digest(path: Path) -> str:
    """The whole content of a database, read by another program."""
    found = hashlib.sha256()
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as other:
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "damaged"
        tables = [name for (name,) in other.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
        for table in (one for one in tables if not one.startswith("sqlite_stat")):
            rows = sorted(map(repr, other.execute(f'SELECT * FROM "{table}"')))
            found.update(f"{table} {rows}".encode())
        found.update(repr(other.execute("PRAGMA user_version").fetchall()).encode())
    return found.hexdigest()


async def go_on(store: SqliteStore, path: Path, first: int) -> list[str]:
    """Take the steps from `first` on; returns the digest before each and after the last."""
    found = [digest(path)]
    for step in steps()[first:]:
        await step(store)
        found.append(digest(path))
    return found


async def drive(path: Path, folder: Path, synchronous: str) -> int:
    """Open, take every step, close; say what was acknowledged."""

    def say(words: str) -> None:
        sys.stdout.write(words + "\n")
        sys.stdout.flush()

    try:
        store = open_store(path, folder, synchronous)
    except StoreError as error:
        say(f"FAILED 0 {error}")
        return 3
    say("ACK 0")
    for number, step in enumerate(steps(), 1):
        for _ in range(TRIES):
            try:
                await step(store)
            except StoreError as error:
                recovers = store.database.failure is None
                assert store.database.failure or store.database.refusing, "it refused, and does not say so"
                say(f"{'REFUSED' if recovers else 'FAILED'} {number} {error}")
                if recovers:
                    continue
                with contextlib.suppress(StoreError):
                    await step(store)
                    say(f"ACK {number} after a failure")
                store.close()
                return 3
            assert store.database.failure is None
            say(f"ACK {number}")
            break
        else:
            store.close()
            return 3
    store.close()
    say(f"ACK {len(steps())}")
    return 0


if __name__ == "__main__":
    db._QUIET, db._CHECKPOINT_IDLE, pause = 0.05, 5, 0.12  # every quiet moment moves the log
    raise SystemExit(asyncio.run(drive(Path(sys.argv[1]), Path(sys.argv[2]), (sys.argv[3:] or ["FULL"])[0])))
