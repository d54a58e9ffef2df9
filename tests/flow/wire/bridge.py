"""crmbridge's own parts, from a configuration's text to the connectors, driven by hand on a clock that moves when it is told to.

The one place of these proofs that knows how the parts are put together.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Self

import yaml
from shared import NOW

from crmbridge import assemble
from crmbridge.config.config import Config
from crmbridge.config.load import load
from crmbridge.contract import Reply, WebhookRequest
from crmbridge.errors import InvalidRequest
from crmbridge.intake.interpreter import Interpreter
from crmbridge.intake.poller import Poller
from crmbridge.intake.webhooks import Webhooks
from crmbridge.model import ChangeEvent, Choice, Delivery, RecordRef, State
from crmbridge.publisher.publisher import Publisher
from crmbridge.store import SqliteStore
from crmbridge.store.ledger import Order
from crmbridge.store.terms import Selection
from crmbridge.telemetry import Metrics
from crmbridge.testing import ScriptedServer

_NOTHING_TO_DO = 30.0  # seconds a publisher rests for where it waits for nothing


class Clock:
    """Wall clock and monotonic clock in one; neither moves by itself."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


class _Stepped(Publisher):
    """A publisher that tells when it has nothing left to do at this instant of the clock, and for how long."""

    def __init__(self, *args: Any, **facts: Any) -> None:
        super().__init__(*args, **facts)
        self.rested = asyncio.Event()
        self.pause = 0.0

    async def _turn(self) -> float:
        self.pause = await super()._turn()
        if self.pause > 0 and not self.under_way:
            self.rested.set()
        return self.pause


class Stage:
    """One run: a folder, stand-ins, crmbridge's parts. A context manager; `YAML` is what its configuration is made from."""

    YAML = ""
    PATIENCE = 60.0
    """Seconds after which a run hangs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.places: dict[str, str] = {}
        """What a stand-in is called in YAML, like $slack, and its address."""
        self.config: Config
        self._stack = contextlib.ExitStack()
        self._runner = self._stack.enter_context(asyncio.Runner())
        self._publishers: dict[str, tuple[_Stepped, asyncio.Task[None]]] = {}
        self._read = 0
        self.batches: list[int] = []
        """How many observations each transaction brought."""

    def prepare(self) -> None:
        """Begin the stand-ins."""

    def now(self) -> datetime:
        """The clock of crmbridge."""
        return self.clock.now()

    def server(self, name: str, server: Any = None) -> Any:
        """A stand-in that YAML calls `$name`."""
        server = self._stack.enter_context(server or ScriptedServer())
        self.places[f"${name}"] = server.url
        return server

    def document(self, document: dict[str, Any]) -> None:
        """The configuration of this run, written as text."""
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        for name, address in self.places.items():
            text = text.replace(name, address)
        self.path = self.folder / "crmbridge.yaml"
        self.path.write_text(text, "utf-8")

    def anonymous(self, text: str) -> str:
        """With the names of stand-ins instead of their addresses, which are others in every run."""
        for name, address in self.places.items():
            text = text.replace(address, name).replace(address.removeprefix("http://"), name)
        return text.replace(str(self.folder), "$folder")

    def __enter__(self) -> Self:
        self.prepare()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- the parts

    def start(self) -> Self:
        """Load the text, and put the parts together."""
        self.config = load(self.path)
        self.metrics = Metrics()
        self._run(self._started())
        return self

    async def _started(self) -> None:
        self.store = SqliteStore(self.config.store_path, synchronous="OFF")
        self._stack.callback(self.store.close)
        record = self.store.record

        async def counted(batch: Any, now: datetime) -> int:
            self.batches.append(len(batch.entries))
            return await record(batch, now)

        self.store.record = counted  # type: ignore[method-assign]
        self.interpreter = Interpreter(
            self.store,
            self.config.engine,
            {name: one.records for name, one in self.config.sources.items()},
            metrics=self.metrics,
            now=self.now,
            recorded=lambda _: None,
            monotonic=self.clock.monotonic,
        )
        self.source = assemble.source(self.config, next(iter(self.config.sources)), self.now)
        self.ticks = 0.0
        """The clock of walks."""
        self._poller: Poller | None = None
        hooks = {"crm": self.source} if hasattr(self.source, "verify") else {}
        self._webhooks = Webhooks(self.store, self.interpreter, hooks, metrics=self.metrics, now=self.now)
        self._desks = asyncio.create_task(self._webhooks.run())
        self._stack.callback(lambda: self._run(self._ended()))

    async def _ended(self) -> None:
        self._desks.cancel()
        for publisher, task in self._publishers.values():
            await publisher.stop(5)
            await task
            await publisher.close()
        await asyncio.wait({self._desks})
        if self._poller is not None:
            await self._poller.close()

    def _run(self, work: Any) -> Any:
        async def limited() -> Any:
            async with asyncio.timeout(self.PATIENCE):
                return await work

        return self._runner.run(limited())

    def poll(self) -> list[ChangeEvent]:
        """One poll to its end; returns what changed by it. Raises SourceError."""
        if self._poller is None:
            (name, one), *_ = self.config.sources.items()
            self._poller = self._run(
                _made(
                    lambda: Poller(
                        name,
                        self.source,
                        every=one.every,
                        store=self.store,
                        interpreter=self.interpreter,
                        metrics=self.metrics,
                        now=self.now,
                        monotonic=lambda: self.ticks,
                    )
                )
            )
        self._run(self._poller.poll_once())
        return self.news()

    def walk(self) -> list[ChangeEvent]:
        """One poll, and what is walked through after it, an hour later by the clock of walks; returns what changed by both."""
        self.ticks += 3600.0
        found = self.poll()
        self._run(self._poller.walk())
        return found + self.news()

    def hear(self, body: bytes, path: str = "", **headers: str) -> int:
        """One webhook, interpreted to its end; returns the answer's status."""
        given = {"content-type": "application/json"} | {name.replace("_", "-").lower(): value for name, value in headers.items()}
        return self.receive(WebhookRequest(given, body, "", self.now(), path))

    def receive(self, request: WebhookRequest) -> int:
        """The same, with the request as it is."""

        async def whole() -> int:
            try:
                status = (await self._webhooks.receive("crm", request)).status
            except InvalidRequest as error:
                return error.status
            while not self._desks.done() and await self.store.waiting("crm", 0, 1):
                await asyncio.sleep(0.002)
            return status

        return int(self._run(whole()))

    def greeted(self, request: WebhookRequest) -> Reply | int | None:
        """The answer to a handshake; None where the request is taken for none, the status where it is refused."""
        try:
            return self._webhooks.greet("crm", request)
        except InvalidRequest as error:
            return error.status

    def ordered(self, verb: str) -> None:
        """An order that was carried out."""

        async def whole() -> None:
            number = await self.store.order_begins(Order(verb=verb, arguments={}, meant="", actor="susan", door=""), self.now())
            await self.store.order_ends(number, {}, "", self.now())

        self._run(whole())

    def news(self) -> list[ChangeEvent]:
        """What changed since the last call, in order; stale observations are none."""
        found = self._run(self.store.events_after(self._read, 100_000))
        if found:
            self._read = found[-1].seq
        return [one.event for one in found if not one.stale]

    def knows(self, record_type: str, id: str) -> bool:
        """Whether the record was ever seen."""
        ref = RecordRef("crm", record_type, id)
        return ref in self._run(self.store.known([ref])).snapshots

    def publish(self, name: str = "out", within: float = 5.0) -> None:
        """Let the destination's publisher do all that is due within so many seconds of its clock."""

        async def whole() -> None:
            if name not in self._publishers:
                built = assemble.destination(self.config, name, self.now, None)
                facts = {"store": self.store, "metrics": self.metrics, "now": self.now, "monotonic": self.clock.monotonic}
                publisher = _Stepped(built, self.config.destinations[name].policy, **facts, chance=lambda: 0.5)
                self._publishers[name] = publisher, asyncio.create_task(publisher.run())
            publisher, _ = self._publishers[name]
            end = self.clock.seconds + within
            while True:
                publisher.rested.clear()
                publisher.nudge()
                await publisher.rested.wait()
                if publisher.pause >= _NOTHING_TO_DO or self.clock.seconds + publisher.pause > end:
                    return
                self.clock.advance(publisher.pause)

        self._run(whole())

    def outbox(self, *states: State) -> list[Delivery]:
        """Deliveries in these states, or all, in the order of acceptance."""
        found = self._run(self.store.select(states or tuple(State), Selection(), limit=10_000, oldest=True))
        return sorted(found, key=lambda one: one.id)


def facts(events: list[ChangeEvent], *names: str) -> list[list[str | None]]:
    """Of each event what has these names: its own facts, else the record's fields; `before.NAME` is an old value."""
    return [[_fact(one, name) for name in names] for one in events]


def _fact(event: ChangeEvent, name: str) -> str | None:
    if name in ("kind", "record_id", "record_type", "occurred_at", "actor", "url"):
        value = getattr(event, name)
    elif name.startswith("before."):
        value = event.before.get(name.removeprefix("before."))
    else:
        value = event.fields.get(name)
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat()
    return None if value is None else f"{value.value}={value.label}" if isinstance(value, Choice) else str(value)


async def _made(make: Callable[[], Any]) -> Any:
    return make()
