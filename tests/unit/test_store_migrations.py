"""A store of an earlier schema opens with everything that was in it."""

import contextlib
import sqlite3

import pytest

from crmbridge.store import sqlite


@pytest.fixture
def fifth(tmp_path):
    """A store of schema 5: one delivery was told as superseded, one failed twice, and the newest has been removed since."""
    path = tmp_path / "crmbridge.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        for number, script in sqlite.SCHEMA.steps():
            if number <= 5:
                db.executescript(script)
        db.execute(f"PRAGMA application_id={sqlite.SCHEMA.application_id}")
        db.execute("PRAGMA user_version=5")
        for id, state in ((1, "superseded"), (2, "dead"), (9, "queued")):
            db.execute(
                "INSERT INTO deliveries (id, key, event_id, destination, channel, record, rule, step, message, state, due, accepted_at)"
                " VALUES (?, ?, 'e', 'out', '', 'crm/Deal/1', 'r', 's', '{}', ?, 1, 1)",
                (id, f"key{id}", state),
            )
        db.executemany("INSERT INTO attempts VALUES (2, ?, 1, 'rejected', 'no')", [(1,), (2,)])
        db.execute("DELETE FROM deliveries WHERE id = 9")
    return path


def test_superseded_is_unsaid_now_and_nothing_else_changes(fifth):
    """The table is built anew: its indexes, what refers to it and the numbers that were given stay."""
    store = sqlite.SqliteStore(fifth)
    store.close()

    with contextlib.closing(sqlite3.connect(fifth)) as db:
        assert db.execute("SELECT id, key, state FROM deliveries ORDER BY id").fetchall() == [(1, "key1", "unsaid"), (2, "key2", "dead")]
        assert db.execute("SELECT delivery, number FROM attempts").fetchall() == [(2, 1), (2, 2)]
        assert db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'deliveries'").fetchall() == [(9,)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        upgraded = shape(db)
        db.execute("PRAGMA foreign_keys=ON")
        db.execute("DELETE FROM deliveries WHERE id = 2")
        assert db.execute("SELECT count(*) FROM attempts").fetchone() == (0,)

    fresh = sqlite.SqliteStore(fifth.with_name("fresh.db"))
    fresh.close()
    with contextlib.closing(sqlite3.connect(fifth.with_name("fresh.db"))) as db:
        assert upgraded == shape(db)


def shape(db):
    """Every table and index, as SQLite keeps it."""
    return set(db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'"))


def test_every_index_and_column_of_the_fifth_schema_is_still_there(fifth):
    """One that was left out would be a slow query months later."""
    with contextlib.closing(sqlite3.connect(fifth)) as db:
        before = {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'deliveries'")}
        columns = {row[1] for row in db.execute("PRAGMA table_info(deliveries)")}
    store = sqlite.SqliteStore(fifth)
    store.close()
    with contextlib.closing(sqlite3.connect(fifth)) as db:
        assert before == {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'deliveries'")}
        assert columns == {row[1] for row in db.execute("PRAGMA table_info(deliveries)")}
