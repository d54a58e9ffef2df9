"""The sql source, on SQLite, a real PostgreSQL and a real MariaDB: every row is found, whatever its stamp looks like."""

import contextlib
import itertools
import os
import sqlite3
import threading
import time
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import psycopg
import pymysql
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from shared import NOW

from connectors.sources.sql.options import SqlOptions
from connectors.sources.sql.source import SqlSource
from crmbridge.contract import Setting
from crmbridge.errors import FieldsGone, SourceError
from crmbridge.model import FieldSpec, FieldType, Network, cursors
from crmbridge.model.cursors import Position, back, begin, read

CANARY = "c4nary-p4ssword"
STAMPS = {
    "instant": ["2026-11-22T11:59:30+00:00", "2026-11-22T12:00:00+00:00", "2026-11-22T12:00:01.000001+00:00", "2026-11-22T12:10:00+00:00"],
    "naive": ["2026-11-22 11:59:30", "2026-11-22 12:00:00", "2026-11-22 12:00:01", "2026-11-22 12:10:00"],
    "date": ["2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"],
    "seconds": [1763812770, 1763812800, 1763812801, 1763813400],
    "fraction": [Decimal("1763812770.25"), Decimal("1763812800.5"), Decimal("1763812801.125"), Decimal("1763813400.75")],
    "counter": [7, 8, 9, 10],
}
TYPES = {
    "instant": "timestamptz",
    "naive": "timestamp",
    "date": "date",
    "seconds": "bigint",
    "fraction": "numeric",
    "counter": "integer",
}
MYSQL = {
    "instant": "timestamp(6) NULL",
    "naive": "datetime(6)",
    "date": "date",
    "seconds": "bigint",
    "fraction": "decimal(20, 3)",
    "counter": "integer",
}


class OnSqlite:
    """A CRM on SQLite."""

    kind = "sqlite"

    def __init__(self, folder):
        self.folder = folder
        self.connection = sqlite3.connect(folder / "crm.db", isolation_level=None)

    def type(self, name):
        return "NUMERIC" if name in ("seconds", "fraction", "counter") else "TEXT"

    def run(self, sql, rows=()):
        statement = sql.replace("%s", "?")
        for row in rows:
            self.connection.execute(statement, [float(one) if isinstance(one, Decimal) else one for one in row])
        if not rows:
            self.connection.execute(statement)

    @property
    def options(self):
        return {"sqlite": "crm.db"}

    def close(self):
        self.connection.close()


class OnPostgres:
    """A CRM on PostgreSQL, in a schema of its own."""

    kind = "postgres"
    names = itertools.count(1)

    def __init__(self, address):
        self.schema = f"s{next(self.names)}"
        self.connection = psycopg.connect(address, autocommit=True)
        self.connection.execute(f"CREATE SCHEMA {self.schema}")
        self.address = f"{address}?options=-csearch_path%3D{self.schema}"
        self.base = address
        self.connection.execute(f"SET search_path = {self.schema}")
        self.connection.execute("ALTER ROLE crm SET search_path = " + self.schema)

    def type(self, name):
        return TYPES[name]

    def run(self, sql, rows=()):
        for row in rows:
            self.connection.execute(sql, [one if isinstance(one, (int, Decimal)) else str(one) if one is not None else None for one in row])
        if not rows:
            self.connection.execute(sql)

    @property
    def options(self):
        return {"postgres": self.base}

    def close(self):
        self.connection.execute(f"DROP SCHEMA {self.schema} CASCADE")
        self.connection.close()


class OnMariadb:
    """A CRM on MariaDB, in a database of its own."""

    kind = "mariadb"
    names = itertools.count(1)

    def __init__(self, address):
        self.address, url = address, urlsplit(address)
        self.database = f"s{os.getpid()}_{next(self.names)}"
        self.connection = pymysql.connect(host=url.hostname, port=url.port, user=url.username, autocommit=True)
        self.run(f"CREATE DATABASE {self.database}")
        self.connection.select_db(self.database)
        with self.connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")

    def type(self, name):
        return MYSQL[name]

    def run(self, sql, rows=()):
        with self.connection.cursor() as cursor:
            for row in rows:
                cursor.execute(sql.replace("+00:00'", "'"), [one.removesuffix("+00:00") if isinstance(one, str) else one for one in row])
            if not rows:
                cursor.execute(sql.replace("+00:00'", "'").replace('"', "`"))

    @property
    def options(self):
        return {"mysql": f"{self.address.rpartition('/')[0]}/{self.database}"}

    def close(self):
        self.run(f"DROP DATABASE {self.database}")
        self.connection.close()


KINDS = {"sqlite": OnSqlite, "postgres": OnPostgres, "mariadb": OnMariadb}


@pytest.fixture(params=["sqlite", *(pytest.param(one, marks=pytest.mark.xdist_group(one)) for one in ("postgres", "mariadb"))])
def crm(request, tmp_path):
    """An empty CRM database of each kind."""
    made = KINDS[request.param](tmp_path if request.param == "sqlite" else request.getfixturevalue(request.param))
    yield made
    made.close()


@pytest.fixture
def make(crm, tmp_path):
    """Builds sources of the CRM, and closes them."""
    made = []

    def build(tables=None, records=None, deadline=8.0, **options):
        tables = tables or {"Deal": {"table": "deal", "changed": "changed"}}
        setting = Setting(name="crm", now=lambda: NOW, folder=tmp_path, records=records or {}, network=Network(deadline=deadline))
        made.append(SqlSource(SqlOptions(**{**crm.options, "tables": tables, "page": 10, **options}), setting))
        return made[-1]

    yield build
    for source in made:
        source.close()
        source.close()


def deal(crm, stamp="instant", rows=(), name="deal"):
    """A table `deal` with rows of (id, changed, name)."""
    crm.run(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, changed {crm.type(stamp)}, name TEXT)")
    add(crm, rows, name)


def add(crm, rows, name="deal"):
    if rows:
        crm.run(f"INSERT INTO {name} VALUES (%s, %s, %s)", rows)


def touch(crm, id, stamp, name):
    crm.run("UPDATE deal SET changed = %s, name = %s WHERE id = %s", [(stamp, name, id)])


def poll(source, cursor=None):
    """All pages up to the end: (observations, cursor, pages)."""
    found, pages = [], 0
    while True:
        page = source.poll(cursor)
        found += page.observations
        cursor, pages = page.cursor, pages + 1
        assert pages < 200, "it never ends"
        if not page.has_more:
            return found, cursor, pages


def ids(found):
    return [one.record_id for one in found]


class TestScenario:
    """What holds on every database."""

    @pytest.mark.parametrize("stamp", STAMPS)
    def test_everything_is_found_then_what_changes(self, crm, make, stamp):
        """Ties larger than a page, in the baseline and later; then one change; then nothing is lost to the cursor."""
        first, second, third, fourth = STAMPS[stamp]
        deal(crm, stamp, [(n, first, "a") for n in range(25)] + [(n, second, "a") for n in range(25, 60)])
        source = make()

        found, cursor, pages = poll(source)
        assert [str(n) for n in range(60)] == ids(found)
        assert pages == 7

        for n in range(0, 60, 2):
            touch(crm, n, third, "b")
        found, cursor, _ = poll(make(), cursor)  # another process, with the stored cursor
        assert {str(n) for n in range(0, 60, 2)} <= set(ids(found))

        touch(crm, 3, fourth, "c")
        add(crm, [(100, third, "late, with a stamp that was read already")])
        found, cursor, _ = poll(make(), cursor)
        assert {"3", "100"} <= set(ids(found))
        assert {"c"} == {one.fields["name"] for one in found if one.record_id == "3"}

        add(crm, [(101, fourth, "of the last stamp's very instant")])
        found, _, _ = poll(make(), cursor)
        assert "101" in ids(found)

    def test_the_overlap_is_bounded(self, crm, make):
        """A quiet table is not read again as a whole."""
        deal(crm, rows=[(n, "2026-11-22T10:00:00+00:00", "a") for n in range(30)] + [(99, "2026-11-22T12:00:00+00:00", "a")])
        source = make()
        _, cursor, _ = poll(source)

        assert ids(poll(source, cursor)[0]) == ["99"]

    def test_a_late_commit_behind_the_cursor_is_found(self, crm, make):
        """A transaction that began earlier and is committed after we read later stamps."""
        deal(crm, rows=[(1, "2026-11-22T12:00:00+00:00", "a")])
        source = make()
        _, cursor, _ = poll(source)
        with contextlib.ExitStack() as stack:
            if crm.kind == "postgres":
                late = stack.enter_context(psycopg.connect(crm.base))
                late.execute(f"INSERT INTO {crm.schema}.deal VALUES (2, '2026-11-22T12:00:10+00:00', 'late')")
            add(crm, [(3, "2026-11-22T12:00:30+00:00", "a")])
            found, cursor, _ = poll(source, cursor)
            assert "2" not in ids(found)
            assert "3" in ids(found)
            if crm.kind == "postgres":
                late.commit()
        if crm.kind != "postgres":
            add(crm, [(2, "2026-11-22T12:00:10+00:00", "late")])

        assert "2" in ids(poll(source, cursor)[0])

    def test_an_hour_that_comes_twice_skips_nothing(self, crm, make):
        """When summer time ends, a local hour names two instants: the overlap must not begin in the later one."""
        deal(crm, rows=[(1, "2026-10-25T00:30:00+00:00", "the first half past two in Berlin")])
        source = make()
        _, cursor, _ = poll(source)
        add(crm, [(2, "2026-10-25T00:40:00+00:00", "the first twenty to three")])

        assert ids(poll(source, cursor)[0]) == ["1", "2"]

    def test_two_tables(self, crm, make):
        """Each has its own position; one poll reads both, empty or not, and a pass can be resumed between them."""
        deal(crm, rows=[(n, "2026-11-22T12:00:00+00:00", "a") for n in range(25)])
        deal(crm, name="person")
        source = make({"Deal": {"table": "deal", "changed": "changed"}, "Person": {"table": "person", "changed": "changed"}})

        one = source.poll(None)
        rest, cursor, pages = poll(make(source._options.model_dump()["tables"]), one.cursor)
        assert (len(one.observations), len(rest), pages) == (10, 15, 3)

        add(crm, [(7, "2020-01-01T00:00:00+00:00", "new, though long ago")], "person")
        found, _, _ = poll(source, cursor)
        assert [(one.record_type, one.record_id) for one in found if one.record_type == "Person"] == [("Person", "7")]

    def test_a_table_that_is_added_later_is_learnt(self, crm, make):
        """What exists in it is not news; what comes into it afterwards is."""
        deal(crm, rows=[(1, "2026-11-22T12:00:00+00:00", "a")])
        deal(crm, name="person", rows=[(n, "2026-11-22T12:00:00+00:00", "a") for n in range(15)])
        tables = {"Deal": {"table": "deal", "changed": "changed"}}
        _, cursor, _ = poll(make(tables))
        both = make(tables | {"Person": {"table": "person", "changed": "changed"}})

        seen = []
        for _ in range(6):
            page = both.poll(cursor)
            cursor = page.cursor
            seen.append((sorted({one.record_type for one in page.observations}), page.learning))
        assert seen == [
            (["Deal"], False),
            (["Person"], True),
            (["Person"], True),
            (["Deal"], False),
            (["Person"], False),
            (["Person"], False),
        ]

    def test_tombstones(self, crm, make):
        """A column says that the record is gone; false, zero and null say that it is there."""
        crm.run(f"CREATE TABLE deal (id INTEGER, changed {crm.type('instant')}, name TEXT, gone TEXT)")
        said = [None, "0", "false", "f", "", "1", "true", "2026-11-22"]
        crm.run("INSERT INTO deal VALUES (%s, '2026-11-22T12:00:00+00:00', 'a', %s)", list(enumerate(said)))

        found, _, _ = poll(make({"Deal": {"table": "deal", "changed": "changed", "deleted": "gone"}}))
        assert [one.deleted for one in found] == [False] * 5 + [True] * 3
        assert {"name"} == set(found[0].fields)

    def test_check_names_what_is_missing(self, crm, make):
        """Rows without a stamp can never be seen, and a column that is not there is not silence."""
        deal(crm, rows=[(1, "2026-11-22T12:00:00+00:00", "a"), (2, None, "b")])
        with pytest.raises(SourceError, match=r"Deal: 1 rows have no changed and can never be seen; write a query with coalesce"):
            make().check()
        assert ids(poll(make())[0]) == ["1"]

        with pytest.raises(SourceError, match="Deal: the table has no column owner; it has changed, id, name"):
            make({"Deal": {"table": "deal", "changed": "changed", "actor": "owner"}}, {"Deal": {"nam": FieldSpec()}}).check()
        query = "SELECT id, name, coalesce(changed, '2000-01-01') AS changed FROM deal"
        with pytest.raises(FieldsGone, match="Deal: the table has no column nam; it has changed, id, name"):
            make({"Deal": {"query": query, "changed": "changed"}}, {"Deal": {"nam": FieldSpec()}}).check()
        make({"Deal": {"query": "SELECT id, name, coalesce(changed, '2000-01-01') AS changed FROM deal", "changed": "changed"}}).check()

    @pytest.mark.parametrize("table", [{"changed": "changd"}, {"changed": "changed", "id": "uuid"}])
    @pytest.mark.parametrize("rows", [[], [(1, "2026-11-22T12:00:00+00:00", "a")]])
    def test_a_misspelt_column_is_an_error(self, crm, make, table, rows):
        """SQLite takes a quoted name that is no column for a text: that must not read as `nothing changed`."""
        deal(crm, rows=rows)
        with pytest.raises(SourceError, match=f"{table.get('id', table['changed'])}"):
            poll(make({"Deal": {"table": "deal", **table}}))

    def test_a_query_gives_names_with_dots(self, crm, make):
        """Joined fields are called as in the rules, and a comment in the query's last line ends there."""
        deal(crm, rows=[(1, "2026-11-22T12:00:00+00:00", "Parkers")])
        query = 'SELECT id, changed, name AS "Account.name", \'5\' AS "a ""quoted"" amount" FROM deal -- all'
        records = {"Deal": {"Account.name": FieldSpec(), 'a "quoted" amount': FieldSpec(type=FieldType.NUMBER), "missing": FieldSpec()}}

        ((one,), _, _) = poll(make({"Deal": {"query": query, "changed": "changed"}}, records))
        assert {"Account.name": "Parkers", 'a "quoted" amount': Decimal(5)} == one.fields

    def test_signs_that_drivers_take_for_parameters(self, crm, make):
        """`%` is text on all; `?` would be a parameter on SQLite and is refused there."""
        deal(crm, rows=[(1, "2026-11-22T12:00:00+00:00", "50% off"), (2, "2026-11-22T12:00:00+00:00", "no")])
        tables = {"Deal": {"query": "SELECT id, changed, name AS \"100%\" FROM deal WHERE name LIKE '%off%'", "changed": "changed"}}
        found, cursor, _ = poll(make(tables))
        assert [one.fields for one in found] == [{"100%": "50% off"}]
        assert ids(poll(make(tables), cursor)[0]) == ["1"]

        source = make({"Deal": {"query": "SELECT * FROM deal WHERE name <> '?'", "changed": "changed"}})
        if crm.kind != "sqlite":
            assert ids(poll(source)[0]) == ["1", "2"]
        else:
            with pytest.raises(SourceError, match=r"a query may not hold `\?`"):
                source.poll(None)

    def test_a_column_with_a_percent_sign(self, crm, make):
        """Also where the column is the stamp."""
        crm.run('CREATE TABLE deal (id INTEGER, "done%" INTEGER)')
        crm.run("INSERT INTO deal VALUES (1, 5)")
        source = make({"Deal": {"table": "deal", "changed": "done%"}})

        found, cursor, _ = poll(source)
        assert ["1"] == ids(found) == ids(poll(source, cursor)[0])

    def test_a_source_cannot_write(self, crm, make):
        """Whatever the query does, the CRM is read only."""
        deal(crm, rows=[(1, "2026-11-22T12:00:00+00:00", "a")])
        if crm.kind == "postgres":
            crm.run("CREATE SEQUENCE s")
            query = "SELECT id, changed, nextval('s') AS n FROM deal"
            crm.run("CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM deal RETURNING 1'")
            with pytest.raises(SourceError, match="read-only transaction"):
                make({"Deal": {"query": "SELECT id, changed, wipe() AS n FROM deal", "changed": "changed"}}).poll(None)
        else:
            query = "SELECT * FROM deal) AS x; DELETE FROM deal --"
        with pytest.raises(SourceError):
            make({"Deal": {"query": query, "changed": "changed"}}).poll(None)
        source = make()
        with pytest.raises(SourceError, match=r"(?i)read[- ]?only"):
            source._open().rows("DELETE FROM deal", [])
        assert ids(poll(make())[0]) == ["1"]

    def test_a_cursor_of_another_version(self, crm, make):
        """It is never guessed at."""
        deal(crm)
        for cursor in (
            '{"v": 99, "tables": {}, "current": null}',
            "[]",
            "17",
            "not json",
            '{"v": 1}',
            '{"v": 1, "tables": {"Deal": 3}, "current": null}',
        ):
            with pytest.raises(SourceError):
                make().poll(cursor)

    def test_facts_of_an_observation(self, crm, make):
        """Who, when, where; the record's own id and stamp are no fields."""
        crm.run(f"CREATE TABLE deal (id TEXT, changed {crm.type('instant')}, name TEXT, editor TEXT)")
        crm.run(
            "INSERT INTO deal VALUES ('D/1', '2026-11-22T12:00:00.25+00:00', 'a', 'Ann'), ('D2', '2026-11-22T12:00:01+00:00', NULL, NULL)"
        )
        one, other = poll(make({"Deal": {"table": "deal", "changed": "changed", "actor": "editor", "url": "https://crm/{id}"}}))[0]

        assert (one.record_id, one.fields, one.actor, one.url) == ("D/1", {"name": "a"}, "Ann", "https://crm/D%2F1")
        assert datetime(2026, 11, 22, 12, 0, 0, 250_000, timezone.utc) == one.occurred_at
        assert (other.fields, other.actor) == ({"name": None}, None)
        assert one.version < other.version

    def test_an_epoch_column_says_when_it_happened(self, crm, make):
        """max_age counts from then, not from when we looked."""
        deal(crm, "seconds", [(1, 1763812800, "a")])
        ((one,), _, _) = poll(make())

        assert datetime(2025, 11, 22, 12, 0, tzinfo=timezone.utc) == one.occurred_at

    def test_a_record_without_an_id_is_an_error(self, crm, make):
        """It could never be told from another."""
        crm.run(f"CREATE TABLE deal (id TEXT, changed {crm.type('instant')})")
        crm.run("INSERT INTO deal VALUES (NULL, '2026-11-22T12:00:00+00:00')")
        with pytest.raises(SourceError, match="Deal: a row has no id"):
            make().poll(None)

    def test_a_read_that_takes_too_long_ends(self, crm, make):
        """The deadline is the database's own: nothing of it runs on."""
        deal(crm, rows=[(n, "2026-11-22T12:00:00+00:00", "a") for n in range(40)])
        slow = "SELECT a.id, a.changed FROM " + ", ".join(f"deal {name}" for name in "abcdef")
        source = make({"Deal": {"query": slow + " ORDER BY b.name || c.name || d.name", "changed": "changed"}}, deadline=1.0)
        began = time.monotonic()
        with pytest.raises(SourceError, match=r"no answer within 1 s|statement timeout"):
            source.poll(None)
        assert time.monotonic() - began < 6


class TestSqlite:
    """What only SQLite can do to us."""

    @pytest.fixture
    def source(self, tmp_path):
        options = SqlOptions(sqlite="crm.db", tables={"Deal": {"table": "deal", "changed": "changed"}})
        return SqlSource(options, Setting(name="crm", folder=tmp_path))

    def test_missing_then_there(self, source, tmp_path):
        """A database that is not there yet is an error, not an empty CRM, and it is not made."""
        with pytest.raises(SourceError, match=r"crm.db: it does not exist"):
            source.poll(None)
        assert list(tmp_path.iterdir()) == []

        with sqlite3.connect(tmp_path / "crm.db") as crm:
            crm.execute("CREATE TABLE deal (id, changed)")
            crm.execute("INSERT INTO deal VALUES (1, 2)")
        crm.close()
        assert ids(poll(source)[0]) == ["1"]

    def test_locked(self, source, tmp_path):
        """A writer that keeps the database is waited for, then told about."""
        with contextlib.closing(sqlite3.connect(tmp_path / "crm.db", isolation_level=None)) as crm:
            crm.execute("CREATE TABLE deal (id, changed)")
            crm.execute("BEGIN EXCLUSIVE")
            with pytest.raises(SourceError, match="locked"):
                source.poll(None)
            crm.execute("COMMIT")
            assert (list(source.poll(None).observations), source.poll(None).has_more) == ([], False)

    def test_not_a_database(self, source, tmp_path):
        """A wrong path is said, not read."""
        (tmp_path / "crm.db").write_bytes(b"hello " * 1000)
        with pytest.raises(SourceError, match="not a database"):
            source.poll(None)

    def test_bytes_that_are_no_text(self, source, tmp_path):
        """SQLite stores any bytes as text: one broken row stops nothing."""
        with sqlite3.connect(tmp_path / "crm.db") as crm:
            crm.execute("CREATE TABLE deal (id, changed, name)")
            crm.execute("INSERT INTO deal VALUES (1, 5, cast(x'41ff00' AS text)), (2, 6, x'ff')")
        crm.close()

        one, other = poll(source)[0]
        assert (one.fields["name"], other.fields["name"]) == ("A\ufffd\ufffd", "ff")

    def test_a_writer_beside_us_loses_nothing(self, source, tmp_path):
        """Rows written while pages are read are all found, each at least once."""
        source = SqlSource(
            SqlOptions(sqlite="crm.db", page=10, tables={"Deal": {"table": "deal", "changed": "changed"}}),
            Setting(name="crm", folder=tmp_path),
        )
        with contextlib.closing(sqlite3.connect(tmp_path / "crm.db", isolation_level=None)) as crm:
            crm.execute("PRAGMA journal_mode=WAL")
            crm.execute("CREATE TABLE deal (id INTEGER PRIMARY KEY, changed TEXT)")

        def write():
            with contextlib.closing(sqlite3.connect(tmp_path / "crm.db", isolation_level=None, timeout=10)) as crm:
                for n in range(300):
                    crm.execute("INSERT INTO deal VALUES (?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))", (n,))

        writer = threading.Thread(target=write)
        writer.start()
        seen, cursor = set(), None
        while writer.is_alive():
            found, cursor, _ = poll(source, cursor)
            seen |= set(ids(found))
        writer.join()
        seen |= set(ids(poll(source, cursor)[0]))
        assert {str(n) for n in range(300)} == seen


@pytest.mark.xdist_group("postgres")
class TestPostgres:
    """What only PostgreSQL can do to us."""

    def source(self, address, **options):
        tables = {"Deal": {"query": "SELECT 1 AS id, now() AS changed", "changed": "changed"}}
        return SqlSource(SqlOptions(postgres=address, tables=tables, **options), Setting(name="crm", network=Network(deadline=2.0)))

    @pytest.mark.parametrize(
        "address",
        [
            f"postgresql://reader:{CANARY}@127.0.0.1:1/crm",
            f"host=127.0.0.1 port=1 user=reader password={CANARY}",
            f"{CANARY} words that are no connection string",
            f"postgresql://reader:{CANARY}@127.0.0.1:notaport/crm",
            f"host=127.0.0.1 passwort={CANARY}",
            {"env": "CRMBRIDGE_TEST_UNSET"},
        ],
    )
    def test_down_or_misspelt(self, postgres, address):
        """A SourceError with a reason, and never with the secret."""
        with pytest.raises(SourceError) as caught:
            self.source(address).poll(None)
        assert CANARY not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"
        assert str(caught.value)

    def test_the_wrong_password(self, postgres):
        """The server's own words, without ours."""
        source = self.source(postgres.replace("crm@", f"nobody:{CANARY}@"))
        with pytest.raises(SourceError, match='role "nobody" does not exist') as caught:
            source.poll(None)
        assert CANARY not in str(caught.value)

    def test_a_lost_connection_is_made_again(self, postgres):
        """The server was restarted, or it ended our session: one failed poll, then all is well."""
        source = self.source(postgres)
        source.poll(None)
        with psycopg.connect(postgres, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'crmbridge'")
        with pytest.raises(SourceError):
            source.poll(None)
        assert ids(source.poll(None).observations) == ["1"]
        source.close()

    def test_values_that_python_has_no_word_for(self, postgres):
        """`infinity` and the year 20000 are ordinary in PostgreSQL: as text, not as an end of reading."""
        query = """SELECT 1 AS id, 5 AS changed, 'infinity'::timestamptz AS a, '20000-01-01'::date AS b, '-infinity'::timestamp AS c,
            'NaN'::numeric AS d, '{"k": [1, null]}'::jsonb AS e, ARRAY['x', NULL] AS f, 'deadbeef'::bytea AS g, '24:00'::time AS h"""
        source = SqlSource(
            SqlOptions(postgres=postgres, tables={"Deal": {"query": query, "changed": "changed"}}), Setting(name="crm", network=Network())
        )
        (one,) = source.poll(None).observations
        source.close()
        assert tuple(one.fields[name] for name in "abcd") == ("infinity", "20000-01-01", "-infinity", "NaN")
        assert (one.fields["e"], one.fields["f"]) == ('{"k": [1, null]}', ("x", None))


# --- the cursor, alone --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stamp", "seconds", "expected"),
    [
        ("2026-11-22T12:00:00+00:00", 60, "2026-11-22T11:59:00"),
        ("2026-11-22 12:00:00.123456", 60, "2026-11-22 11:59:00"),
        ("2026-11-22T12:00:30.5Z", 0, "2026-11-22T12:00:30"),
        ("2026-11-22", 60, "2026-11-21"),
        ("2026-11-22T12:00", 60, "2026-11-22T11:59"),
        ("2026-11-22T12:00+01:00", 0, "2026-11-22T12:00"),
        ("20261122T120000", 60, "2026"),
        ("0001-01-01T00:00:00", 60, "0001-01-01T00:00:00"),
        ("v17", 60, "v17"),
        ("", 60, ""),
        (1763812800, 60, 1763812740),
        (1763812800.5, 60, 1763812740.5),
        (1763812800123, 60, 1763812740123),
        (1763812800123456, 60, 1763812740123456),
        (5000, 60, 4000),
        (-5, 60, -1005),
        (10**18, 60, 10**18 - 1000),
    ],
)
def test_looking_back(stamp, seconds, expected):
    """Each form of a stamp keeps its form, and sorts before every stamp of that second or later."""
    assert expected == back(stamp, seconds)


INSTANTS = st.datetimes(min_value=datetime(1000, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(timezone.utc))
FORMS = [
    "%Y-%m-%dT%H:%M:%S+00:00",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%MZ",
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y%m%dT%H%M%S",
]


@given(INSTANTS, st.sampled_from(FORMS), st.integers(0, 86_400), st.data())
def test_a_stamp_within_the_overlap_is_never_before_the_start(moment, form, seconds, data):
    """For every form in which a CRM may write an instant."""
    later = moment - timedelta(seconds=data.draw(st.integers(0, seconds)))

    assert back(moment.strftime(form), seconds) <= later.strftime(form)


@given(st.one_of(st.integers(-(10**17), 10**17), st.floats(0, 1e16)), st.integers(0, 86_400))
def test_numbers_go_back(stamp, seconds):
    """Never forward."""
    assert back(stamp, seconds) <= stamp


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10_000)), unique_by=lambda row: row[1], max_size=60),
    st.integers(1, 12),
    st.lists(st.integers(0, 60), max_size=4).map(sorted),
)
def test_no_row_is_ever_skipped(rows, size, cuts):
    """Rows appear in the order of their stamps, in some pieces, between whole passes: every one is read."""
    rows = sorted(rows)
    position, seen = Position(), set()
    for cut in [*cuts, len(rows)]:
        there = rows[:cut]
        position = begin(position, 60)
        while True:
            wanted = [
                one for one in there if (one > position.after if position.after else position.start is None or one[0] >= position.start)
            ]
            page = wanted[:size]
            seen |= set(page)
            complete = len(page) < size
            position = read(position, page[-1] if page else None, complete=complete)
            text = cursors.dump({"t": position}, "t")
            ((_, position),) = cursors.load(text)[0].items()
            if complete:
                break
    assert set(rows) == seen


def test_text_stands_above_numbers():
    """As SQLite sorts them: a column without a type may hold both."""
    position = read(Position(high="2026-11-22"), (1763812800, 1), complete=True)
    assert position.high == "2026-11-22"
    assert read(Position(high=1763812800), ("2026-11-22", 1), complete=True).high == "2026-11-22"


def test_options_name_one_database():
    """Neither and both are refused."""
    table = {"Deal": {"table": "deal", "changed": "changed"}}
    for wrong in ({}, {"sqlite": "a", "postgres": "b"}):
        with pytest.raises(ValueError, match="write either `sqlite`, `postgres` or `mysql`"):
            SqlOptions(tables=table, **wrong)
    with pytest.raises(ValueError, match="write either `table` or `query`"):
        SqlOptions(sqlite="a", tables={"Deal": {"changed": "changed"}})
    assert CANARY not in repr(SqlOptions(tables=table, postgres=f"postgresql://{CANARY}@h/d"))


def test_a_stamp_in_the_future_hides_nothing():
    """A typing error in one row, or a clock ahead: the next pass starts before now all the same."""
    now = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)
    for high, start in [
        ("2062-01-01 00:00:00", "2026-11-22 11:59:00"),
        ("2062-01-01T00:00:00+02:00", "2026-11-22T13:59:00"),
        ("2026-11-22 11:00:00", "2026-11-22 10:59:00"),
        (int(now.timestamp()) + 10**9, int(now.timestamp()) - 60),
        (5_000, 4_000),
    ]:
        assert cursors.begin(cursors.Position(high=high), 60, now).start == start


@given(
    st.sampled_from(["America/Los_Angeles", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Auckland"]),
    st.sampled_from([2025, 2026, 2027]),
    st.lists(st.tuples(st.integers(-90, 150), st.integers(1, 5)), min_size=1, max_size=12),
    st.lists(st.integers(-120, 180), max_size=8),
    st.booleans(),
)
@example("America/Los_Angeles", 2026, [(-2, 2), (10, 1)], [-1], False)  # 01:58 was read, and 01:10 comes behind it
@example("Pacific/Auckland", 2025, [(0, 1), (-45, 1)], [-1], True)  # where it is set back in April
def test_a_wall_clock_that_is_set_hides_no_change(zone, year, changes, polls, spring):
    """Whenever rows change and polls look, in the nights when a clock is set back or forward: each last state is seen."""
    place = ZoneInfo(zone)
    hours = [datetime(year, 1, 1, tzinfo=timezone.utc) + timedelta(hours=n) for n in range(8760)]
    set_at = [b for a, b in itertools.pairwise(hours) if a.astimezone(place).utcoffset() != b.astimezone(place).utcoffset()]
    night = set_at[0 if spring else -1]
    table, truth, seen, position = {0: "2020-01-01 00:00:00"}, {0: 0}, {}, Position()
    for minute, what, row in sorted([(m, 0, id) for m, id in changes] + [(m, 1, 0) for m in [*polls, 181]]):
        now = night + timedelta(minutes=minute)
        if what == 0:
            table[row], truth[row] = now.astimezone(place).strftime("%Y-%m-%d %H:%M:%S"), minute
            continue
        position = begin(position, 60, now, place)
        found = sorted((stamp, id) for id, stamp in table.items() if position.start is None or stamp >= position.start)
        seen |= {id: truth[id] for _, id in found}
        position = read(position, found[-1] if found else None, complete=True)
    assert seen == truth


@pytest.mark.parametrize(
    ("wall", "now", "expected"),
    [
        ("2026-06-01 12:00:00", "2026-06-01T20:00", "2026-06-01 11:59:00"),
        ("2026-11-01 01:58:00", "2026-11-01T08:59", "2026-11-01 01:57:00"),  # 01:59, before the clock is set back
        ("2026-11-01 01:58:00", "2026-11-01T09:10", "2026-11-01 00:55:00"),  # 01:10 for the second time
        ("2026-11-01 02:30:00", "2026-11-01T10:31", "2026-11-01 02:29:00"),
        ("2026-03-08 02:30:00", "2026-03-08T10:31", "2026-03-08 02:29:00"),  # a time that no clock showed
        ("2099-01-01 00:00:00", "2026-06-01T20:00", "2026-06-01 12:59:00"),  # a typing error
        ("2026-06-01T12:00:00+02:00", "2026-06-01T20:00", "2026-06-01T11:59:00"),
        ("2026-06-01", "2026-06-01T20:00", "2026-05-31"),
    ],
)
def test_looking_back_by_a_wall_clock(wall, now, expected):
    """In Los Angeles, by 60 seconds."""
    found = back(wall, 60, datetime.fromisoformat(now).replace(tzinfo=timezone.utc), ZoneInfo("America/Los_Angeles"))
    assert found <= expected
    assert found[:13] == expected[:13]


@pytest.mark.xdist_group("postgres")
def test_a_column_that_may_not_be_read_is_named(postgres):
    """In the database's own words. All columns are read, so that one that is closed closes the table."""
    crm = OnPostgres(postgres)
    deal(crm)
    role = f"reader_{crm.schema}"
    crm.run(f"CREATE ROLE {role} LOGIN")
    crm.run(f"GRANT USAGE ON SCHEMA {crm.schema} TO {role}")
    crm.run(f"GRANT SELECT (id, changed) ON deal TO {role}")
    crm.run(f"ALTER ROLE {role} SET search_path = {crm.schema}")
    options = SqlOptions(postgres=postgres.replace("crm@", f"{role}@"), tables={"Deal": {"table": "deal", "changed": "changed"}})
    with contextlib.closing(SqlSource(options, Setting(name="crm"))) as source:
        (lacking,) = source.rights()
        assert (lacking.name, "permission denied for table deal" in lacking.refused) == ("SELECT on all columns of deal", True)
        crm.run(f"GRANT SELECT ON deal TO {role}")
        assert [one.refused for one in source.rights()] == [""]
    crm.run(f"DROP OWNED BY {role}")
    crm.run(f"DROP ROLE {role}")
    crm.close()


def test_a_database_that_is_not_there_lacks_no_right(tmp_path):
    """Nothing is known of any."""
    options = SqlOptions(sqlite="nowhere.db", tables={"Deal": {"table": "deal", "changed": "changed"}})
    with pytest.raises(SourceError):
        SqlSource(options, Setting(name="crm", folder=tmp_path)).rights()


def test_an_id_is_what_earlier_versions_stored(tmp_path):
    """Else every record would be told as made, and the one that is known as deleted."""
    with contextlib.closing(sqlite3.connect(tmp_path / "crm.db", isolation_level=None)) as crm:
        crm.execute("CREATE TABLE deals (id, changed TEXT)")
        crm.executemany("INSERT INTO deals VALUES (?, '2026-11-22')", [(7.0,), ("AB   ",), (b"\x12",)])
    tables = {"Deal": {"table": "deals", "changed": "changed"}}
    source = SqlSource(SqlOptions.model_validate({"sqlite": "crm.db", "tables": tables}), Setting(name="crm", folder=tmp_path))
    assert {one.record_id for one in source.poll(None).observations} == {"7.0", "AB   ", "12"}
    assert set(source.walk("Deal", None, rows=False).ids) == {"7.0", "AB   ", "12"}


def test_a_stamp_that_is_none_hides_nothing(tmp_path):
    """`n/a` among instants sorts behind all of them: it is read, and what changes later is too. PostgreSQL's `infinity` is one as well."""
    with contextlib.closing(sqlite3.connect(tmp_path / "crm.db", isolation_level=None)) as crm:
        crm.execute("CREATE TABLE deals (id INTEGER, changed TEXT)")
        crm.executemany("INSERT INTO deals VALUES (?, ?)", [(1, "2026-11-22 10:00:00"), (2, "n/a"), (3, "infinity")])
        tables = {"Deal": {"table": "deals", "changed": "changed"}}
        setting = Setting(name="crm", folder=tmp_path, now=lambda: NOW)
        source = SqlSource(SqlOptions.model_validate({"sqlite": "crm.db", "tables": tables}), setting)
        first = source.poll(None)
        assert ids(first.observations) == ["1", "3", "2"]
        crm.execute("INSERT INTO deals VALUES (4, '2026-11-22 11:00:00')")
        assert "4" in ids(source.poll(first.cursor).observations)


def test_a_cursor_that_stands_at_no_instant_comes_back():
    """Earlier versions let it get there."""
    stuck = Position(high="infinity", whole=True)
    assert read(stuck, ("2026-11-22 10:00:00", 1), complete=True).high == "2026-11-22 10:00:00"
    for counter, more in (("20261231", "20261232"), (9_999_999_999, 10_000_000_000), ("01HA", "01HB")):
        assert read(Position(high=counter), (more, 1), complete=True).high == more, "a counter, whatever it looks like"
