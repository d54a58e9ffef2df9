"""The keys of a sql source: which database, which rows, which columns."""

import contextlib
import socket
import sqlite3
import threading

from flow.wire.bridge import Stage, facts
from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of

from crmbridge.errors import SourceError


class Sql(Stage):
    """A database with two tables of deals, in one of which a deal is won and in the other lost."""

    YAML = """
crmbridge: 1
sources:
  crm:
    type: sql
    sqlite: crm.db
    tables: {Deal: {table: deals, changed: at}}
    records: {Deal: {fields: {stage: public}}}
destinations: {out: {type: console}}
"""

    def prepare(self):
        for name, ends in (("crm.db", ("won", "lost")), ("other.db", ("moved", "gone"))):
            db = self._stack.enter_context(contextlib.closing(sqlite3.connect(self.folder / name, isolation_level=None)))
            for table in ("deals", "leads"):
                db.execute(f"CREATE TABLE {table} (id, key, stage, at, other_at, made, gone, who)")
            setattr(self, name.partition(".")[0], db)
            setattr(self, f"{name.partition('.')[0]}_ends", ends)

    def row(self, table, id, stage, at, *, made="2020-01-01T00:00:00", gone=None):
        """Write a row into that table of both databases; `stage` by database where it is a pair."""
        for db, ends in ((self.crm, self.crm_ends), (self.other, self.other_ends)):
            word = ends[stage] if isinstance(stage, int) else stage
            db.execute(f"DELETE FROM {table} WHERE id = ?", (id,))
            db.execute(
                f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, 'Ann')",
                (id, f"k{id}", word, f"2026-11-22T{at}", "2026-11-22T10:45:00" if at > "11" else "2026-11-22T09:00:00", made, gone),
            )

    def changed(self, *names, id=1, at="11:30:00", **more):
        """What a poll tells of a row that is written after a first poll."""
        self.start()
        for table in ("deals", "leads"):
            self.row(table, 1, "open", "10:00:00")
        assert self.poll() == []
        for index, table in enumerate(("deals", "leads")):
            self.row(table, id, more.pop("stage", index) if table == "deals" else index, at, **more)
        return facts(self.poll(), *names)


proves = proofs_of(Sql)
QUERY = "SELECT * FROM leads WHERE stage <> 'x'"
ONE_OF_TWO = {"sources/crm/tables/Deal/table": ABSENT}


@proves("sources.sql.sqlite", ("crm.db", [["won"]]), ("other.db", [["moved"]]))
@proves("sources.sql.tables.table", ("deals", [["won"]]), ("leads", [["lost"]]))
@proves("sources.sql.tables.query", (QUERY, [["lost"]]), ("SELECT * FROM deals", [["won"]]), given=ONE_OF_TWO)
def a_row_changes(stage):
    """What it is now."""
    return stage.changed("stage")


@proves("sources.sql.tables.id", ("id", [["1"]]), ("key", [["k1"]]))
def whose_row(stage):
    """Which record changed."""
    return stage.changed("record_id")


@proves("sources.sql.tables.changed", ("at", [["2026-11-22T11:30:00+00:00"]]), ("other_at", [["2026-11-22T10:45:00+00:00"]]))
@proves("sources.sql.zone", ("UTC", [["2026-11-22T11:30:00+00:00"]]), ("Europe/Berlin", [["2026-11-22T10:30:00+00:00"]]))
def when_it_changed(stage):
    """The instant of the change."""
    return stage.changed("occurred_at")


@proves("sources.sql.tables.created", (ABSENT, [["created", "2"]]), ("made", []))
def a_row_comes_into_sight(stage):
    """What is told of a row that was made long ago and was not there before."""
    return stage.changed("kind", "record_id", id=2)


@proves("sources.sql.tables.deleted", (ABSENT, [["updated"]]), ("gone", [["deleted"]]))
def a_row_is_marked(stage):
    """What a mark in a column means."""
    return stage.changed("kind", gone=1)


STAGE = "sources/crm/records/Deal/fields/stage"


@proves("sources.sql.numbers", ("1.234,5", [["1250"]]), ("1,234.5", [["1.25"]]), given={STAGE: "number"})
def a_number_as_text(stage):
    """What 1.250 means."""
    return stage.changed("stage", stage="1.250")


@proves("sources.sql.dates", ("31/12/2026", [["2026-03-02"]]), ("12/31/2026", [["2026-02-03"]]), given={STAGE: "date"})
def a_day_as_text(stage):
    """Which day 02/03/2026 is."""
    return stage.changed("stage", stage="02/03/2026")


@proves("sources.sql.tables.actor", (ABSENT, [[None]]), ("who", [["Ann"]]))
def who_changed_it(stage):
    """Who changed a row."""
    return stage.changed("actor")


@proves("sources.sql.tables.url", (ABSENT, [[None]]), ("https://crm.example/{id}", [["https://crm.example/1"]]))
def the_address_of_a_row(stage):
    """What a change says of it."""
    return stage.changed("url")


@proves("sources.sql.overlap", (60, []), (7200, [["2"]]))
def a_late_commit(stage):
    """Whether a row is found whose stamp lies an hour before what was read."""
    return stage.changed("record_id", id=2, at="09:00:00")


@proves("sources.sql.page", (10, [10, 5]), (20, [15]))
def rows_of_one_read(stage):
    """How many rows each transaction brings, of fifteen."""
    for id in range(15):
        stage.row("deals", id, "open", "10:00:00")
    stage.start().poll()
    return stage.batches


@proves("sources.sql.tables.deletes_every", ("off", []), ("5m", [["deleted", "1"]]), given={"sources/crm/tables/Deal/compare": "off"})
def a_row_is_gone(stage):
    """What is told of a row that is not there any more."""
    stage.row("deals", 1, "open", "10:00:00")
    stage.row("deals", 2, "open", "10:00:00")
    stage.start().walk()
    stage.crm.execute("DELETE FROM deals WHERE id = 1")
    return facts(stage.walk(), "kind", "record_id")


@proves("sources.sql.tables.compare", ("off", []), ("10m", [["1", "won"]]), given={"sources/crm/tables/Deal/deletes_every": "off"})
def a_row_changes_without_its_stamp(stage):
    """What is told of it."""
    stage.row("deals", 1, "open", "10:00:00")
    stage.row("deals", 2, "open", "11:00:00")  # so that no poll looks back as far as the first
    stage.start().walk()
    stage.crm.execute("UPDATE deals SET stage = 'won' WHERE id = 1")
    return facts(stage.walk(), "record_id", "stage")


ALL = {"sources/crm/records": ABSENT}
COLUMNS = ["gone", "key", "made", "other_at", "stage", "who"]


def but(*names):
    """All columns but these."""
    return [one for one in COLUMNS if one not in names]


@proves("sources.sql.tables.id", ("id", COLUMNS), ("key", ["gone", "id", *but("gone", "key")]), given=ALL)
@proves("sources.sql.tables.changed", ("at", COLUMNS), ("other_at", ["at", *but("other_at")]), given=ALL)
@proves("sources.sql.tables.created", (ABSENT, COLUMNS), ("made", but("made")), given=ALL)
@proves("sources.sql.tables.deleted", (ABSENT, COLUMNS), ("gone", but("gone")), given=ALL)
@proves("sources.sql.tables.actor", (ABSENT, COLUMNS), ("who", but("who")), given=ALL)
def which_columns_are_fields(stage):
    """The fields of a change where none are configured: all columns that say nothing else."""
    stage.start()
    stage.row("deals", 1, "open", "10:00:00")
    stage.poll()
    stage.row("deals", 1, "won", "11:30:00")
    (event,) = stage.poll()
    return sorted(event.fields)


@proves("sources.sql.tables.id", ("id", [15, 0]), ("key", [0, 15]), given={"sources/crm/page": 10})
def rows_of_one_stamp(stage):
    """How many of fifteen rows with one stamp are known by their id, and by their key, which sorts otherwise."""
    for id in range(15):
        stage.row("deals", id, "open", "10:00:00")
    stage.start().poll()
    return [sum(stage.knows("Deal", f"{name}{id}") for id in range(15)) for name in ("", "k")]


POSTGRES = MYSQL = {"sources/crm/sqlite": ABSENT}
GREETING = b"".join(
    (b"\x0a10.11.0-MariaDB\0", bytes(4), b"saltsalt\0", (0x820D).to_bytes(2, "little"), b"\x2d\x02\x00", (0x0008).to_bytes(2, "little"))
) + b"".join((b"\x15", bytes(10), b"saltsaltsalt\0", b"mysql_native_password\0"))
"""What a server of MySQL's protocol says first (https://mariadb.com/kb/en/connection/): the protocol, a salt, what it can."""


@contextlib.contextmanager
def a_server(stage, place, greeting=b""):
    """A listener that keeps what each connection begins with; its address stands at `place` in the YAML."""
    begun = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        if greeting:
                            connection.sendall(len(greeting).to_bytes(3, "little") + b"\0" + greeting)
                        begun.append(connection.recv(4096))

        threading.Thread(target=answer, daemon=True).start()
        stage.path.write_text(stage.path.read_text().replace(place, f"127.0.0.1:{listener.getsockname()[1]}"))
        yield begun
        listener.shutdown(socket.SHUT_RDWR)


@proves(
    "sources.sql.postgres",
    ("postgresql://ann@$postgres/crm?sslmode=disable&gssencmode=disable", ["ann", "crm"]),
    ("postgresql://bob@$postgres/erp?sslmode=disable&gssencmode=disable", ["bob", "erp"]),
    given=POSTGRES,
)
def who_asks_postgresql(stage):
    """The user and the database that a connection begins with."""
    with a_server(stage, "$postgres") as begun, contextlib.suppress(SourceError):
        stage.start().poll()
    words = begun[0][8:].decode().split("\0")
    said = dict(zip(words[::2], words[1::2], strict=False))
    return [said["user"], said["database"]]


@proves(
    "sources.sql.mysql",
    ("mysql://ann@$mysql/crm", ["ann", "crm"]),
    ("mysql://bob@$mysql/erp", ["bob", "erp"]),
    given=MYSQL,
)
def who_asks_mysql(stage):
    """The user and the database that a connection begins with."""
    with a_server(stage, "$mysql", GREETING) as begun, contextlib.suppress(SourceError):
        stage.start().poll()
    user, _, rest = begun[0][36:].partition(b"\0")
    return [user.decode(), next(name for name in ("crm", "erp") if name.encode() + b"\0" in rest)]
