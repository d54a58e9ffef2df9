"""A SQLite database with exactly one writer, group commit and forward-only migrations.

One thread owns the only writing connection: SQLite before 3.51.3 can corrupt a WAL database when two
connections write or checkpoint at one instant, and a single writer makes group commit natural. Callers hand
it units of work; all units waiting at that moment share one transaction, and so one fsync. If a unit of the
group raises, the group is rolled back and run again with a savepoint each, so that one undoes only itself.

`synchronous=FULL`: with NORMAL a power cut loses rows whose commit was already reported.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from crmbridge.errors import StoreError
from crmbridge.schema import Schema, lock, log_of, open_writer

T = TypeVar("T")
A = TypeVar("A")
Unit = Callable[[sqlite3.Connection], T]
Together = Callable[[sqlite3.Connection, Sequence[A]], Sequence[T]]

_GROUP = 128  # units in one transaction, at most
_CHECKPOINT_IDLE, _CHECKPOINT_BUSY = 100, 50_000  # rows changed since the last one
_QUIET = 0.25  # seconds without a unit
_LOG_GROWTH = 16 * 1024 * 1024  # bytes by which the log may grow before it is moved, whatever the rows; it is cut to so many
_LARGE_LOG = 64 * 1024 * 1024  # bytes; then readers, which are short, are waited for, and the log starts anew
_RECOVERABLE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY})
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Waiter:
    unit: Unit[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    transaction: bool
    together: Together[Any, Any] | None = None
    item: Any = None
    result: Any = None
    error: BaseException | None = None

    def resolve(self) -> None:
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Database:
    """An open database. `write` and `read` may be awaited from any task of a running loop."""

    def __init__(self, path: Path, schema: Schema, *, synchronous: str = "FULL") -> None:
        """Lock, check, migrate and open `path`, creating it (mode 0600) if it does not exist.

        Raises StoreError, saying what to do: locked by another process, damaged, of another kind, or newer.
        """
        self.path = path
        self.failure: BaseException | None = None
        """Why nothing can be written any more: after a failed fsync nothing on disk can be trusted."""
        self.full = False
        """The last write was refused for want of space."""
        self.refusing: str = ""
        """Why the last write was refused (disk full, read-only); empty while all is well."""
        self._schema = schema
        self._lock = lock(path)
        try:
            unclean = log_of(path).exists()
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._writer = open_writer(path, schema, synchronous, unclean=unclean, log_growth=_LOG_GROWTH)
        except BaseException as error:
            os.close(self._lock)
            if isinstance(error, OSError):
                raise StoreError(f"{path}: {error.strerror}") from error
            raise
        self._queue: queue.SimpleQueue[_Waiter | None] = queue.SimpleQueue()
        self._checkpointed = 0  # rows changed when the log was last moved
        self._log_size = 0  # bytes of its file then; it is not cut before the next commit
        self._thread = threading.Thread(target=self._run, name=f"{schema.name} writer", daemon=True)
        self._thread.start()
        self._local = threading.local()
        self._readers = ThreadPoolExecutor(2, thread_name_prefix=f"{schema.name} reader")
        self._reader_connections: list[sqlite3.Connection] = []
        self._closed = False

    # --- writing

    async def write(self, unit: Unit[T]) -> T:
        """Run `unit` in the writer's transaction; returns after the commit is durable.

        A unit may be run twice, its first run undone: it changes nothing but the database.
        Raises what the unit raised, or StoreError if the commit failed: then nothing of it is stored.
        """
        return await self._submit(unit, transaction=True)

    async def write_together(self, together: Together[A, T], item: A) -> T:
        """Like `write`, but all items that wait for the same `together` go to one call of it, in order.

        It returns one result for each item. That makes one statement of what would be one for each item.
        """
        return await self._submit(lambda db: together(db, [item])[0], transaction=True, together=together, item=item)

    async def alone(self, unit: Unit[T]) -> T:
        """Run `unit` on the writing connection outside any transaction (VACUUM INTO, checkpoints)."""
        return await self._submit(unit, transaction=False)

    async def _submit(self, unit: Unit[T], *, transaction: bool, together: Together[Any, T] | None = None, item: Any = None) -> T:
        if self._closed:
            raise StoreError(f"{self.path} is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Waiter(unit, future, loop, transaction, together, item))
        return await future

    def _run(self) -> None:
        carried: _Waiter | None = None
        while True:
            first = carried or self._next()
            carried = None
            if first is None:
                return
            group = [first]
            while first.transaction and len(group) < _GROUP:
                try:
                    waiter = self._queue.get_nowait()
                except queue.Empty:
                    break
                if waiter is None or not waiter.transaction:
                    carried = waiter
                    if waiter is None:
                        self._queue.put(None)
                    break
                group.append(waiter)
            self._work(group)
            self._report(group)
            self._checkpoint(_CHECKPOINT_BUSY)

    def _next(self) -> _Waiter | None:
        """Take the next unit. A quiet moment before it is used to move the log."""
        try:
            return self._queue.get(timeout=_QUIET)
        except queue.Empty:
            self._checkpoint(_CHECKPOINT_IDLE)
            return self._queue.get()

    def _checkpoint(self, least: int) -> None:
        """Move the log into the database, if `least` rows have changed or its file grew much: in a quiet moment, or when it must.

        A commit writes whole pages: rows alone say little of what the log takes, and a full disk would hold nothing but log.
        SQLite's own way, at every commit past a thousand pages, costs two more fsyncs for each commit whenever some
        reader keeps the log from starting anew: ten times slower, measured.
        """
        try:
            size = log_of(self.path).stat().st_size
            self._log_size = min(self._log_size, size)
            if self._writer.total_changes - self._checkpointed < least and size - self._log_size < _LOG_GROWTH:
                return
            self._checkpointed, self._log_size = self._writer.total_changes, size
            self._writer.execute(f"PRAGMA wal_checkpoint({'RESTART' if size > _LARGE_LOG else 'PASSIVE'})").fetchall()
        except (sqlite3.Error, OSError) as error:
            # What was committed is safe in the log; the next commit finds out whether writing is still possible.
            _log.warning("the log could not be moved into the database", extra={"path": str(self.path), "error": str(error)})

    def _work(self, group: Sequence[_Waiter]) -> None:
        if self.failure is not None:
            self._fail(group, StoreError(f"{self.path} cannot be written since: {self.failure}"))
            return
        try:
            if group[0].transaction:
                self._commit(group)
            else:
                (only,) = group
                only.result = only.unit(self._writer)
            self.refusing = ""
        except sqlite3.Error as error:
            if self._writer.in_transaction:
                self._rollback()
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _RECOVERABLE:
                self.refusing = str(error)
                self.full = code == sqlite3.SQLITE_FULL
            elif group[0].transaction:
                self.failure = error
                _log.critical("the database cannot be written", extra={"path": str(self.path), "error": str(error)})
            self._fail(group, StoreError(f"{self.path}: {error}"))
        except Exception as error:
            self._fail(group, error)

    def _commit(self, group: Sequence[_Waiter]) -> None:
        """All units in one transaction. Savepoints would cost more than most units, so they are kept for when one raises."""
        connection = self._writer
        connection.execute("BEGIN IMMEDIATE")
        try:
            _all_at_once(connection, group)
        except Exception as error:
            self._raise_if_fatal(error)
            connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            self._one_by_one(group)
        connection.execute("COMMIT")

    def _one_by_one(self, group: Sequence[_Waiter]) -> None:
        connection = self._writer
        for waiter in group:
            connection.execute("SAVEPOINT unit")
            try:
                waiter.result = waiter.unit(connection)
            except Exception as error:
                self._raise_if_fatal(error)
                connection.execute("ROLLBACK TO unit")
                waiter.error = error
            connection.execute("RELEASE unit")

    def _raise_if_fatal(self, error: Exception) -> None:
        """Raise an error that is the whole transaction's, not one unit's."""
        if not isinstance(error, sqlite3.OperationalError):
            return
        if not self._writer.in_transaction:
            raise error  # SQLite has rolled everything back by itself: disk full, I/O error
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) != sqlite3.SQLITE_ERROR:
            raise error

    def _rollback(self) -> None:
        try:
            self._writer.execute("ROLLBACK")
        except sqlite3.Error as error:
            self.failure = error

    @staticmethod
    def _fail(group: Sequence[_Waiter], error: BaseException) -> None:
        for waiter in group:
            waiter.error = error

    @staticmethod
    def _report(group: Sequence[_Waiter]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[_Waiter]] = {}
        for waiter in group:
            by_loop.setdefault(waiter.loop, []).append(waiter)
        for loop, waiters in by_loop.items():
            with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits
                loop.call_soon_threadsafe(_resolve, waiters)

    # --- reading

    async def backup(self, path: Path) -> None:
        """Copy the database as it is now into a file that does not exist yet (mode 0600). Raises StoreError.

        The copy is read on a connection of its own: that of a large database takes seconds, and writes do not wait for it.
        """
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))  # VACUUM INTO takes an empty file
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from error

        def copy() -> None:
            try:
                with contextlib.closing(self._open_reader()) as connection:
                    connection.execute("VACUUM INTO ?", (str(path),))
            except sqlite3.Error as error:  # of the place of the copy, as a rule: it says nothing of whether we can be written
                raise StoreError(f"{path}: {error}") from error

        await asyncio.to_thread(copy)

    @property
    def schema(self) -> Schema:
        """What kind of database it is."""
        return self._schema

    async def read(self, query: Unit[T]) -> T:
        """Run `query` on a read-only connection; it must be short, for it holds back the checkpoint."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)

    def _read(self, query: Unit[T]) -> T:
        try:
            connection = self._reader()
            connection.execute("BEGIN")  # one query function sees one state
            try:
                return query(connection)
            finally:
                connection.execute("ROLLBACK")
        except (sqlite3.Error, OSError) as error:  # locked for too long, a disk that cannot be read, no file left to open
            raise StoreError(f"{self.path} cannot be read: {error}") from error

    def _reader(self) -> sqlite3.Connection:
        """Return this thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._open_reader()
            self._local.connection = connection
            self._reader_connections.append(connection)
        return connection

    def _open_reader(self) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA busy_timeout=5000")
        return connection

    # --- ending

    def close(self) -> None:
        """Finish what was submitted, then release the file and the lock. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._readers.shutdown()
        for connection in self._reader_connections:
            connection.close()
        self._writer.close()
        os.close(self._lock)


def _all_at_once(connection: sqlite3.Connection, group: Sequence[_Waiter]) -> None:
    """Run the units of a group; those that go together where the first of them stands."""
    gathered: dict[Together[Any, Any], list[_Waiter]] = {}
    for waiter in group:
        if waiter.together is not None:
            gathered.setdefault(waiter.together, []).append(waiter)
    for waiter in group:
        if waiter.together is None:
            waiter.result = waiter.unit(connection)
        elif mates := gathered.pop(waiter.together, None):
            results = waiter.together(connection, [one.item for one in mates])
            for one, result in zip(mates, results, strict=True):
                one.result = result


def _resolve(waiters: Sequence[_Waiter]) -> None:
    for waiter in waiters:
        waiter.resolve()
