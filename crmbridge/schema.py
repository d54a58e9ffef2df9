"""Opens a SQLite database: one process at a time, checked, and brought up to its newest schema by migrations that only go forward."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crmbridge.errors import StoreError

_ONE_ROW = re.compile(r"(?<=VALUES )(\([?, ]+\))")
_QUICK_CHECK_BELOW = 64 * 1024 * 1024  # bytes; a larger file is checked only after an unclean end
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Schema:
    """One kind of database: its name for messages, its SQLite application id, its numbered migrations."""

    name: str
    application_id: int
    migrations: Path
    """A folder of `0001_<what>.sql` and onward."""

    def steps(self) -> list[tuple[int, str]]:
        """Every migration in order: its number and its script."""
        return [(int(path.name[:4]), path.read_text("utf-8")) for path in sorted(self.migrations.glob("[0-9]" * 4 + "_*.sql"))]


def statements(path: Path) -> Mapping[str, str]:
    """Read the named statements of a .sql file. Each begins with a line `-- name: NAME`, and its comments stay with it."""
    parts = re.split(r"^-- name: (\w+)$", path.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], (text.strip() for text in parts[2::2]), strict=True))


def repeated(statement: str, count: int) -> str:
    """Repeat the row of a statement for one row of `VALUES (?, ...)`, so that it takes `count` rows.

    SQLite hands the interpreter lock over at every row of `executemany`, and a busy loop may keep it for milliseconds.
    """
    head, row, tail = _ONE_ROW.split(statement)
    return head + ", ".join([row] * count) + tail


def open_writer(path: Path, schema: Schema, synchronous: str, *, unclean: bool, log_growth: int) -> sqlite3.Connection:
    """Open a database for writing: check it, and bring it up to its newest schema.

    `unclean`: its last process ended without closing it. `log_growth`: bytes to which its log is cut.
    Raises StoreError, saying what to do: damaged, of another kind, or newer.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA busy_timeout=5000")
        _check(path, schema, connection, unclean)  # before anything is written: the file may be somebody else's
        connection.executescript(
            f"PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous};"
            "PRAGMA foreign_keys=OFF; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA wal_autocheckpoint=0;"
            f"PRAGMA journal_size_limit={log_growth};"
        )
        _migrate(path, schema, connection)
        connection.execute("PRAGMA foreign_keys=ON")  # behind the migrations: one may build a table anew that others refer to
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StoreError(
            f"{path} cannot be used: {error}. If it is damaged, move it away and put the newest backup in its place"
        ) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _check(path: Path, schema: Schema, connection: sqlite3.Connection, unclean: bool) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    newest = schema.steps()[-1][0]
    if (version or application or tables) and application != schema.application_id:
        raise StoreError(f"{path} is not a {schema.name} database; give another path")
    if version > newest:
        raise StoreError(
            f"{path} was written by a newer crmbridge (schema {version}; this one knows {newest}). "
            f"Install that version again, or put the backup made before its migration ({_backup_name(path, newest).name}) in its place"
        )
    if version and (unclean or path.stat().st_size < _QUICK_CHECK_BELOW):
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)


def _backup_name(path: Path, version: int) -> Path:
    return path.with_name(f"{path.name}.schema{version}.bak")


def _migrate(path: Path, schema: Schema, connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    pending = [(number, script) for number, script in schema.steps() if number > version]
    if not pending:
        return
    if version:
        backup = _backup_name(path, version)
        backup.unlink(missing_ok=True)
        os.close(os.open(backup, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))  # VACUUM INTO takes an empty file
        connection.execute("VACUUM INTO ?", (str(backup),))
        _log.info("backup made before migration", extra={"path": str(backup)})
    for number, script in pending:
        # One script is one transaction: executescript stops at the first error, and we roll back.
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;{script};PRAGMA application_id={schema.application_id};PRAGMA user_version={number};"
            )
            if connection.execute("PRAGMA foreign_key_check").fetchone():
                raise StoreError(f"{path}: rows refer to what is not there. Put the newest backup in its place")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def log_of(path: Path) -> Path:
    """Name the file in which SQLite keeps what is not in the database yet."""
    return path.with_name(path.name + "-wal")


def lock(path: Path) -> int:
    """Hold PATH.lock for this process; the kernel releases it however the process ends."""
    file = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{file}: {error.strerror}; the folder must exist and be writable by this user") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = _written_by(descriptor)
        os.close(descriptor)
        raise StoreError(f"{path} is in use by another crmbridge (process {holder}); stop that one first") from None
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(f"{file}: {error.strerror}; the database cannot be opened before its disk can be written") from error
    return descriptor


def user_of(path: Path) -> str | None:
    """Return the process that has the database open, as its lock says: `unknown` if it says none. None if nobody has. Raises OSError."""
    try:
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written_by(descriptor)
    finally:
        os.close(descriptor)
    return None


def _written_by(descriptor: int) -> str:
    return os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
