"""Who works in a daemon: a poller for each source that is read, a publisher for each destination. They begin, end and are exchanged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from crmbridge import assemble
from crmbridge.config.config import Config, DestinationConfig, SourceConfig
from crmbridge.contract import Destination, Secret, Source
from crmbridge.http import describe
from crmbridge.intake.interpreter import Interpreter
from crmbridge.intake.poller import Poller
from crmbridge.intake.webhooks import Webhooks
from crmbridge.publisher.health import Silence
from crmbridge.publisher.publisher import Publisher
from crmbridge.store.interface import Store
from crmbridge.store.terms import Batch, Pause, PauseKind, SourcePosition
from crmbridge.store.underway import UnderWay
from crmbridge.supervise import Parts
from crmbridge.telemetry import Metrics

_log = logging.getLogger(__name__)
GRACE: Final = 10.0  # seconds that attempts under way may take when a publisher ends
_CLOSING: Final = 3.0  # seconds that a connector may take to close


@dataclass(kw_only=True)
class Crew:
    """`config` is the one that they work by; a reload exchanges it, and those whose part of it is another one.

    `feed` gives the embedded feed's address and secret, if there is one; `refusing` why nothing may be taken in; `mute` why nothing
    may be said. The last two are empty where there is no reason.
    """

    config: Config
    store: Store
    interpreter: Interpreter
    webhooks: Webhooks
    under_way: UnderWay
    parts: Parts
    metrics: Metrics
    now: Callable[[], datetime]
    refusing: Callable[[], str]
    mute: Callable[[], str]
    feed: Callable[[Config], tuple[str, Secret] | None]
    pollers: dict[str, Poller] = field(default_factory=dict)
    publishers: dict[str, Publisher] = field(default_factory=dict)
    pauses: Sequence[Pause] = ()
    """What people have silenced."""
    exchanging: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while pollers end and begin."""

    # --- beginning

    def build_sources(self, config: Config, names: Iterable[str]) -> dict[str, Any]:
        """Build the sources of `names`. Raises CrmbridgeError."""
        return {name: assemble.source(config, name, self.now) for name in names}

    def build_destinations(self, config: Config, names: Iterable[str]) -> dict[str, Destination]:
        """Build the destinations of `names`. Raises CrmbridgeError."""
        feed = self.feed(config)
        return {name: assemble.destination(config, name, self.now, feed) for name in names}

    def begin(self, destinations: Mapping[str, Destination], sources: Mapping[str, Any]) -> None:
        """Publish to `destinations`, and poll those of `sources` that can be read."""
        for name, destination in destinations.items():
            self._begin_publisher(self.config.destinations[name], destination)
        for name, source in sources.items():
            if isinstance(source, Source):
                self._begin_poller(self.config.sources[name], source)

    def _begin_poller(self, config: SourceConfig, source: Source) -> None:
        poller = Poller(
            config.name,
            source,
            every=config.every,
            store=self.store,
            interpreter=self.interpreter,
            metrics=self.metrics,
            now=self.now,
            refusing=self.refusing,
        )
        self.pollers[config.name] = poller
        self.parts.begin(f"source {config.name}", poller.run)

    def _begin_publisher(self, config: DestinationConfig, destination: Destination) -> None:
        publisher = Publisher(
            destination,
            config.policy,
            store=self.store,
            metrics=self.metrics,
            now=self.now,
            under_way=self.under_way,
            hidden=lambda message: self.config.engine.undisclosed(message, config.audience),
        )
        publisher.health.silenced = self._silence(config.name)
        self.publishers[config.name] = publisher
        self.parts.begin(f"destination {config.name}", publisher.run)

    # --- working

    def nudge(self, destinations: Collection[str] | None = None) -> None:
        """There is something to publish, at some destinations or at all."""
        for name in self.publishers if destinations is None else destinations:
            if publisher := self.publishers.get(name):
                publisher.nudge()

    def poll_now(self, name: str) -> None:
        """There is something to read."""
        if poller := self.pollers.get(name):
            poller.nudge()

    async def steer(self) -> None:
        """Heed the pauses as they are in the store."""
        self.pauses = await self.store.pauses()
        refusing = {wait.destination for wait in await self.store.waits() if wait.until is None}
        for name, publisher in self.publishers.items():
            publisher.health.silenced = self._silence(name)
            if name not in refusing:
                publisher.health.paused = None
            publisher.nudge()

    def _silence(self, name: str) -> Silence | None:
        """Why a destination is silent; None if nobody wants that."""
        if mute := self.mute():
            return Silence(mute)
        for pause in self.pauses:
            if pause.kind is PauseKind.ALL or (pause.kind is PauseKind.DESTINATION and pause.name == name):
                return Silence(f"{pause.reason}; `crmbridge resume {pause.name or 'all'}`", by_hand=True, since=pause.since)
        return None

    # --- exchanging

    async def move(self, name: str, position: SourcePosition) -> None:
        """Let a source be read on from elsewhere: no poll may be under way meanwhile, whose cursor would win."""
        async with self.exchanging:
            sources = self.build_sources(self.config, [name])
            self.webhooks.sources = {**self.webhooks.sources, **assemble.hooks(sources)}
            await self._end_poller(name)
            try:
                await self.store.record(Batch(source=name, entries=(), position=position), self.now())
            finally:
                self.begin({}, sources)

    async def exchange(self, config: Config) -> None:
        """Work by another configuration from now on; who is not concerned works on. Raises CrmbridgeError, and then nothing has changed.

        Within `exchanging`.
        """
        old, rebuilt = self.config, config.network != self.config.network
        ended = {
            name
            for name, publisher in self.publishers.items()
            if rebuilt or publisher.health.paused or config.destinations.get(name) != old.destinations[name]
        }
        gone = {name for name, one in old.sources.items() if rebuilt or config.sources.get(name) != one}
        new = [name for name in config.destinations if name in ended or name not in self.publishers]
        destinations = self.build_destinations(config, new)  # what can fail comes first
        sources = self.build_sources(config, [name for name in config.sources if name in gone or name not in old.sources])
        self.config = config
        self.interpreter.reload(config.engine, assemble.records(config), gone)
        self.webhooks.sources = {name: one for name, one in self.webhooks.sources.items() if name not in gone} | assemble.hooks(sources)
        await asyncio.gather(*(self._end_publisher(name) for name in ended), *(self._end_poller(name) for name in gone))
        for poller in self.pollers.values():
            poller.look_again()
        self.begin(destinations, sources)

    # --- ending

    async def end(self) -> None:
        """All of them, together: a source that hangs must not take the grace of attempts under way."""
        ends = [self._end_poller(name) for name in list(self.pollers)] + [self._end_publisher(name) for name in list(self.publishers)]
        await asyncio.gather(*ends)

    async def _end_publisher(self, name: str) -> None:
        publisher = self.publishers.pop(name)
        await publisher.stop(GRACE)
        await self.parts.end(f"destination {name}")
        await _released(f"destination {name}", publisher.close)

    async def _end_poller(self, name: str) -> None:
        if poller := self.pollers.pop(name, None):
            await self.parts.end(f"source {name}")
            await _released(f"source {name}", poller.close)


async def _released(name: str, close: Callable[[], Awaitable[None]]) -> None:
    """Close a connector; one that hangs or fails at it holds up nobody."""
    try:
        async with asyncio.timeout(_CLOSING):
            await close()
    except Exception as error:
        _log.warning("a connector could not be closed", extra={"part": name, "reason": describe(error)})
