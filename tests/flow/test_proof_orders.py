"""People's orders over thousands of rows: with a daemon and without one, whole and killed in the middle, the stores end the same."""

import asyncio
import contextlib
import re
import shutil
import sqlite3
import subprocess
import time
from datetime import datetime, timedelta, timezone

import pytest
from flow.daemon import CRMBRIDGE, STILL, Daemon, until
from flow.proofs.forms import long_form, short_form

from crmbridge.model import ChangeEvent, ChangeKind, Channel, Literal, Message, Receipt, RecordRef, State, event_id
from crmbridge.store import SqliteStore
from crmbridge.store.terms import Aside, Batch, Entry, NewDelivery, Pause, PauseKind, Selection, Settlement

NOW = datetime.now(timezone.utc).replace(microsecond=0)
STORE = "crmbridge.db"


# --- what waits for an order --------------------------------------------------------------------


def record(number):
    return RecordRef("crm", "Deal", str(number))


def queued(number, channel):
    """A message; the first of each record has a later one behind it."""
    fields = {"name": f"Deal {number}", "stage": "won"}
    said = Message(
        destination="sink", channel=Channel(channel, channel) if channel else None, rule="won", step="0", text=(Literal(f"no {number}"),),
        record=record(number // 2), occurred_at=NOW,
    )  # fmt: skip
    event = ChangeEvent(
        id=event_id(record(number // 2), number + 1, fields), source="crm", record_type="Deal", record_id=str(number // 2),
        revision=number + 1, kind=ChangeKind.UPDATED, occurred_at=NOW, fields=fields, before={"stage": "open"},
    )  # fmt: skip
    return Entry(record=record(number // 2), event=event, deliveries=[NewDelivery(key=f"k{number}", message=said)])


async def messages(store, many, state=State.QUEUED):
    for start in range(0, many, 200):
        entries = [queued(number, f"c{number % 3}") for number in range(start, min(start + 200, many))]
        await store.record(Batch(source="crm", entries=entries), NOW)
    if state is State.HELD:
        await store.hold(Selection(), "by hand", NOW)
    while state not in (State.QUEUED, State.HELD):
        found = (await store.lease("sink", now=NOW, limit=1000, per_lane=1000, skip=())).deliveries
        if not found:
            return
        told = {State.DELIVERED: lambda one: Receipt(remote_id=one.key)}.get(state, lambda one: None)
        ends = [Settlement(delivery=one, state=state, outcome="x", reason="rejected", receipt=told(one)) for one in found]
        await store.settle(ends, [], NOW)


async def journal(store, many):
    """Changes of which nothing was said."""
    for start in range(0, many, 200):
        entries = [queued(number, None) for number in range(start, min(start + 200, many))]
        await store.record(
            Batch(source="crm", entries=[Entry(record=one.record, event=one.event) for one in entries]), NOW - timedelta(minutes=1)
        )


async def requests(store, many):
    await store.record(Batch(source="crm", entries=(), aside=[Aside(record(n), b"{}", "odd") for n in range(many)]), NOW)


async def paused(store, many):
    await messages(store, many)
    await store.pause(Pause(kind=PauseKind.DESTINATION, name="sink", reason="a fair", since=NOW))


def of(state):
    return lambda store, many: messages(store, many, state)


ORDERS = {
    "queue hold": (of(State.QUEUED), ["queue", "hold", "--all", "-y"]),
    "queue release": (of(State.HELD), ["queue", "release", "--all", "-y"]),
    "queue drop": (of(State.HELD), ["queue", "drop", "--all", "-y"]),
    "dead retry": (of(State.DEAD), ["dead", "retry", "--all", "-y"]),
    "dead drop": (of(State.DEAD), ["dead", "drop", "--all", "-y"]),
    "dead drop of requests": (requests, ["dead", "drop", "--all", "-y"]),
    "resume all": (paused, ["resume", "sink", "--say", "all"]),
    "resume latest": (paused, ["resume", "sink", "--say", "latest"]),
    "resume summary": (paused, ["resume", "sink", "--say", "summary"]),
    "resume nothing": (paused, ["resume", "sink", "--say", "nothing"]),
    "replay": (journal, ["replay", "--since", "1h", "-y"]),
    "backfill": (None, ["backfill", "crm", "--since", "90d", "-y"]),
    "retract": (of(State.DELIVERED), ["retract", "--rule", "won", "--since", "2h", "-y"]),
}
RUNNING = {"retract"}
"""What only a daemon can do."""
SHORT = ["queue drop", "dead retry", "resume summary", "retract"]
"""One of each way to go through many: a statement a thousand, a transaction each, a message in place of many, a request each."""


# --- where it is ordered ------------------------------------------------------------------------


def table(folder, many):
    """A CRM whose deals are older than crmbridge."""
    with contextlib.closing(sqlite3.connect(folder / "crm.sqlite")) as made, made:
        made.execute("CREATE TABLE deal (id INTEGER PRIMARY KEY, name TEXT, stage TEXT, changed TEXT)")
        stamp = [(NOW - timedelta(days=30) + timedelta(seconds=n)).isoformat() for n in range(many)]
        made.executemany("INSERT INTO deal VALUES (?, ?, 'won', ?)", [(n, f"Deal {n}", stamp[n]) for n in range(many)])


def bridge(folder, networks):
    """A configuration in a folder of its own; what waits goes nowhere, for everything is paused."""
    folder.mkdir()
    (folder / "data").mkdir()
    made = Daemon(folder, networks).keep("sink")
    made.config["sources"]["crm"] = {
        "type": "sql", "sqlite": "crm.sqlite", "every": "1h", "tables": {"Deal": {"table": "deal", "changed": "changed"}},
        "records": {"Deal": {"fields": {"name": "public", "stage": "public"}}},
    }  # fmt: skip
    made.config["destinations"]["sink"] |= {"max_age": "off"}
    made.config["rules"][0] |= {"match": {"stage": {"becomes": "won"}}}
    made.config["log"] = {"level": "info"}
    made.write()
    return made


class Bench:
    """A store in which an order has much to do, and copies of it."""

    def __init__(self, folder, networks, prepare, many):
        self.folder, self.networks = folder, networks
        with bridge(folder / "base", networks) as daemon:
            table(daemon.folder, many if prepare is None else 0)
            daemon.start()
            daemon.cli("pause", "all", "--reason", "a proof")
            until(lambda: daemon.ask("status")["sources"][0]["state"] == "reading", "what exists is learnt")
            daemon.stop()
        self.base = folder / "base" / "data" / STORE
        if prepare is not None:
            store = SqliteStore(self.base)
            asyncio.run(prepare(store, many))
            store.close()
        with contextlib.closing(sqlite3.connect(self.base, isolation_level=None)) as db:
            db.execute("DELETE FROM identity")  # a copy may speak
            db.execute("DELETE FROM orders")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextlib.contextmanager
    def copy(self, name, *, running):
        with bridge(self.folder / name, self.networks) as daemon:
            shutil.copy(self.folder / "base" / "crm.sqlite", daemon.folder)
            shutil.copy(self.base, daemon.folder / "data")
            if running:
                daemon.start()
            yield daemon

    def whole(self, name, words, *, running):
        """The store after an order that nothing disturbed."""
        with self.copy(name, running=running) as daemon:
            with given(daemon, words) as order:
                said = order.communicate(timeout=STILL * 5)
            assert order.returncode == 0, said
            if running:
                daemon.stop()
            return content(daemon)

    def killed(self, name, words, *, running):
        """The store after an order that was killed once it had done something, and given again; and whether that was its middle."""
        with self.copy(name, running=running) as daemon:
            before = counted(daemon)
            with given(daemon, words) as order:
                until_changed(daemon, before, order)
                (daemon if running else order).kill()
                order.communicate(timeout=STILL)
            if running:
                daemon.start()
            middle = counted(daemon)
            killed = listed(daemon)
            with given(daemon, words) as again:
                said = again.communicate(timeout=STILL * 5)
            assert again.returncode == 0 or "was not paused" in said[1] or "nothing of that kind" in said[1], said
            if running:
                daemon.stop()
            in_the_middle = before != middle != counted(daemon)
            assert not in_the_middle or killed[-1][0] is None or "the process ended in the middle" in killed[-1][1], killed
            assert all(ended is not None for ended, _ in listed(daemon)), "and what was given again has ended"
            return content(daemon), in_the_middle


def given(daemon, words):
    """An order, by a process of its own."""
    return subprocess.Popen([CRMBRIDGE, *words, "-c", daemon.path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until_changed(daemon, before, order):
    """Look as fast as can be: the middle of an order is short."""
    end = time.monotonic() + STILL
    while counted(daemon) == before and order.poll() is None:
        assert time.monotonic() < end, "the order does nothing"


# --- what there is then -------------------------------------------------------------------------

LOOKED_AT = """SELECT (SELECT group_concat(state || n, ' ') FROM (SELECT state, count(*) AS n FROM deliveries GROUP BY state)),
(SELECT count(*) FROM receipts WHERE retracted_at IS NOT NULL), (SELECT count(*) FROM inbox), (SELECT count(*) FROM pauses)"""
CONTENT = (
    "SELECT key, event_id, destination, channel, record, rule, step, thread, message, state, reason, attempts FROM deliveries ORDER BY key",
    "SELECT key, remote_id, retracted_at IS NULL FROM receipts ORDER BY key",
    "SELECT source, record, failure FROM inbox ORDER BY record",
    "SELECT kind, name, reason FROM pauses ORDER BY name",
    "SELECT record_type, record_id, revision, fields FROM snapshots ORDER BY record_id",
    "SELECT id, kind, fields, before FROM events ORDER BY id",
)


def counted(daemon):
    with contextlib.closing(sqlite3.connect(f"file:{daemon.folder}/data/{STORE}?mode=ro", uri=True, timeout=STILL)) as db:
        return db.execute(LOOKED_AT).fetchone()


def listed(daemon):
    """When each order ended, the oldest first, and why early."""
    with contextlib.closing(sqlite3.connect(f"file:{daemon.folder}/data/{STORE}?mode=ro", uri=True, timeout=STILL)) as db:
        return db.execute("SELECT ended_at, error FROM orders ORDER BY id").fetchall()


def content(daemon):
    """All that an order may change, but for instants and the numbers of orders."""
    with contextlib.closing(sqlite3.connect(daemon.folder / "data" / STORE)) as db:
        return [[re.sub(r"[:,] order \d+", "", repr(row)) for row in db.execute(query)] for query in CONTENT]


FORMS = [short_form(one, 300, id=f"{one}, short") for one in SHORT] + [long_form(one, 3000, id=one, timeout=3600) for one in ORDERS]


@pytest.mark.parametrize(("order", "many"), FORMS)
def test_an_order_means_the_same_with_a_daemon_without_one_and_given_twice(tmp_path, networks, figures, order, many):
    """Killed once it had changed something, with SIGKILL, and given again: nothing is done twice and nothing left out."""
    prepare, words = ORDERS[order]
    bench = Bench(tmp_path, networks, prepare, many)
    with bench.copy("untouched", running=False) as daemon:
        begun = content(daemon)
    expected = bench.whole("with", words, running=True)
    assert expected != begun, "the order did something"
    ways = [True] if order in RUNNING else [True, False]
    middle = 0
    for running in ways:
        found, killed_there = bench.killed(f"killed {running}", words, running=running)
        assert found == expected, f"killed, {'with' if running else 'without'} a daemon"
        middle += killed_there
    if order not in RUNNING:
        assert bench.whole("without", words, running=False) == expected, "without a daemon"
    figures(order, rows=many, killed=len(ways), in_the_middle=middle)
