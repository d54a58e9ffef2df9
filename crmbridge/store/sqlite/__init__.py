"""The store on SQLite. One method, one transaction; the SQL stands in queries.sql."""

from __future__ import annotations

from pathlib import Path

from crmbridge.db import Database
from crmbridge.store.sqlite.intake import Intake
from crmbridge.store.sqlite.ledger import Ledger
from crmbridge.store.sqlite.orders import Orders
from crmbridge.store.sqlite.outbox import Outbox
from crmbridge.store.sqlite.rows import SCHEMA, Q
from crmbridge.store.sqlite.upkeep import Upkeep

__all__ = ["SCHEMA", "Q", "SqliteStore"]


class SqliteStore(Intake, Outbox, Orders, Ledger, Upkeep):
    """Implements `crmbridge.store.interface.Store`."""

    def __init__(self, path: Path, *, synchronous: str = "FULL") -> None:
        self.database = Database(path, SCHEMA, synchronous=synchronous)

    def close(self) -> None:
        self.database.close()
