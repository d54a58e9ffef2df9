"""The SQLite store fulfils the contract, and costs what it should."""

import asyncio
import re
import sqlite3

import pytest
from shared import NOW
from store_contract import StoreContract, batch, entry, other

from crmbridge.errors import StoreError
from crmbridge.model import Receipt, State
from crmbridge.store import SqliteStore
from crmbridge.store.sqlite import Q
from crmbridge.store.terms import Selection, Settlement


class TestSqliteStore(StoreContract):
    """The contract on SQLite."""

    def make(self, folder):
        return SqliteStore(folder / "store.db", synchronous="OFF")


@pytest.mark.parametrize(
    "name",
    [
        "lanes",
        "deliveries_settle",
        "snapshots_conflict",
        "snapshots_get",
        "counts",
        "oldest_queued",
        "interrupted",
        "deliveries_in",
        "deliveries_count",
        "deliveries_published",
        "deliveries_of",
        "doubted",
        "spent",
        "events_of",
        "events_since",
        "receipts_named",
        "forget_receipts",
        "inbox_waiting",
    ],
)
async def test_no_query_scans_a_table(tmp_path, name):
    """Cost stays flat from a thousand to a million stored rows: every hot read goes through an index."""
    store = SqliteStore(tmp_path / "store.db")
    names = {"destination": "x", "start": "", "stop": None, "skip": "[]", "limit": 1, "states": "[]", "direction": 1, "after": 0}
    names |= dict.fromkeys(("ids", "channel", "rule", "record", "reason", "since", "until", "below"))

    def plan(db: sqlite3.Connection) -> list[str]:
        statement = Q[name]
        values = names if re.search(r":[a-z]", statement.partition("\n")[2]) else ["[]"] * statement.partition("\n")[2].count("?")
        return [row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", values)]

    steps = await store.database.read(plan)
    store.close()

    tables = ("deliveries", "snapshots", "receipts", "inbox", "events", "d", "earlier")
    assert not [step for step in steps if step.startswith("SCAN") and step.split()[1] in tables and "USING" not in step]


async def test_a_probe_really_writes(tmp_path):
    """On a full disk it is refused, so that nobody is told that all is well; with space again it leaves nothing."""
    store = SqliteStore(tmp_path / "store.db", synchronous="OFF")
    await store.database.alone(lambda db: db.execute("PRAGMA max_page_count=1").fetchone())  # SQLite takes what there is
    for _ in range(2):
        with pytest.raises(StoreError, match="full"):
            await store.probe()
        assert "full" in store.database.refusing
    await store.database.alone(lambda db: db.execute("PRAGMA max_page_count=1000000").fetchone())
    await store.probe()
    assert store.database.refusing == ""
    assert await store.waits() == []
    store.close()


async def test_many_attempts_settled_at_once_are_one_statement_that_fits(tmp_path):
    """SQLite bounds the parameters of a statement; what waits for the writer is bounded only by what is under way."""
    store = SqliteStore(tmp_path / "store.db", synchronous="OFF")
    for start in range(0, 6000, 200):
        await store.record(batch(*(entry(f"k{n}", record=other(n)) for n in range(start, start + 200))), NOW)
    leased = (await store.lease("out", now=NOW, limit=6000, per_lane=6000, skip=[])).deliveries
    assert len(leased) == 6000

    ended = [Settlement(delivery=one, state=State.DELIVERED, outcome="delivered", receipt=Receipt(remote_id=one.key)) for one in leased]
    await store.settle(ended, [], NOW)

    assert len(await store.published(Selection(), 7000)) == 6000
    store.close()


async def test_what_waits_together_is_settled_and_accepted_together(tmp_path):
    """Each caller hears of its own row, whoever shared the statement with it."""
    store = SqliteStore(tmp_path / "store.db", synchronous="OFF")
    rows = await asyncio.gather(*(store.accept("crm", {}, "", str(n).encode(), NOW) for n in range(300)))

    assert [(row.id, row.body) for row in rows] == [(row.id, row.body) for row in await store.waiting("crm", 0, 1000)]
    store.close()


async def test_a_batch_has_a_limit(tmp_path):
    """A transaction of thousands would make every webhook wait."""
    store = SqliteStore(tmp_path / "store.db")
    with pytest.raises(ValueError, match="at most 200"):
        await store.record(batch(*(entry(str(n), record=other(n)) for n in range(201))), NOW)
    store.close()


def test_every_statement_is_used_and_explained():
    """queries.sql has no dead statement, and each says why it is there."""
    from pathlib import Path

    folder = Path(__file__).parents[2] / "crmbridge" / "store" / "sqlite"
    code = "".join(file.read_text("utf-8") for file in folder.glob("*.py"))

    assert [name for name in Q if f'"{name}"' not in code] == []
    assert [name for name, text in Q.items() if not text.startswith("--")] == []
