"""The SQLite store fulfils the contract, and costs what it should."""

import sqlite3

import pytest
from shared import NOW
from store_contract import StoreContract, batch, entry, other

from crmbridge.store import SqliteStore
from crmbridge.store.sqlite import Q


class TestSqliteStore(StoreContract):
    """The contract on SQLite."""

    def make(self, folder):
        return SqliteStore(folder / "store.db", synchronous="OFF")


@pytest.mark.parametrize(
    "name",
    [
        "lane_from",
        "lane_heads",
        "counts",
        "oldest_queued",
        "interrupted",
        "deliveries_newest",
        "deliveries_oldest",
        "published",
        "inbox_waiting",
    ],
)
async def test_no_query_scans_a_table(tmp_path, name):
    """Cost stays flat from a thousand to a million stored rows: every hot read goes through an index."""
    store = SqliteStore(tmp_path / "store.db")
    names = {"destination": "x", "channel": "y", "limit": 1, "state": "dead", "rule": None}

    def plan(db: sqlite3.Connection) -> list[str]:
        statement = Q[name]
        values = names if ":" in statement else [1] * statement.count("?")
        return [row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", values)]

    steps = await store.database.read(plan)
    store.close()

    assert not [step for step in steps if step.startswith("SCAN") and "USING" not in step and "SUBQUERY" not in step]


async def test_a_batch_has_a_limit(tmp_path):
    """A transaction of thousands would make every webhook wait."""
    store = SqliteStore(tmp_path / "store.db")
    with pytest.raises(ValueError, match="at most 200"):
        await store.record(batch(*(entry(str(n), record=other(n)) for n in range(201))), NOW)
    store.close()


def test_every_statement_is_used_and_explained():
    """queries.sql has no dead statement, and each says why it is there."""
    from pathlib import Path

    source = Path("crmbridge/store/sqlite.py")
    code = (source if source.exists() else Path(__file__).parents[2] / source).read_text("utf-8")

    assert [name for name in Q if f'"{name}"' not in code] == []
    assert [name for name, text in Q.items() if not text.startswith("--")] == []
