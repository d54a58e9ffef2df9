"""The port that orders work on: a store, the rules, and the parts of a running daemon that must hear of an order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from crmbridge.config.config import Config
from crmbridge.publisher.publisher import Publisher
from crmbridge.rules.engine import Engine
from crmbridge.store.interface import Store
from crmbridge.store.terms import Batch, SourcePosition


class Port(Protocol):
    """The common face of `Running` and `Stopped`. Every order means the same with both."""

    @property
    def store(self) -> Store:
        """crmbridge's own database."""

    @property
    def config(self) -> Config:
        """The configuration as it is now."""

    @property
    def engine(self) -> Engine:
        """The rules as they are now."""

    def now(self) -> datetime:
        """Return the present moment, with a time zone."""

    def source(self, name: str) -> Any:
        """Build a configured source anew, beside the one that is polled. Raises CrmbridgeError."""

    @property
    def publishers(self) -> Mapping[str, Publisher] | None:
        """The publishers that can speak to the networks, by destination. None where no daemon runs."""

    @property
    def mute(self) -> str:
        """The reason why nothing may be published. Empty if it may."""

    def queued(self) -> None:
        """Notice that deliveries were queued."""

    def requests_queued(self) -> None:
        """Notice that inbox rows wait."""

    async def steered(self) -> None:
        """Notice that pauses have changed."""

    async def moved(self, source: str, position: SourcePosition) -> None:
        """Let a source be read on from `position`."""

    @property
    def order(self) -> int | None:
        """The number under which the present order is written down."""

    def ordered(self, number: int | None) -> Port:
        """Return this port for the order with a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The port where no daemon runs, and only the database is there."""

    store: Store
    config: Config
    clock: Callable[[], datetime]
    built: Callable[[str], Any]
    """Builds a source by its name."""
    publishers: Mapping[str, Publisher] | None = None
    mute: str = ""
    order: int | None = None

    @property
    def engine(self) -> Engine:
        return self.config.engine

    def now(self) -> datetime:
        return self.clock()

    def source(self, name: str) -> Any:
        return self.built(name)

    def queued(self) -> None: ...

    def requests_queued(self) -> None: ...

    async def steered(self) -> None: ...

    async def moved(self, source: str, position: SourcePosition) -> None:
        await self.store.record(Batch(source=source, entries=(), position=position), self.now())

    def ordered(self, number: int | None) -> Stopped:
        return replace(self, order=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The port of a running daemon."""

    store: Store
    configured: Callable[[], Config]
    clock: Callable[[], datetime]
    built: Callable[[str], Any]
    speaking: Callable[[], Mapping[str, Publisher]]
    muted: Callable[[], str]
    on_queued: Callable[[], None]
    on_requests: Callable[[], None]
    on_steered: Callable[[], Awaitable[None]]
    on_moved: Callable[[str, SourcePosition], Awaitable[None]]
    order: int | None = None

    @property
    def config(self) -> Config:
        return self.configured()

    @property
    def engine(self) -> Engine:
        return self.configured().engine

    @property
    def publishers(self) -> Mapping[str, Publisher] | None:
        return self.speaking()

    @property
    def mute(self) -> str:
        return self.muted()

    def now(self) -> datetime:
        return self.clock()

    def source(self, name: str) -> Any:
        return self.built(name)

    def queued(self) -> None:
        self.on_queued()

    def requests_queued(self) -> None:
        self.on_requests()

    async def steered(self) -> None:
        await self.on_steered()

    async def moved(self, source: str, position: SourcePosition) -> None:
        await self.on_moved(source, position)

    def ordered(self, number: int | None) -> Running:
        return replace(self, order=number)


def by_order(port: Port, words: str) -> str:
    """Join the reason for a change of a delivery with the number of the order behind it. `crmbridge orders` tells who gave it."""
    return ", ".join(part for part in (words, f"order {port.order}" if port.order is not None else "") if part)
