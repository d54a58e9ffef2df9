"""What stands behind a source in the daemon: a real store, the interpreter, the poller, the door for webhooks. One loop, driven by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from crmbridge.contract import WebhookRequest
from crmbridge.errors import InvalidRequest
from crmbridge.intake.interpreter import Interpreter
from crmbridge.intake.poller import Poller
from crmbridge.intake.webhooks import Webhooks
from crmbridge.model import ChangeEvent, RecordRef, RecordSpec
from crmbridge.rules.engine import Engine
from crmbridge.store import SqliteStore
from crmbridge.telemetry import Metrics

T = TypeVar("T")


class World:
    """One source called `crm`, and everything that was made of what it saw."""

    def __init__(self, source: Any, records: Mapping[str, RecordSpec], folder: Path, now: Callable[[], datetime]) -> None:
        self.source = source
        self._runner = asyncio.Runner()
        self._now = now
        self.store = self.run(self._opened(folder))
        metrics = Metrics()
        interpreter = Interpreter(
            self.store,
            Engine([], {("crm", name): spec for name, spec in records.items()}),
            {"crm": records},
            metrics=metrics,
            now=now,
            recorded=lambda _: None,
        )
        self._poller = Poller(
            "crm", source, every=timedelta(seconds=1), store=self.store, interpreter=interpreter, metrics=metrics, now=now
        )
        self._webhooks = Webhooks(self.store, interpreter, {"crm": source}, metrics=metrics, now=now)
        self._desks: asyncio.Task[None] | None = None
        self._read = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    @staticmethod
    async def _opened(folder: Path) -> SqliteStore:
        return SqliteStore(folder / "world.db", synchronous="OFF")

    def call(self, method: Callable[..., Any], *args: Any) -> Any:
        """Call a method of the source as the poller does."""
        return self.run(self._poller._call(method, *args))

    def poll(self) -> list[ChangeEvent]:
        """Poll once to the end, and return the changes. Raises SourceError."""
        self.run(self._poller.poll_once())
        return self.news()

    def hear(self, request: WebhookRequest) -> int:
        """Receive one webhook and interpret it to the end. Return the status of the answer."""

        async def whole() -> int:
            if self._desks is None:
                self._desks = asyncio.create_task(self._webhooks.run())
            try:
                status = (await self._webhooks.receive("crm", request)).status
            except InvalidRequest as error:
                return error.status
            async with asyncio.timeout(30):
                while not self._desks.done() and await self.store.waiting("crm", 0, 1):  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
            return status

        return self.run(whole())

    def news(self) -> list[ChangeEvent]:
        """Return what changed since the last call, in order. Stale observations are left out."""
        found = self.run(self.store.events_after(self._read, 100_000))
        if found:
            self._read = found[-1].seq
        return [one.event for one in found if not one.stale]

    def knows(self, record_type: str, id: str) -> bool:
        """Say whether the record was ever seen."""
        ref = RecordRef("crm", record_type, id)
        return ref in self.run(self.store.known([ref])).snapshots

    @property
    def baselined(self) -> bool:
        return self.run(self.store.position("crm")).baselined

    def failed(self) -> list[str]:
        """Return the reasons why requests could not be interpreted."""
        return [reason for _, reason in self.run(self.store.failed_requests())]

    def close(self) -> None:
        """Release everything."""
        if self._desks is not None:
            self._desks.cancel()
            self.run(_ended(self._desks))
        self._webhooks.close()
        if hasattr(self.source, "close"):
            self.run(self._poller.close())
        self.store.close()
        self._runner.close()


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait({task})
