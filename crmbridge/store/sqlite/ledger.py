"""People's orders, written down."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from crmbridge.model import dump_json, from_us, load_json, to_us
from crmbridge.store.ledger import LedgerEntry, Order
from crmbridge.store.sqlite import rows
from crmbridge.store.sqlite.rows import Q


class SqliteLedger(rows.Base):
    """Implements `crmbridge.store.ledger.Ledger`."""

    async def order_begins(self, order: Order, now: datetime) -> int:
        values = {**_values(order), "arguments": dump_json(order.arguments), "now": to_us(now)}
        return await self.database.write(lambda db: int(db.execute(Q["order_insert"], values).lastrowid or 0))

    async def order_goes_on(self, id: int, order: Order, since: datetime, now: datetime) -> bool:
        values = {**_values(order), "id": id, "since": to_us(since), "now": to_us(now)}
        return await self.database.write(lambda db: db.execute(Q["order_reopen"], values).rowcount > 0)

    async def order_ends(self, id: int, counts: Mapping[str, int], error: str, now: datetime, *, more: bool = False) -> Mapping[str, int]:
        def unit(db: sqlite3.Connection) -> Mapping[str, int]:
            row = db.execute(Q["order_counts"], (id,)).fetchone()
            total = Counter(load_json(row["counts"]) if row is not None else {})
            total.update(counts)
            values = {"id": id, "counts": dump_json(total), "error": error, "now": to_us(now), "more": more and not error}
            db.execute(Q["order_end"], values)
            return total

        return await self.database.write(unit)

    async def orders_cut_short(self, error: str, now: datetime) -> None:
        values = {"error": error, "now": to_us(now)}
        await self.database.write(lambda db: db.execute(Q["orders_cut_short"], values).rowcount)

    async def orders(self, since: datetime | None = None, limit: int = 100, id: int | None = None) -> list[LedgerEntry]:
        values = {"since": to_us(since) if since else None, "limit": limit, "id": id}
        return await self.database.read(lambda db: [_ordered(row) for row in db.execute(Q["orders_given"], values)])


def _values(order: Order) -> dict[str, Any]:
    return {"verb": order.verb, "meant": order.meant, "actor": order.actor, "door": order.door}


def _ordered(row: sqlite3.Row) -> LedgerEntry:
    return LedgerEntry(
        id=row["id"],
        order=Order(arguments=load_json(row["arguments"]), **{name: row[name] for name in ("verb", "meant", "actor", "door")}),
        began_at=from_us(row["began_at"]),
        last_at=from_us(row["last_at"]),
        running=bool(row["running"]),
        ended_at=from_us(row["ended_at"]) if row["ended_at"] is not None else None,
        counts=load_json(row["counts"]),
        error=row["error"],
    )
