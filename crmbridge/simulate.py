"""The real parts on a simulated clock: hours pass in milliseconds, and every run with the same inputs is the same.

An event loop whose time jumps to its next timer whenever nothing else is to do; a store whose transactions run on that loop instead of
in threads; a wall clock that follows the loop and can be set wrong. What is real: SQLite, rules, interpreter, publishers.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import sqlite3
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

from crmbridge.db import Database, Together, Unit
from crmbridge.errors import StoreError
from crmbridge.store import SqliteStore
from crmbridge.store.sqlite import SCHEMA

A = TypeVar("A")
T = TypeVar("T")
_BEGIN = datetime(2026, 1, 15, 12, 0, tzinfo=timezone.utc)


class _Jumping(selectors.SelectSelector):
    """A selector that never waits: it moves the time on instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError("everything waits for something that never comes")
        self.now += max(timeout, 0.0)
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop on a clock of its own, in seconds from 0."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class Clock:
    """A wall clock over a simulated loop. `jump` sets it wrong, as an administrator or a bad time server does."""

    def __init__(self, loop: asyncio.AbstractEventLoop, begin: datetime = _BEGIN) -> None:
        self._loop = loop
        self._begin = begin

    def now(self) -> datetime:
        return self._begin + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        return self._loop.time()

    def jump(self, by: timedelta) -> None:
        """Set the wall clock on (or back); what is monotonic does not notice."""
        self._begin += by


class _Inline(Database):
    """A database that works where it is called: no thread is needed where nothing waits."""

    async def write(self, unit: Unit[T]) -> T:
        if self._closed:
            raise StoreError(f"{self.path} is closed")
        await asyncio.sleep(0)  # others may come first, as they may in front of a writer
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            result = unit(self._writer)
        except BaseException:
            self._writer.execute("ROLLBACK")
            raise
        self._writer.execute("COMMIT")
        return result

    async def write_together(self, together: Together[A, T], item: A) -> T:
        return await self.write(lambda connection: together(connection, [item])[0])

    async def alone(self, unit: Unit[T]) -> T:
        return unit(self._writer)

    def _checkpoint(self, least: int) -> None:
        """Nothing: the writer's thread, which would do it in its quiet moments, may not touch the connection that is used here."""

    async def read(self, query: Unit[T]) -> T:
        await asyncio.sleep(0)
        with contextlib.closing(self._writer.execute("SELECT 1")):
            return query(self._writer)

    def abandon(self) -> None:
        """Do what a crash does: everything that is not committed is gone, and the lock is free."""
        with contextlib.suppress(sqlite3.Error):
            self._writer.execute("ROLLBACK")
        self.close()


class SimulatedStore(SqliteStore):
    """The store without threads and without fsync."""

    def __init__(self, path: Path) -> None:
        self.database = _Inline(path, SCHEMA, synchronous="OFF")

    def abandon(self) -> None:
        """As after a crash."""
        assert isinstance(self.database, _Inline)
        self.database.abandon()


class Simulation:
    """A loop with its clock. Use it as a context manager."""

    def __init__(self) -> None:
        self.loop = SimulatedLoop()
        self.clock = Clock(self.loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end of `work`, however long that is on this clock."""
        return self.loop.run_until_complete(work)

    def pass_time(self, seconds: float) -> None:
        """Let everything that is due within so many seconds happen."""
        self.run(asyncio.sleep(seconds))

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin something that goes on while time passes."""
        return self.loop.create_task(work)

    def until(self, condition: Callable[[], bool], most: float = 3600.0, beat: float = 1.0) -> None:
        """Let time pass until `condition` holds. Raises AssertionError after `most` seconds."""
        end = self.loop.time() + most
        while not condition():
            if self.loop.time() > end:
                raise AssertionError(f"it did not come to that within {most:g} simulated seconds")
            self.pass_time(beat)

    def cancel_all(self) -> None:
        """Cut everything off where it is, as a crash does."""
        while pending := asyncio.all_tasks(self.loop):
            for task in pending:
                task.cancel()
            self.run(_ended(pending))

    def close(self) -> None:
        """Cut everything off, and end. Safe to call twice."""
        if not self.loop.is_closed():
            self.cancel_all()
            self.loop.close()

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks)
