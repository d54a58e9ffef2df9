"""What goes out: leases, settlements, waits, lost answers."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from crmbridge.errors import StoreError
from crmbridge.model import Delivery, dump_json, from_us, to_us
from crmbridge.store.sqlite import rows
from crmbridge.store.sqlite.rows import Q, insert
from crmbridge.store.terms import Doubted, Lease, Settlement, Wait


class SqliteOutbox(rows.Base):
    """The part of the store that publishers work on."""

    async def lease(self, destination: str, *, now: datetime, limit: int, per_lane: int, skip: Sequence[str], after: str = "") -> Lease:
        moment, skipped = to_us(now), dump_json(skip)

        def unit(db: sqlite3.Connection) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int | None]:
            taken: list[dict[str, Any]] = []
            expired: list[dict[str, Any]] = []
            next_due: int | None = None
            for heads in rows.lanes(db, destination, after, skipped, min(per_lane, limit) + 1):
                late = [row for row in heads if _expired(row, moment)]
                expired += late
                heads = [row for row in heads if not _expired(row, moment)] if late else heads
                due = [row for row in heads if row["due"] <= moment]
                wanted = min(per_lane, limit - len(taken))
                taken += due[:wanted]
                if late or len(due) > wanted or len(taken) >= limit:
                    next_due = moment
                elif len(due) < len(heads):
                    later: int = heads[len(due)]["due"]
                    next_due = later if next_due is None else min(next_due, later)
                if len(taken) >= limit:
                    break
            if expired:
                db.execute(Q["deliveries_expire"], (dump_json([row["id"] for row in expired]),))
            by_parent: dict[str, list[int]] = {}
            for row in taken:
                by_parent.setdefault(dump_json(row["parent"]), []).append(row["id"])
            for parent, ids in by_parent.items():
                db.execute(Q["deliveries_lease"], (parent, dump_json(ids)))
            return taken, expired, next_due

        taken, expired, next_due = await self.database.write(unit)
        leased: list[Delivery] = []
        unreadable: dict[int, str] = {}
        for row in taken:
            try:
                leased.append(rows.leased(row))
            except Exception as error:  # whatever is wrong with one row: the others go out
                unreadable[row["id"]] = f"its row in the database cannot be read: {type(error).__name__}: {error}"[:300]
        late: list[Delivery] = []
        for row in expired:
            with contextlib.suppress(Exception):  # it is dead already, and who hears of it cannot read it either
                late.append(rows.leased(row, tried=False))
        if unreadable:
            with contextlib.suppress(StoreError):  # then the next process finds them; what is leased goes out
                await self.database.write(lambda db: [db.execute(Q["delivery_unreadable"], (why, id)) for id, why in unreadable.items()])
        return Lease(leased, from_us(next_due) if next_due is not None else None, late, unreadable)

    async def settle(self, settlements: Sequence[Settlement], waits: Sequence[Wait], now: datetime) -> None:
        await self.database.write_together(_settle, (settlements, waits, to_us(now)))

    async def interrupted(self, destination: str | None = None) -> list[Delivery]:
        values = {"destination": destination}
        return await self.database.read(lambda db: [rows.delivery(db, row) for row in db.execute(Q["interrupted"], values)])

    async def waits(self) -> list[Wait]:
        return [rows.wait(row) for row in await self.database.read(lambda db: db.execute(Q["waits_all"]).fetchall())]

    async def end_pause(self, destination: str) -> bool:
        return await self.database.write(lambda db: db.execute(Q["pause_end"], (destination,)).rowcount > 0)

    # --- lost answers

    async def doubted(self, destination: str, now: datetime, limit: int) -> tuple[list[Doubted], datetime | None]:
        def query(db: sqlite3.Connection) -> tuple[list[Doubted], int | None]:
            found = db.execute(Q["doubted"], (destination, limit + 1)).fetchall()
            due = [row for row in found if row["look_at"] <= to_us(now)][:limit]
            later = found[len(due)]["look_at"] if len(found) > len(due) else None
            return [Doubted(rows.delivery(db, row), from_us(row["doubt_from"]), row["looks"]) for row in due], later

        doubted, later = await self.database.read(query)
        return doubted, from_us(later) if later is not None else None

    async def looked(self, delivery: Delivery, again_at: datetime | None, now: datetime) -> None:
        values = {"id": delivery.id, "again": to_us(again_at) if again_at else None}
        await self.database.write(lambda db: db.execute(Q["delivery_looked"], values))

    async def spent(self, destination: str, since: datetime) -> int:
        return await self.database.read(lambda db: int(db.execute(Q["spent"], (destination, to_us(since))).fetchone()[0]))


def begin_anew(db: sqlite3.Connection, delivery: Delivery) -> None:
    """Begin a delivery's thread anew: what it was to reply to, or to edit, is gone."""
    message = delivery.message
    facts = {"destination": message.destination, "channel": rows.channel_of(message), "thread": message.thread}
    db.execute(Q["thread_anew"], {**facts, "gone": delivery.parent.remote_id if delivery.parent else None})
    db.execute(Q["delivery_anew"], (delivery.id,))


def _expired(row: dict[str, Any], moment: int) -> bool:
    return row["expires_at"] is not None and row["expires_at"] <= moment


def _settle(db: sqlite3.Connection, calls: Sequence[tuple[Sequence[Settlement], Sequence[Wait], int]]) -> Sequence[None]:
    """How attempts ended, and the silence that they ask for."""
    ended = [(one, moment) for settlements, _, moment in calls for one in settlements]
    if ended:
        db.execute(Q["deliveries_settle"], (dump_json([rows.settled_row(one, moment) for one, moment in ended]),))
    for one, _ in ended:
        if one.anew:
            begin_anew(db, one.delivery)
    insert(db, "receipts_insert", [rows.receipt_row(one.delivery, one.receipt, moment) for one, moment in ended if one.receipt])
    insert(db, "attempts_insert", [rows.attempt_row(one, moment) for one, moment in ended if not one.receipt])
    for _, waits, _ in calls:
        for wait in waits:
            db.execute(Q["wait_put"], rows.wait_row(wait))
    return [None] * len(calls)
