"""What keeps the database small, ours and safe."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

from crmbridge.errors import StoreError
from crmbridge.model import RecordRef, from_us, to_us
from crmbridge.store.sqlite import rows
from crmbridge.store.sqlite.rows import Q, ref
from crmbridge.store.terms import Retention

_SUSPICIOUS = timedelta(days=1)
_RECENT = 20_000  # deliveries looked at after a restart


class SqliteUpkeep(rows.Base):
    """The part of the store that nobody asks for by name."""

    async def purge(self, retention: Retention, now: datetime, limit: int = 500) -> int:
        old = {
            "purge_events": to_us(now - retention.journal),
            "purge_deliveries": to_us(now - retention.delivered),
            "purge_observations": to_us(now - retention.observations),
            "purge_bodies": to_us(now - retention.observations),
            "purge_repeats": to_us(now - retention.observations),
            "purge_orders": to_us(now - retention.orders),
        }
        suspicious = to_us(now - _SUSPICIOUS)

        def unit(db: sqlite3.Connection) -> int:
            db.execute(Q["suspects_old"], (suspicious,))
            return sum(db.execute(Q[name], (before, limit)).rowcount for name, before in old.items())

        return await self.database.write(unit)

    async def forget(self, record: RecordRef) -> dict[str, int]:
        def unit(db: sqlite3.Connection) -> dict[str, int]:
            if db.execute(Q["sending_of"], (str(record),)).fetchone()[0]:
                raise StoreError(f"a message about {record} is being published at this moment; try again")
            gone = {"receipts": db.execute(Q["forget_receipts"], (str(record),)).rowcount}
            gone["deliveries"] = db.execute(Q["forget_deliveries"], (str(record),)).rowcount
            gone["events"] = db.execute(Q["forget_events"], ref(record)).rowcount
            gone["aside"] = db.execute(Q["inbox_forget"], (record.source, record.inner)).rowcount
            db.execute(Q["suspects_drop"], ref(record))
            db.execute(Q["forget_bodies"], ref(record))
            db.execute(Q["forget_orders"], {"record": str(record)})
            gone["repeats"] = db.execute(Q["forget_repeats"], ref(record)).rowcount
            gone["snapshots"] = db.execute(Q["forget_snapshots"], ref(record)).rowcount
            return gone

        return await self.database.write(unit)

    async def recent(self, since: datetime) -> list[tuple[str, str, str, datetime, bool]]:
        found = await self.database.read(lambda db: db.execute(Q["recent"], (_RECENT, to_us(since))).fetchall())
        return [(rule, destination, channel, from_us(at), bool(held)) for rule, destination, channel, at, held in found]

    async def shift(self, by: timedelta, now: datetime) -> int:
        values = {"by": by // timedelta(microseconds=1), "now": to_us(now)}
        names = ("shift_queued", "shift_doubted", "shift_waits")
        return await self.database.write(lambda db: sum(db.execute(Q[name], values).rowcount for name in names))

    async def backup(self, path: Path) -> None:
        await self.database.backup(path)

    async def identity(self) -> tuple[str, int] | None:
        row = await self.database.read(lambda db: db.execute(Q["identity"]).fetchone())
        return (row["instance"], row["epoch"]) if row else None

    async def identify(self, instance: str, epoch: int) -> None:
        def unit(db: sqlite3.Connection) -> None:
            db.execute(Q["identity_drop"])
            db.execute(Q["identity_put"], (instance, epoch))

        await self.database.write(unit)

    async def probe(self) -> None:
        def unit(db: sqlite3.Connection) -> None:
            db.execute(Q["probe_put"])
            db.execute(Q["probe_remove"])

        await self.database.write(unit)
