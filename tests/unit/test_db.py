"""The database under everything: one writer, group commit, and no damage from anything that goes wrong."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading

import pytest

from crmbridge import db as module
from crmbridge.db import Database
from crmbridge.errors import StoreError
from crmbridge.schema import Schema, repeated, statements

ID = 0x74657374


@pytest.fixture
def schema(tmp_path):
    """One migration; `more` adds others."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_first.sql").write_text("CREATE TABLE t (n INTEGER PRIMARY KEY, x TEXT) STRICT; CREATE TABLE blobs (b BLOB);")
    return Schema("test", ID, folder)


def more(schema, number, script):
    (schema.migrations / f"{number:04}_more.sql").write_text(script)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "test.db"


@pytest.fixture
async def db(path, schema):
    database = Database(path, schema)
    yield database
    database.close()


def insert(n, x="x"):
    return lambda connection: connection.execute("INSERT INTO t VALUES (?, ?)", (n, x)).lastrowid


async def numbers(database):
    return [row[0] for row in await database.read(lambda connection: connection.execute("SELECT n FROM t ORDER BY n").fetchall())]


def plain(path, sql):
    """What another program sees."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


class Connection:
    """The writing connection with some statements that go wrong."""

    def __init__(self, real, fail):
        self._real = real
        self._fail = fail

    def execute(self, sql, *args):
        if error := self._fail(sql):
            raise error
        return self._real.execute(sql, *args)

    def __getattr__(self, name):
        return getattr(self._real, name)


def io_error(message="disk I/O error", code=sqlite3.SQLITE_IOERR):
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


# --- group commit ---------------------------------------------------------------------------------


def held(database):
    """Keep the writer busy, so that what follows waits together; returns what lets it go."""
    go = threading.Event()
    return go, asyncio.ensure_future(database.write(lambda _: go.wait(5)))


async def test_what_waits_together_is_one_transaction(db):
    """One fsync for all of it."""
    seen = []
    db._writer.set_trace_callback(seen.append)
    go, first = held(db)
    await asyncio.sleep(0.05)
    rest = [asyncio.ensure_future(db.write(insert(n))) for n in range(1, 51)]
    await asyncio.sleep(0.05)
    go.set()
    results = await asyncio.gather(first, *rest)

    assert [True, *range(1, 51)] == results
    assert seen.count("COMMIT") == 2
    assert list(range(1, 51)) == await numbers(db)


async def test_a_group_has_a_limit_and_loses_nobody(db):
    """Five hundred at once, from many tasks."""
    go, first = held(db)
    rest = [asyncio.ensure_future(db.write(insert(n))) for n in range(500)]
    await asyncio.sleep(0.05)
    go.set()
    await asyncio.gather(first, *rest)

    assert len(await numbers(db)) == 500


async def test_a_unit_that_fails_undoes_only_itself(db):
    """Whatever it raises; its neighbours in the same transaction are stored, each once."""

    def half(connection):
        insert(100)(connection)
        raise KeyError("a bug")

    def duplicate(connection):
        insert(101)(connection)
        insert(1)(connection)

    go, first = held(db)
    await asyncio.sleep(0.05)
    units = [insert(1), half, insert(2), duplicate, insert(3), lambda connection: connection.execute("SELEC")]
    tasks = [asyncio.ensure_future(db.write(unit)) for unit in units]
    await asyncio.sleep(0.05)
    go.set()
    await first
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert [int, KeyError, int, sqlite3.IntegrityError, int, sqlite3.OperationalError] == [type(one) for one in outcomes]
    assert await numbers(db) == [1, 2, 3]
    assert (db.failure, db.refusing) == (None, "")


async def test_a_cancelled_caller_disturbs_nobody(db):
    """Its unit may be stored; the others' answers still arrive."""
    go, first = held(db)
    await asyncio.sleep(0.05)
    one, other = (asyncio.ensure_future(db.write(insert(n))) for n in (1, 2))
    await asyncio.sleep(0.01)
    one.cancel()
    go.set()
    await asyncio.gather(first, other)

    assert 2 in await numbers(db)


async def test_alone_is_outside_any_transaction(db, tmp_path):
    """A backup cannot be made inside one; what waits beside it is not lost."""
    go, first = held(db)
    await asyncio.sleep(0.05)
    before, backup, after = (
        asyncio.ensure_future(one)
        for one in (db.write(insert(1)), db.alone(lambda c: c.execute("VACUUM INTO ?", (str(tmp_path / "copy"),))), db.write(insert(2)))
    )
    await asyncio.sleep(0.05)
    go.set()
    await asyncio.gather(first, before, backup, after)

    assert plain(tmp_path / "copy", "SELECT n FROM t") == [(1,)]
    assert await numbers(db) == [1, 2]


async def test_readers_cannot_write_and_see_one_state(db):
    """A read connection is read only; one query function sees one state, whatever is written meanwhile."""
    with pytest.raises(StoreError, match="readonly"):
        await db.read(insert(1))
    began, written = threading.Event(), threading.Event()

    def twice(connection):
        first = connection.execute("SELECT count(*) FROM t").fetchone()[0]
        began.set()
        written.wait(5)
        return first, connection.execute("SELECT count(*) FROM t").fetchone()[0]

    reading = asyncio.ensure_future(db.read(twice))
    await asyncio.to_thread(began.wait, 5)
    await db.write(insert(1))
    written.set()
    assert await reading == (0, 0)
    assert await numbers(db) == [1]


# --- when the disk says no ------------------------------------------------------------------------


async def test_a_failed_commit_fails_all_and_is_the_end(db):
    """After a failed fsync nothing on disk can be trusted: no waiter hears success, and nothing more is written."""
    await db.write(insert(1))
    db._writer = Connection(db._writer, lambda sql: io_error() if sql == "COMMIT" else None)
    go, first = held(db)
    await asyncio.sleep(0.05)
    rest = [asyncio.ensure_future(db.write(insert(n))) for n in (2, 3)]
    await asyncio.sleep(0.02)
    go.set()
    outcomes = await asyncio.gather(first, *rest, return_exceptions=True)

    assert [StoreError] * 3 == [type(one) for one in outcomes]
    assert db.failure is not None
    db._writer = db._writer._real
    with pytest.raises(StoreError, match="cannot be written since: disk I/O error"):
        await db.write(insert(4))
    assert await numbers(db) == [1]


async def test_an_io_error_within_a_unit_is_the_whole_groups(db):
    """It is the disk's, not that unit's."""
    seen = []

    def fail(sql):
        seen.append(sql)
        return io_error() if "VALUES (?" in sql else None

    db._writer = Connection(db._writer, fail)
    outcomes = await asyncio.gather(db.write(lambda _: 1), db.write(insert(1)), return_exceptions=True)

    assert isinstance(outcomes[1], StoreError)
    assert db.failure is not None
    db._writer = db._writer._real


async def test_a_full_disk_refuses_and_recovers(db):
    """Every waiter is told; once there is space again all goes on by itself."""
    await db.write(lambda c: c.execute("PRAGMA user_version"))
    await db.alone(lambda c: c.execute("PRAGMA max_page_count=12").fetchone())

    def big(connection):
        connection.execute("INSERT INTO blobs VALUES (zeroblob(200000))")

    with pytest.raises(StoreError, match="full"):
        await db.write(big)
    assert "full" in db.refusing
    assert None is db.failure

    await db.write(insert(1))
    assert db.refusing == ""
    await db.alone(lambda c: c.execute("PRAGMA max_page_count=1000000").fetchone())
    await db.write(big)
    assert await numbers(db) == [1]
    assert plain(db.path, "SELECT count(*) FROM blobs") == [(1,)]


# --- opening --------------------------------------------------------------------------------------


def refused(path, schema):
    with pytest.raises(StoreError) as caught:
        Database(path, schema)
    return str(caught.value)


async def test_a_second_process_is_told_who_holds_it(db, path, schema):
    """With the pid; also within one process, and it is free again after closing."""
    assert f"{path} is in use by another crmbridge (process {os.getpid()}); stop that one first" == refused(path, schema)
    db.close()
    Database(path, schema).close()


def test_a_lock_ends_with_its_process(path, schema):
    """However it ends: the kernel releases it."""
    code = f"""
        import os
        from pathlib import Path
        from crmbridge.db import Database, Schema
        Database(Path({str(path)!r}), Schema("test", {ID}, Path({str(schema.migrations)!r})))
        os.kill(os.getpid(), 9)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False).returncode == -9
    assert path.with_name("test.db.lock").exists()
    Database(path, schema).close()


def test_a_folder_that_is_not_there(tmp_path, schema):
    """Says what must be."""
    assert "the folder must exist and be writable by this user" in refused(tmp_path / "no" / "x.db", schema)


def test_a_damaged_file(path, schema):
    """Garbage from the first byte, and damage in the middle: both say what to do, and neither is written to."""
    path.write_bytes(b"garbage " * 1000)
    assert "put the newest backup in its place" in refused(path, schema)
    assert path.read_bytes() == b"garbage " * 1000

    path.unlink()
    Database(path, schema).close()
    connection = sqlite3.connect(path)
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, "x" * 500) for n in range(200)])
    connection.commit()
    connection.close()
    data = bytearray(path.read_bytes())
    data[3 * 4096 + 8 : 9 * 4096] = b"\xff" * (6 * 4096 - 8)
    path.write_bytes(data)
    assert "put the newest backup in its place" in refused(path, schema)


@pytest.mark.parametrize("pragma", ["application_id = 7", "user_version = 1", ""])
def test_somebody_elses_database(path, schema, pragma):
    """A CRM's own SQLite file given as our store's path is left exactly as it is."""
    connection = sqlite3.connect(path)
    connection.executescript(f"CREATE TABLE deal (id); PRAGMA {pragma or 'user_version'};")
    connection.close()
    before = path.read_bytes()

    assert f"{path} is not a test database; give another path" == refused(path, schema)
    assert before == path.read_bytes()
    assert [mode for (mode,) in plain(path, "PRAGMA journal_mode")] == ["delete"]


async def test_a_newer_schema(path, schema):
    """Is never guessed at; the way back is named."""
    more(schema, 2, "CREATE TABLE later (n);")
    Database(path, schema).close()
    (schema.migrations / "0002_more.sql").unlink()

    said = refused(path, schema)
    assert "was written by a newer crmbridge (schema 2; this one knows 1)" in said
    assert "test.db.schema1.bak" in said


async def test_a_migration_makes_a_backup_first(path, schema):
    """Of the old schema with all its rows; a fresh database needs none."""
    database = Database(path, schema)
    await database.write(insert(1))
    database.close()
    assert list(path.parent.glob("*.bak")) == []
    more(schema, 2, "ALTER TABLE t ADD COLUMN y TEXT; CREATE TABLE later (n);")
    more(schema, 3, "DROP TABLE later;")

    database = Database(path, schema)
    assert await numbers(database) == [1]
    database.close()
    assert plain(path, "PRAGMA user_version") == [(3,)]
    backup = path.with_name("test.db.schema1.bak")
    assert (plain(backup, "PRAGMA user_version"), plain(backup, "SELECT * FROM t")) == ([(1,)], [(1, "x")])

    (schema.migrations / "0002_more.sql").unlink()
    (schema.migrations / "0003_more.sql").unlink()
    shutil.copy(backup, path)
    Database(path, schema).close()  # what the message for a newer schema advises


async def test_a_migration_that_fails_changes_nothing(path, schema):
    """Half of a script is no schema; the earlier steps of the same start stay, for they are whole."""
    Database(path, schema).close()
    more(schema, 2, "CREATE TABLE second (n);")
    more(schema, 3, "CREATE TABLE third (n); INSERT INTO nowhere VALUES (1);")

    assert "no such table: nowhere" in refused(path, schema)
    assert plain(path, "PRAGMA user_version") == [(2,)]
    assert {"t", "blobs", "second"} == {name for (name,) in plain(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")}
    (schema.migrations / "0003_more.sql").write_text("CREATE TABLE third (n);")
    Database(path, schema).close()
    assert plain(path, "PRAGMA user_version") == [(3,)]


async def test_only_its_owner_reads_it(path, schema):
    """Whatever the umask: customers' data, and the backup too."""
    old = os.umask(0)
    try:
        database = Database(path, schema)
        await database.write(insert(1))
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.glob("test.db*")}
        database.close()
        more(schema, 2, "CREATE TABLE later (n);")
        Database(path, schema).close()
        modes[".bak"] = stat.S_IMODE(path.with_name("test.db.schema1.bak").stat().st_mode)
    finally:
        os.umask(old)
    assert {"test.db", "test.db-wal", "test.db-shm", "test.db.lock", ".bak"} == set(modes)
    assert {0o600} == set(modes.values())


async def test_closing_twice(db):
    """What was submitted is finished; afterwards nothing can be."""
    waiting = asyncio.ensure_future(db.write(insert(1)))
    await asyncio.sleep(0)
    db.close()
    db.close()
    await waiting
    with pytest.raises(StoreError, match="is closed"):
        await db.write(insert(2))
    assert plain(db.path, "SELECT n FROM t") == [(1,)]


async def test_it_is_as_durable_as_it_says(db):
    """WAL and FULL: with NORMAL a power cut loses rows whose commit was reported."""
    assert [
        await db.alone(lambda c, name=name: c.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("journal_mode", "synchronous", "foreign_keys")
    ] == ["wal", 2, 1]


def test_named_statements(tmp_path):
    """A file of them, each with its comments."""
    (tmp_path / "q.sql").write_text("-- name: one\n-- why\nSELECT 1;\n\n-- name: two\nSELECT\n2;\n")

    assert statements(tmp_path / "q.sql") == {"one": "-- why\nSELECT 1;", "two": "SELECT\n2;"}


async def test_the_log_is_moved_into_the_database(tmp_path, monkeypatch):
    """Not at every commit, and not never: a copy of the database file alone holds what was checkpointed."""
    monkeypatch.setattr(module, "_CHECKPOINT_BUSY", 50)
    database = Database(tmp_path / "log.db", Schema("log", 1, _notes(tmp_path)))
    for number in range(120):
        await database.write(lambda connection, number=number: connection.execute("INSERT INTO note VALUES (?)", (number,)))
    await database.read(lambda connection: connection.execute("SELECT count(*) FROM note").fetchone())
    shutil.copy(tmp_path / "log.db", tmp_path / "copy.db")
    database.close()

    with contextlib.closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert 50 <= copy.execute("SELECT count(*) FROM note").fetchone()[0] <= 120


async def test_the_log_stays_small_under_load(tmp_path, monkeypatch):
    """However few the rows: without a quiet moment, its file is moved and cut as it grows."""
    monkeypatch.setattr(module, "_LOG_GROWTH", 256 * 1024)
    database, largest = Database(tmp_path / "log.db", Schema("log", 1, _notes(tmp_path))), 0
    for number in range(600):
        await database.write(lambda connection, number=number: connection.execute("INSERT INTO note VALUES (?)", (number,)))
        largest = max(largest, (tmp_path / "log.db-wal").stat().st_size)
    database.close()
    assert largest < 3 * 256 * 1024


def _notes(folder):
    migrations = folder / "notes"
    migrations.mkdir()
    (migrations / "0001_initial.sql").write_text("CREATE TABLE note (number INTEGER) STRICT;")
    return migrations


async def test_what_goes_together_is_one_call(db):
    """All items that wait at one moment share it, each gets its own result, and other units keep their places around it."""
    calls = []

    def together(connection, items):
        calls.append(list(items))
        connection.executemany("INSERT INTO t VALUES (?, 'x')", [(n,) for n in items])
        return [n * 10 for n in items]

    gate = threading.Event()
    held = asyncio.create_task(db.write(lambda _: gate.wait(10)))
    await asyncio.sleep(0.05)
    waiting = [db.write_together(together, 1), db.write(insert(7)), db.write_together(together, 2), db.write_together(together, 3)]
    tasks = [asyncio.create_task(one) for one in waiting]
    await asyncio.sleep(0)
    gate.set()

    assert await asyncio.gather(*tasks) == [10, 7, 20, 30]
    assert calls == [[1, 2, 3]]
    assert await numbers(db) == [1, 2, 3, 7]
    await held


async def test_one_bad_item_undoes_only_itself(db):
    """Those that shared its call are run again without it."""

    def together(connection, items):
        connection.executemany("INSERT INTO t VALUES (?, 'x')", [(n,) for n in items])
        return items

    results = await asyncio.gather(*(db.write_together(together, n) for n in (1, 2, 1, 3)), return_exceptions=True)

    assert [one for one in results if isinstance(one, int)] == [1, 2, 3]
    assert [sqlite3.IntegrityError] == [type(one) for one in results if not isinstance(one, int)]
    assert await numbers(db) == [1, 2, 3]


def test_a_statement_for_one_row_becomes_one_for_many():
    """And what stands behind the row stays behind the rows."""
    assert repeated("INSERT INTO t VALUES (?, ?) ON CONFLICT DO NOTHING", 2) == "INSERT INTO t VALUES (?, ?), (?, ?) ON CONFLICT DO NOTHING"
