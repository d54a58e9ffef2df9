"""The store on SQLite. One method, one transaction; the SQL stands in queries.sql."""

from __future__ import annotations

from pathlib import Path

from crmbridge.db import Database
from crmbridge.store.sqlite.intake import SqliteIntake
from crmbridge.store.sqlite.ledger import SqliteLedger
from crmbridge.store.sqlite.orders import SqliteOrders
from crmbridge.store.sqlite.outbox import SqliteOutbox
from crmbridge.store.sqlite.rows import SCHEMA, Q
from crmbridge.store.sqlite.upkeep import SqliteUpkeep

__all__ = ["SCHEMA", "Q", "SqliteStore"]


class SqliteStore(SqliteIntake, SqliteOutbox, SqliteOrders, SqliteLedger, SqliteUpkeep):
    """Implements `crmbridge.store.interface.Store`."""

    def __init__(self, path: Path, *, synchronous: str = "FULL") -> None:
        self.database = Database(path, SCHEMA, synchronous=synchronous)

    def close(self) -> None:
        self.database.close()
