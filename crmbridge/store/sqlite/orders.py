"""What people look at, and what they order."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from crmbridge.model import Delivery, Message, Receipt, RecordRef, State, Why, dump_json, dump_message, from_us, to_us
from crmbridge.store.sqlite import rows
from crmbridge.store.sqlite.outbox import begin_anew
from crmbridge.store.sqlite.rows import Q, insert
from crmbridge.store.terms import MAX_ORDER, Attempt, Entry, NewDelivery, Overview, Pause, PauseKind, Published, Selection, Tally, Waiting


class SqliteOrders(rows.Base):
    """The part of the store that the person on call works on."""

    # --- looking

    async def select(
        self, states: Sequence[State], selection: Selection, *, limit: int = 100, oldest: bool = False, after: int = 0
    ) -> list[Delivery]:
        def query(db: sqlite3.Connection) -> list[Delivery]:
            ids = _chosen(db, states, selection, limit, oldest=oldest, after=after)
            found = [rows.delivery(db, row) for row in db.execute(Q["deliveries_rows"], (dump_json(ids),))]
            return found if oldest else found[::-1]

        return await self.database.read(query)

    async def count(self, states: Sequence[State], selection: Selection) -> int:
        values = {"states": dump_json(states), **rows.selection_values(selection)}
        return await self.database.read(lambda db: int(db.execute(Q["deliveries_count"], values).fetchone()[0]))

    async def delivery(self, name: str) -> tuple[Delivery, list[Attempt]] | None:
        def query(db: sqlite3.Connection) -> tuple[Delivery, list[Attempt]] | None:
            number = int(name) if name.isascii() and name.isdigit() and len(name) < 18 else -1
            row = db.execute(Q["delivery_get"], {"id": number, "key": name}).fetchone()
            if row is None:
                return None
            attempts = db.execute(Q["attempts_of"], (row["id"],))
            return rows.delivery(db, row), [Attempt(a["number"], from_us(a["ended_at"]), a["outcome"], a["error"]) for a in attempts]

        return await self.database.read(query)

    async def deliveries_of(self, record: RecordRef, limit: int) -> list[Delivery]:
        return await self.database.read(lambda db: [rows.delivery(db, row) for row in db.execute(Q["deliveries_of"], (str(record), limit))])

    async def published(self, selection: Selection, limit: int = 100, below: int | None = None) -> list[Published]:
        values = {**rows.selection_values(selection), "limit": limit, "below": below}
        return await self.database.read(
            lambda db: [
                Published(rows.delivery(db, row), from_us(row["published_at"])) for row in db.execute(Q["deliveries_published"], values)
            ]
        )

    async def known_keys(self, keys: Sequence[str]) -> set[str]:
        wanted = dump_json(keys)
        return await self.database.read(lambda db: {row[0] for row in db.execute(Q["keys_known"], {"keys": wanted})})

    async def receipts_named(self, remote_id: str) -> list[str]:
        return await self.database.read(lambda db: [row[0] for row in db.execute(Q["receipts_named"], (remote_id,))])

    async def overview(self) -> Overview:
        def query(db: sqlite3.Connection) -> Overview:
            return Overview(
                tallies=[Tally(row[0], State(row[1]), Why.of(row[2]), bool(row[3]), row[4]) for row in db.execute(Q["counts"])],
                oldest={name: from_us(at) for name, at in db.execute(Q["oldest_queued"])},
                inbox=[Waiting(row[0], bool(row[1]), bool(row[2]), row[3], from_us(row[4])) for row in db.execute(Q["inbox_counts"])],
                sources={row["name"]: rows.position(row) for row in db.execute(Q["source_all"])},
            )

        return await self.database.read(query)

    # --- deliveries

    async def hold(self, selection: Selection, reason: str, now: datetime, most: int | None = None) -> int:
        return await self._order("deliveries_hold", [State.QUEUED], selection, now, most, reason)

    async def release(self, selection: Selection, now: datetime, most: int | None = None) -> int:
        return await self._order("deliveries_release", [State.HELD], selection, now, most)

    async def drop(self, states: Sequence[State], selection: Selection, reason: str, now: datetime, most: int | None = None) -> int:
        return await self._order("deliveries_drop", states, selection, now, most, reason)

    async def drop_older(self, selection: Selection, reason: str, now: datetime) -> int:
        def unit(db: sqlite3.Connection) -> tuple[int, int]:
            ids = _chosen(db, [State.QUEUED], selection, MAX_ORDER, oldest=True, after=last)
            older = [row[0] for row in db.execute(Q["deliveries_older"], (dump_json(ids),))]
            values = {"chosen": dump_json(older), "now": to_us(now), "why": reason}
            return db.execute(Q["deliveries_drop"], values).rowcount, ids[-1] if ids else 0

        done = last = 0
        while True:
            dropped, last = await self.database.write(unit)
            done += dropped
            if not last:
                return done

    async def _order(
        self, name: str, states: Sequence[State], selection: Selection, now: datetime, most: int | None, reason: str = ""
    ) -> int:
        """Carry an order out in bites, so that nobody waits long for the writer."""

        def unit(db: sqlite3.Connection) -> int:
            values: dict[str, Any] = {"chosen": dump_json(_chosen(db, states, selection, MAX_ORDER, oldest=True)), "now": to_us(now)}
            return db.execute(Q[name], values | ({"why": reason} if ":why" in Q[name] else {})).rowcount

        done = 0
        while (most is None or done < most) and (bite := await self.database.write(unit)):
            done += bite
        return done

    async def requeue(self, delivery: Delivery, message: Message, now: datetime, reason: str = "") -> bool:
        values = {
            "id": delivery.id,
            "due": to_us(now),
            "message": dump_message(message),
            "channel": rows.channel_of(message),
            "thread": message.thread,
            "reason": reason,
        }
        return await self.database.write(lambda db: db.execute(Q["delivery_requeue"], values).rowcount > 0)

    async def confirm(self, delivery: Delivery, receipt: Receipt, reason: str, now: datetime) -> bool:
        def unit(db: sqlite3.Connection) -> bool:
            if not db.execute(Q["delivery_publish"], {"id": delivery.id, "reason": reason, "now": to_us(now)}).rowcount:
                return False
            if receipt.alone:
                begin_anew(db, delivery)
            insert(db, "receipts_insert", [rows.receipt_row(delivery, receipt, to_us(now))])
            return True

        return await self.database.write(unit)

    async def retract(self, key: str, now: datetime) -> None:
        await self.database.write(lambda db: db.execute(Q["receipt_retract"], (to_us(now), key)))

    # --- pauses and alerts

    async def pauses(self) -> list[Pause]:
        found = await self.database.read(lambda db: db.execute(Q["pauses_all"]).fetchall())
        return [Pause(kind=PauseKind(row["kind"]), name=row["name"], reason=row["reason"], since=from_us(row["since"])) for row in found]

    async def pause(self, pause: Pause) -> None:
        values = (pause.kind, pause.name, pause.reason, to_us(pause.since))
        await self.database.write(lambda db: db.execute(Q["pause_put"], values))

    async def resume(self, kind: PauseKind, name: str) -> bool:
        return await self.database.write(lambda db: db.execute(Q["pause_drop"], (kind, name)).rowcount > 0)

    async def alerts(self) -> dict[str, datetime]:
        found = await self.database.read(lambda db: db.execute(Q["alerts_all"]).fetchall())
        return {name: from_us(since) for name, since in found}

    async def told(self, begun: Mapping[str, datetime], ended: Sequence[str], alert: NewDelivery | None, now: datetime) -> None:
        def unit(db: sqlite3.Connection) -> None:
            for name, since in begun.items():
                db.execute(Q["alert_put"], (name, to_us(since)))
            for name in ended:
                db.execute(Q["alert_drop"], (name,))
            if alert:
                insert(db, "deliveries_insert", [rows.delivery_row(Entry(record=alert.message.record), alert, to_us(now))])

        await self.database.write(unit)


def _chosen(
    db: sqlite3.Connection, states: Sequence[State], selection: Selection, limit: int, *, oldest: bool, after: int = 0
) -> list[int]:
    """Choose the ids of a selection's deliveries, the oldest or the newest first."""
    values = {
        "states": dump_json(states),
        "direction": 1 if oldest else -1,
        "limit": limit,
        "after": after,
        **rows.selection_values(selection),
    }
    return [row[0] for row in db.execute(Q["deliveries_in"], values)]
