"""The sql source keeps what every source promises, on SQLite."""

import sqlite3
from typing import Any, ClassVar

from connectors.sources.sql import CONNECTOR
from crmbridge.testing import Can, SourceContract, StandIn


class Table(StandIn):
    """A CRM's table, in a file."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("CREATE TABLE deal (id TEXT PRIMARY KEY, name, stage, amount NUMERIC, owner, changed, made, gone INTEGER)")

    def tell(self, what, row, before):
        self._db.execute("DELETE FROM deal WHERE id = ?", (row.id,))
        if row.visible:
            stamps = (row.modified.isoformat(), row.created.isoformat(), row.deleted is not None)
            values = (row.id, *(row.fields[word] for word in ("title", "stage", "amount", "owner")), *stamps)
            self._db.execute("INSERT INTO deal VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def withdraw(self, right):
        """SQLite has no rights: what may not be read is not there."""
        super().withdraw(right)
        self._db.execute("ALTER TABLE deal RENAME TO hidden")

    def give(self, right):
        super().give(right)
        self._db.execute("ALTER TABLE hidden RENAME TO deal")

    def __exit__(self, *_):
        self._db.close()
        super().__exit__()


class TestSql(SourceContract):
    connector = CONNECTOR
    record_type = "Deal"
    proven = "real SQLite and PostgreSQL"  # the latter in test_sql.py
    fields: ClassVar = {"title": "name", "stage": "stage", "amount": "amount", "owner": "owner"}
    can = frozenset({Can.POLL, Can.DELETES, Can.LINKS, Can.RIGHTS})

    def stand_in(self, folder):
        return Table(folder / "crm.sqlite")

    def options(self, crm) -> dict[str, Any]:
        columns = {"changed": "changed", "created": "made", "deleted": "gone"}
        table = {"table": "deal", "url": "https://crm.example.com/deals/{id}", **columns}
        return {"sqlite": str(crm.path), "overlap": 60, "page": 10, "tables": {"Deal": table}}
