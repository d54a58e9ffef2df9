"""People's orders, written down."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from crmbridge.model import dump_json, from_us, load_json, to_us
from crmbridge.store.ledger import Given, Order
from crmbridge.store.sqlite import rows
from crmbridge.store.sqlite.rows import Q


class Ledger(rows.Base):
    """Implements `crmbridge.store.ledger.Ledger`."""

    async def order_begins(self, order: Order, now: datetime) -> int:
        values = (order.verb, dump_json(order.arguments), order.actor, order.door, to_us(now))
        return await self.database.write(lambda db: int(db.execute(Q["order_insert"], values).lastrowid or 0))

    async def order_goes_on(self, id: int, order: Order) -> bool:
        values = (id, order.verb, order.actor, order.door)
        return await self.database.write(lambda db: db.execute(Q["order_reopen"], values).rowcount > 0)

    async def order_ends(self, id: int, counts: Mapping[str, int], error: str, now: datetime) -> None:
        def unit(db: sqlite3.Connection) -> None:
            row = db.execute(Q["order_counts"], (id,)).fetchone()
            if row is not None:
                total = Counter(load_json(row["counts"]))
                total.update(counts)
                db.execute(Q["order_end"], {"id": id, "counts": dump_json(total), "error": error, "now": to_us(now)})

        await self.database.write(unit)

    async def orders_cut_short(self, error: str, now: datetime) -> None:
        values = {"error": error, "now": to_us(now)}
        await self.database.write(lambda db: db.execute(Q["orders_cut_short"], values).rowcount)

    async def orders(self, since: datetime | None = None, limit: int = 100, id: int | None = None) -> list[Given]:
        values = {"since": to_us(since) if since else None, "limit": limit, "id": id}
        return await self.database.read(lambda db: [_given(row) for row in db.execute(Q["orders_given"], values)])


def _given(row: sqlite3.Row) -> Given:
    order = Order(verb=row["verb"], arguments=load_json(row["arguments"]), actor=row["actor"], door=row["door"])
    ended = from_us(row["ended_at"]) if row["ended_at"] is not None else None
    return Given(
        id=row["id"], order=order, began_at=from_us(row["began_at"]), ended_at=ended, counts=load_json(row["counts"]), error=row["error"]
    )
