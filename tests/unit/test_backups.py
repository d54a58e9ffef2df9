"""Backups: whole or not there, verified by reading all of them, made at their times, and kept for so long."""

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from datetime import datetime, time, timedelta, timezone
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from shared import NOW

from crmbridge.chirp.feed import SCHEMA as FEED
from crmbridge.config.backup import BackupModel
from crmbridge.db import Database
from crmbridge.errors import CrmbridgeError
from crmbridge.operate import copies
from crmbridge.operate.backups import Backups, due, kept
from crmbridge.operate.copies import MANIFEST, make, verify
from crmbridge.operate.custody import Custody
from crmbridge.store import SqliteStore
from crmbridge.store.sqlite import SCHEMA as STORE

SCHEMAS = [STORE, FEED]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
async def store(tmp_path):
    one = SqliteStore(tmp_path / "crmbridge.db", synchronous="OFF")
    await one.identify("one" * 10, 1)
    yield one
    one.close()


@pytest.fixture
def databases(store, tmp_path):
    feed = Database(tmp_path / "chirp.db", FEED, synchronous="OFF")
    yield {"crmbridge.db": store.database, "chirp.db": feed}
    feed.close()


@pytest.fixture
async def backup(databases, tmp_path):
    await make(databases, tmp_path / "kept" / "one", instance="one" * 10, now=NOW)
    return tmp_path / "kept" / "one"


def test_when_one_is_due():
    """Each day at its time, in its zone; what was missed is due at once, and once only."""
    at, three = time(3), datetime(2026, 6, 10, 1, tzinfo=timezone.utc)  # 03:00 in Berlin
    assert due(at, BERLIN, None, three)
    assert due(at, BERLIN, three - DAY, three)
    assert not due(at, BERLIN, three - DAY, three - timedelta(seconds=1))
    assert not due(at, BERLIN, three, three + 23 * HOUR)
    assert due(at, BERLIN, three, three + DAY)
    assert due(at, BERLIN, three - 9 * DAY, three + 5 * HOUR)
    assert not due(at, timezone.utc, three - 12 * HOUR, three)


@pytest.mark.parametrize("at", [time(2), time(2, 30), time(3)])
def test_each_day_has_one_where_clocks_change(at):
    """Also the day without a 02:30, and the one with two."""
    for first in (datetime(2026, 3, 27, 12, tzinfo=timezone.utc), datetime(2026, 10, 23, 12, tzinfo=timezone.utc)):
        last, made = first, []
        for minute in range(3 * 24 * 60):
            now = first + timedelta(minutes=minute)
            if due(at, BERLIN, last, now):
                last = now
                made.append(now.astimezone(BERLIN).date())
        assert len(made) == len(set(made)) == 3


def test_which_are_kept():
    """The newest of each day and week that has one, of so many; a pause in between takes nothing away."""
    made = [datetime(2026, 11, 29, 3, tzinfo=timezone.utc) - n * DAY for n in range(40)]  # from a Sunday on
    by_day = made[:3]
    assert kept(made, 3, 0, timezone.utc) == set(by_day)
    assert kept(made, 3, 3, timezone.utc) == {*by_day, made[7], made[14]}
    twice = [*made, made[0] + HOUR]
    assert kept(twice, 1, 1, timezone.utc) == {made[0] + HOUR}
    assert kept([made[0], made[30], made[39]], 2, 2, timezone.utc) == {made[0], made[30]}
    assert kept([], 7, 4, timezone.utc) == set()


async def test_a_backup_is_what_its_manifest_says(backup):
    """For its owner only; nothing is written by looking."""
    there = {one.name: one.stat().st_mtime_ns for one in backup.iterdir()}
    found = verify(backup, SCHEMAS)

    assert (found.wrong, found.notes, found.made, found.instance) == ([], [], NOW.replace(microsecond=0), "one" * 10)
    assert [(one["name"], one["kind"]) for one in found.databases] == [("chirp.db", FEED.name), ("crmbridge.db", STORE.name)]
    assert found.databases[1]["rows"]["identity"] == 1
    assert {one.name: one.stat().st_mtime_ns for one in backup.iterdir()} == there
    assert sorted(there) == ["backup.json", "chirp.db", "crmbridge.db"]
    assert {one.stat().st_mode & 0o777 for one in backup.iterdir()} == {0o600}
    assert backup.stat().st_mode & 0o777 == backup.parent.stat().st_mode & 0o777 == 0o700
    assert [one.name for one in backup.parent.iterdir()] == ["one"]


def say(backup, **changes):
    path = backup / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def stamp(path, sql):
    db = sqlite3.connect(path)
    db.executescript(sql)
    db.close()


def flip(path, at):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 0xFF
    path.write_bytes(raw)


WRONG = {
    "a bit": (lambda one: flip(one / "crmbridge.db", -1), "it was changed since it was made"),
    "half of it": (lambda one: (one / "crmbridge.db").write_bytes((one / "crmbridge.db").read_bytes()[:9000]), "and had"),
    "one is gone": (lambda one: (one / "chirp.db").unlink(), "chirp.db is missing"),
    "the store is gone": (lambda one: (one / "crmbridge.db").unlink(), "the store is not in it"),
    "one is put there": (lambda one: shutil.copy(one / "chirp.db", one / "other.db"), "other.db: backup.json does not name it"),
    "nothing is there": (lambda one: [path.unlink() for path in one.iterdir()], "the store is not in it"),
    "of another": (lambda one: say(one, instance="two"), "belongs to instance"),
    "a newer form": (lambda one: say(one, form=2), "its form is 2"),
    "a name that leads out": (lambda one: say(one, databases={"../x": {"size": 1, "sha256": "x"}}), "no name of a file beside it"),
    "no JSON": (lambda one: (one / MANIFEST).write_text("{"), "backup.json cannot be read"),
    "no object": (lambda one: (one / MANIFEST).write_text("[]"), "backup.json cannot be read"),
    "no bytes of ours": (lambda one: (one / MANIFEST).write_bytes(b"\xff"), "backup.json cannot be read"),
    "a newer schema": (lambda one: stamp(one / "crmbridge.db", "PRAGMA user_version=999"), "a newer crmbridge wrote it"),
    "another program's": (lambda one: stamp(one / "crmbridge.db", "PRAGMA application_id=7"), "not a database of crmbridge"),
    "a log beside it": (lambda one: (one / "crmbridge.db-wal").write_bytes(b"x"), "crmbridge.db-wal holds changes"),
    "a row without its own": (
        lambda one: stamp(one / "chirp.db", "PRAGMA foreign_keys=OFF; INSERT INTO follow VALUES (77, 77, 1)"),
        "is not there",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
async def test_what_is_wrong_is_named(backup, kind):
    """Each way to spoil a backup."""
    spoil, words = WRONG[kind]
    spoil(backup)
    found = verify(backup, SCHEMAS)
    assert words in "\n".join(found.wrong)
    assert found.shown()["ok"] is False


async def test_damage_is_found_where_there_is_no_manifest(backup):
    """An earlier crmbridge wrote none: SQLite's own checks are left."""
    (backup / MANIFEST).unlink()
    fine = verify(backup, SCHEMAS)
    assert (fine.wrong, fine.instance, fine.made is not None) == ([], "one" * 10, True)
    assert "there is no backup.json" in fine.notes[0]
    raw = (backup / "crmbridge.db").read_bytes()
    (backup / "crmbridge.db").write_bytes(raw[:4096] + b"\xff" * 4096 + raw[8192:])
    assert verify(backup, SCHEMAS).wrong


async def test_an_earlier_schema_is_a_note(backup):
    """It is brought up to date when it is used."""
    (backup / MANIFEST).unlink()
    stamp(backup / "chirp.db", "PRAGMA user_version=1")
    found = verify(backup, SCHEMAS)
    assert found.wrong == []
    assert "brought up to that when it begins" in found.notes[1]


async def test_nothing_is_left_of_one_that_failed(databases, tmp_path, monkeypatch):
    """Whatever failed: a copy, or that it cannot be used."""
    target = tmp_path / "kept" / "one"
    target.mkdir(parents=True)
    with pytest.raises(CrmbridgeError, match="is there already"):
        await make(databases, target, instance="x", now=NOW)
    target.rmdir()
    (tmp_path / "file").touch()
    with pytest.raises(CrmbridgeError, match=r"Not a directory|File exists"):
        await make(databases, tmp_path / "file" / "one", instance="x", now=NOW)
    with pytest.raises(CrmbridgeError, match=r"the copy cannot be used, and is not kept: .*belongs to instance"):
        await make(databases, target, instance="x", now=NOW)
    assert list(target.parent.iterdir()) == []


async def test_a_copy_that_finds_no_room_shuts_no_door(store, tmp_path, monkeypatch):
    """The disk of the backups is full, and not that of the database: changes are taken in."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        with pytest.raises(CrmbridgeError, match=r"kept/one|\.part"):
            await make({"crmbridge.db": store.database}, tmp_path / "kept" / "one", instance="one" * 10, now=NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (store.database.refusing, store.database.failure) == ("", None)
    await store.probe()
    assert list((tmp_path / "kept").iterdir()) == []


async def test_what_is_written_meanwhile_does_not_wait(store, tmp_path):
    """A large database takes seconds to be copied; the writer is asked for nothing."""
    go = threading.Event()
    held = asyncio.ensure_future(store.database.alone(lambda _: go.wait(30)))
    try:
        await make({"crmbridge.db": store.database}, tmp_path / "kept" / "one", instance="one" * 10, now=NOW)
    finally:
        go.set()
        await held
    assert verify(tmp_path / "kept" / "one", SCHEMAS).wrong == []


DRIVER = """
    import asyncio, os, signal, sys
    from datetime import datetime, timezone
    from pathlib import Path
    from crmbridge.operate.copies import MANIFEST, make, verify
    from crmbridge.store import SqliteStore
    from crmbridge.store.sqlite import SCHEMA

    folder = Path(sys.argv[1])
    WATCHED = ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "shutil.rmtree", "sqlite3.connect", "sqlite3.connect/handle")

    def back_up(point, name):
        steps = 0

        def step(*_):
            nonlocal steps
            steps += 1
            if steps == point:
                os.kill(os.getpid(), signal.SIGKILL)

        async def work():
            store = SqliteStore(folder / "crmbridge.db", synchronous="OFF")
            await store.identify("one", 1)
            real = store.database._open_reader

            def watched():
                connection = real()
                connection.set_progress_handler(step, 300)
                return connection

            store.database._open_reader = watched
            sys.addaudithook(lambda event, arguments: step() if event in WATCHED else None)
            await make({"crmbridge.db": store.database}, folder / "kept" / name, instance="one", now=datetime.now(timezone.utc))
            os._exit(0)

        asyncio.run(work())

    cut = 0
    for point in range(1, 1000):
        child = os.fork()
        if not child:
            try:
                back_up(point, str(point))
            finally:
                os._exit(3)
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, (point, status)
        shown = [one for one in (folder / "kept").iterdir() if not one.name.startswith(".")] if (folder / "kept").exists() else []
        for one in shown:
            assert verify(one, [SCHEMA]).wrong == [], (point, one)
            assert (one / MANIFEST).exists()
        if not os.WIFSIGNALED(status):
            assert [one.name for one in (folder / "kept").iterdir() if one.name.startswith(".")] == [], "the next one clears away"
            break
        cut += 1
    print(cut, len(shown))
"""


def test_a_kill_leaves_no_half_backup(tmp_path):
    """At every file that is opened, made, renamed or removed, and in the midst of the copying; the next one clears away what is left."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DRIVER), tmp_path], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    cut, whole = map(int, done.stdout.split())
    assert cut >= 15
    assert whole >= 1


class Daemon:
    """Backups with a clock of their own."""

    def __init__(self, store, databases, folder, **model):
        self.clock = NOW
        self.folder = folder / "backups"
        self.model = SimpleNamespace(backup=BackupModel(folder="backups", **model), timezone="UTC")
        config = SimpleNamespace(model=self.model, backup_folder=self.folder, store_path=folder / "crmbridge.db")
        self.custody = Custody(store, databases, lambda: self.clock)
        self.backups = Backups(self.custody, lambda: config, lambda: self.clock)

    async def on(self, *days):
        for day in days:
            self.clock = NOW + day * DAY
            await self.backups.look()

    def there(self):
        return [round((copies.manifest(one).made - NOW) / DAY) for one in sorted(self.folder.iterdir())]


@pytest.fixture
def daemon(store, databases, tmp_path):
    return Daemon(store, databases, tmp_path, keep={"daily": 2, "weekly": 0})


async def test_backups_come_and_go(daemon):
    """One a day, the older ones go; what others put there stays."""
    await daemon.on(0, 0.01, 1)
    assert daemon.there() == [0, 1]
    (daemon.folder / "notes").mkdir()
    (daemon.folder / "notes" / "crmbridge.db").touch()
    await daemon.custody.backup(str(daemon.folder / "by-hand"))
    other = daemon.folder / "crmbridge-other"
    shutil.copytree(sorted(daemon.folder.iterdir())[1], other)
    say(other, instance="two")
    await daemon.on(2, 3, 4)

    assert {"notes", "by-hand", "crmbridge-other"} < {one.name for one in daemon.folder.iterdir()}
    for name in ("notes", "by-hand", "crmbridge-other"):
        shutil.rmtree(daemon.folder / name)
    assert daemon.there() == [3, 4]
    assert (daemon.backups.facts.made, daemon.backups.facts.failure) == ((NOW + 4 * DAY).replace(microsecond=0), "")
    assert daemon.backups.facts.size > 1000


async def test_nothing_goes_while_none_succeeds(daemon, monkeypatch):
    """It is tried again after a while, and is a trouble from its first failure on."""
    await daemon.on(0, 1)
    tried = []

    async def failing(*_, **__):
        tried.append(daemon.clock)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copies, "make", failing)
    await daemon.on(2, 2 + 1 / 1440, 2 + 20 / 1440, 3)
    assert len(tried) == 3
    facts = daemon.backups.facts
    assert ("No space left on device" in facts.failure, facts.since, facts.made) == (
        True,
        NOW + 2 * DAY,
        (NOW + DAY).replace(microsecond=0),
    )
    assert daemon.there() == [0, 1]
    monkeypatch.undo()
    await daemon.on(3.1)
    assert (daemon.there(), daemon.backups.facts.failure) == ([1, 3], "")


async def test_a_database_that_must_not_speak_takes_nothing_away(daemon):
    """What was restored may be older than what is kept."""
    await daemon.on(0, 1)
    daemon.custody.mute = "it was restored"
    await daemon.on(2)
    assert daemon.there() == [0, 1, 2]


async def test_a_clock_that_was_ahead_stops_nothing(daemon):
    """A backup of a day to come is no reason to make none today, nor to remove today's."""
    await daemon.on(1000, 1001, 0, 1, 2)
    assert daemon.there() == [1, 2, 1000, 1001]


async def test_where_none_is_wanted_none_is_made(daemon, tmp_path):
    """Without a folder."""
    daemon.backups._config = lambda: SimpleNamespace(model=SimpleNamespace(backup=None), backup_folder=None)
    await daemon.on(0, 1)
    assert (daemon.backups.facts, (tmp_path / "backups").exists()) == (None, False)


async def test_two_orders_at_once_wait_for_each_other(daemon, tmp_path):
    """Both are made."""
    await asyncio.gather(*(daemon.custody.backup(str(tmp_path / "kept" / name)) for name in ("a", "b")))
    assert [verify(tmp_path / "kept" / name, SCHEMAS).wrong for name in ("a", "b")] == [[], []]
