"""Builds every part from a Config, starts, reloads and stops them. The one module that knows all parts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from aiohttp import web
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from crmbridge import __version__, assemble
from crmbridge.chirp.embedded import feed_orders, feed_questions, feed_secret, open_feed
from crmbridge.chirp.feed import Feed
from crmbridge.config import files
from crmbridge.config.load import Config, DestinationConfig, SourceConfig, load
from crmbridge.contract import Destination, Source
from crmbridge.errors import CrmbridgeError, StoreError
from crmbridge.http import describe
from crmbridge.intake.interpreter import Interpreter
from crmbridge.intake.poller import Poller
from crmbridge.intake.soon import Soon
from crmbridge.intake.webhooks import Webhooks
from crmbridge.lookout import Lookout
from crmbridge.model import State
from crmbridge.operate.custody import Custody
from crmbridge.operate.desk import Desk
from crmbridge.operate.port import Running
from crmbridge.publisher.parcels import Silence
from crmbridge.publisher.publisher import Publisher
from crmbridge.server import Server
from crmbridge.store import SqliteStore
from crmbridge.store.interface import Batch, PauseKind, Retention, SourcePosition
from crmbridge.store.underway import Left, UnderWay
from crmbridge.supervise import Parts
from crmbridge.telemetry import Metrics, configure_logging, tell_systemd, watchdog_interval
from crmbridge.troubles.alerts import Alerts
from crmbridge.troubles.facts import Happened
from crmbridge.troubles.pulse import Pulse
from crmbridge.troubles.watch import Watch
from crmbridge.web.admin import admin_routes
from crmbridge.web.hooks import health_routes, hook_routes

_log = logging.getLogger(__name__)
GRACE = 10.0  # seconds that attempts under way may take when we stop
_CLOSING = 3.0  # seconds that a connector may take to close
_ALERT_EVERY = 10  # seconds between two looks for troubles


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(timezone.utc)


class App:
    """One daemon."""

    def __init__(self, config: Config, *, now: Callable[[], datetime] = utc_now, shadow: bool = False) -> None:
        """`shadow`: everything is recorded, and nothing published, of what waited before neither."""
        self.config = config
        self._shadow = shadow
        self.metrics = Metrics()
        self._now = now
        self._started = now()
        self._reloading = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._failure = ""
        self._parts = Parts(now, describe)
        self._pulse = Pulse(now, time.monotonic)
        self._pollers: dict[str, Poller] = {}
        self._publishers: dict[str, Publisher] = {}
        self._scheduler = AsyncIOScheduler(timezone=timezone.utc)

    # --- starting

    async def start(self, *, listen: str | None = None) -> None:
        """Open the databases, listen (on `listen` instead of what is configured), and begin to read and publish.

        Raises StoreError, OSError.
        """
        config = self.config
        config.store_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.store = SqliteStore(config.store_path)
        self.under_way = UnderWay(config.store_path.with_name(config.store_path.name + ".underway"))
        unclean = await self._remember_the_end(self.under_way.left)
        self.feed: Feed | None = None
        if config.embeds_feed:
            self.feed, self._feed_database = open_feed(config, self._now, self.metrics)
        fed = {config.feed_path.name: self._feed_database} if self.feed else {}
        self.custody = Custody(self.store, {config.store_path.name: self.store.database} | fed, self._now)
        await self.custody.begin()
        await self.custody.resolve_orphans(config.destinations)
        self.interpreter = Interpreter(
            self.store,
            config.engine,
            assemble.records(config),
            metrics=self.metrics,
            now=self._now,
            recorded=self._nudge,
            shadow=self._shadow,
            under_way=self.under_way,
        )
        await self.interpreter.remember()
        self._pauses = await self.store.pauses()
        self.alerts = Alerts(self.store, config.network, now=self._now, recorded=self._nudge)
        sources = self._build_sources(config, config.sources)
        self.webhooks = Webhooks(
            self.store,
            self.interpreter,
            assemble.hooks(sources),
            metrics=self.metrics,
            now=self._now,
            closed=lambda: self.custody.refusing,
            unseen=Soon(self._poll_now),
            under_way=self.under_way,
        )
        port = Running(
            store=self.store,
            configured=lambda: self.config,
            clock=self._now,
            built=lambda name: assemble.source(self.config, name, self._now),
            speaking=lambda: self._publishers,
            muted=self._mute,
            on_queued=lambda: self._nudge(set(self._publishers)),
            on_requests=self.webhooks.look_again,
            on_steered=self._steered,
            on_moved=self._moved,
        )
        self.lookout = Lookout(
            store=self.store,
            custody=self.custody,
            interpreter=self.interpreter,
            webhooks=self.webhooks,
            parts=self._parts,
            alerts=self.alerts,
            watch=Watch(await self.store.alerts()),
            pulse=self._pulse,
            metrics=self.metrics,
            now=self._now,
            began=self._started,
            shadow=self._shadow,
            config=lambda: self.config,
            pollers=lambda: self._pollers,
            publishers=lambda: self._publishers,
            pauses=lambda: self._pauses,
            files=files.fingerprints(config.path, config.model.include),
            unclean=unclean,
        )
        health = health_routes(self.unready, self.lookout.degraded)
        fed_routes = [*self.feed.routes(), web.get("/", _to_the_feed)] if self.feed else []
        routes = [*health, *hook_routes(self.webhooks, self._now), *fed_routes]
        self.server = Server(routes, name="server", trusted=config.model.server.trusted_proxies, metrics=self.metrics)
        own = {"reload": self._reload_verb, "seen": self.lookout.seen, "adopt": self._adopt_verb, "backup": self.custody.backup}
        desk = Desk(
            port,
            {"status": self.status, **(feed_questions(self.feed) if self.feed else {})},
            own | (feed_orders(self.feed) if self.feed else {}),
        )
        await desk.begin()
        token = config.model.admin.token
        admin = admin_routes(desk, self.lookout.exposition, token.reveal if token else None)
        self.admin = Server([*health, *admin], name="admin", metrics=self.metrics)
        await self.server.start(listen or config.model.server.listen)
        await self.admin.start(config.admin_listen)
        self._begin(config, self._build_destinations(config, config.destinations), sources)
        self._parts.begin("webhooks", self.webhooks.run)
        self._parts.begin("upkeep", self._upkeep)
        self._scheduler.add_job(
            self._retain, "interval", hours=1, coalesce=True, max_instances=1, misfire_grace_time=None, next_run_time=self._now()
        )
        self._scheduler.add_job(
            self.lookout.alert,
            "interval",
            seconds=min(_ALERT_EVERY, config.model.alerts.after.total_seconds()),
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        self._scheduler.add_job(
            self.lookout.beat, "interval", minutes=1, coalesce=True, max_instances=1, misfire_grace_time=None, next_run_time=self._now()
        )
        self._scheduler.start()
        self.metrics.reload_ok.set(1)
        tell_systemd(f"READY=1\nSTATUS=reading {len(config.sources)} sources, publishing to {len(config.destinations)} destinations")
        _log.info("crmbridge runs", extra={"version": __version__, "server": self.server.address, "rules": len(config.rules)})

    async def _remember_the_end(self, left: Left) -> Happened | None:
        """What the last process was working on when it ended is handled with care, and put aside after three times."""
        count = len(left.requests) + len(left.records) + len(left.deliveries)
        unclean = Happened("", f"{count or 'no'} requests, records or messages were being worked on", self._now())
        if not count:
            return unclean if self.under_way.unclean else None
        await self.store.crashed(left.requests, left.records, left.deliveries, self._now())
        self.under_way.forget()
        facts = {"requests": left.requests, "records": list(map(str, left.records)), "deliveries": left.deliveries}
        _log.warning("the last process ended while it worked on these", extra=facts)
        return unclean

    def _build_sources(self, config: Config, names: Iterable[str]) -> dict[str, Any]:
        """The sources of `names`. Raises CrmbridgeError."""
        return {name: assemble.source(config, name, self._now) for name in names}

    def _build_destinations(self, config: Config, names: Iterable[str]) -> dict[str, Destination]:
        """The destinations of `names`. Raises CrmbridgeError."""
        feed = (self.server.url, feed_secret(config)) if self.feed else None
        return {name: assemble.destination(config, name, self._now, feed) for name in names}

    def _begin(self, config: Config, destinations: Mapping[str, Destination], sources: Mapping[str, Any]) -> None:
        """Publish to `destinations`, and poll those of `sources` that can be read."""
        for name, destination in destinations.items():
            self._start_publisher(config.destinations[name], destination)
        for name, source in sources.items():
            if isinstance(source, Source):
                self._start_poller(config.sources[name], source)

    def _poll_now(self, name: str) -> None:
        if poller := self._pollers.get(name):
            poller.nudge()

    def _start_poller(self, config: SourceConfig, source: Source) -> None:
        poller = Poller(
            config.name,
            source,
            every=config.every,
            store=self.store,
            interpreter=self.interpreter,
            metrics=self.metrics,
            now=self._now,
            closed=lambda: self.custody.refusing,
        )
        self._pollers[config.name] = poller
        self._parts.begin(f"source {config.name}", poller.run)

    def _start_publisher(self, destination: DestinationConfig, built: Destination) -> None:
        publisher = Publisher(
            built, destination.policy, store=self.store, metrics=self.metrics, now=self._now, under_way=self.under_way,
            hidden=lambda message: self.config.engine.undisclosed(message, destination.audience),
        )  # fmt: skip
        publisher.silenced = self._silence(destination.name)
        self._publishers[destination.name] = publisher
        self._parts.begin(f"destination {destination.name}", publisher.run)

    def _nudge(self, destinations: set[str]) -> None:
        for name in destinations:
            if publisher := self._publishers.get(name):
                publisher.nudge()

    # --- running

    async def run(self) -> int:
        """Run until `stop` is asked for or something fails for good; returns the exit code."""
        await self._stopping.wait()
        await self._shut()
        return 1 if self._failure else 0

    def stop(self) -> None:
        """Ask for a clean end."""
        self._stopping.set()

    def _fail(self, reason: str) -> None:
        self._failure = self._failure or reason
        self._stopping.set()

    def unready(self) -> str:
        """Why nothing can be taken in; empty if it can."""
        if self._stopping.is_set():
            return "stopping"
        return self.custody.refusing

    async def _upkeep(self) -> None:
        """Every second: has the database failed, has the clock jumped, does systemd want a sign of life?"""
        interval = watchdog_interval()
        pause, last_sign = min(1.0, interval or 1.0), 0.0
        self._pulse.reset()
        while True:
            await asyncio.sleep(pause)
            if self.store.database.failure:
                self._fail("the database cannot be written")
            await self.custody.look()
            if drift := self._pulse.look(pause):
                _log.warning("the clock jumped", extra={"seconds": round(drift.total_seconds())})
                if drift < timedelta(0):
                    with contextlib.suppress(StoreError):
                        await self.store.shift(drift, self._now())
                self._nudge(set(self._publishers))
            tick = time.monotonic()
            if interval and tick - last_sign >= interval and not self.store.database.failure:
                tell_systemd("WATCHDOG=1")
                last_sign = tick

    async def _retain(self) -> None:
        model = self.config.model.retention
        retention = Retention(journal=model.journal, delivered=model.delivered, observations=model.observations, orders=model.orders)
        try:
            while await self.store.purge(retention, self._now()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        except StoreError as error:
            _log.warning("retention could not run", extra={"reason": str(error)})
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
            # We end: APScheduler would log this as an error, with a traceback.

    # --- looking

    async def status(self) -> dict[str, Any]:
        """What a person on call wants to know first."""
        return {
            "version": __version__,
            "config": str(self.config.path),
            "started": self._started.isoformat(),
            "ready": self.unready() or "ready",
            "server": self.server.address,
            "rules": len(self.config.rules),
            **await self.lookout.status(),
        }

    # --- silence that people order, and alarms

    def _mute(self) -> str:
        """Why nothing at all may be changed at any network; empty if it may."""
        if self._shadow:
            return "it runs with --shadow"
        return f"{self.custody.mute}; `crmbridge adopt`" if self.custody.mute else ""

    def _silence(self, name: str) -> Silence | None:
        """Why a destination is silent; None if nobody wants that."""
        if mute := self._mute():
            return Silence(mute)
        for pause in self._pauses:
            if pause.kind is PauseKind.ALL or (pause.kind is PauseKind.DESTINATION and pause.name == name):
                return Silence(f"{pause.reason}; `crmbridge resume {pause.name or 'all'}`", by_hand=True, since=pause.since)
        return None

    async def _steered(self) -> None:
        """Pauses have changed."""
        self._pauses = await self.store.pauses()
        refusing = {wait.destination for wait in await self.store.waits() if wait.until is None}
        for name, publisher in self._publishers.items():
            publisher.silenced = self._silence(name)
            if name not in refusing:
                publisher.paused = None
            publisher.nudge()

    async def _moved(self, name: str, position: SourcePosition) -> None:
        """Let a source be read on from elsewhere: no poll may be under way meanwhile, whose cursor would win."""
        async with self._reloading:  # a reload ends and begins pollers too
            sources = self._build_sources(self.config, [name])
            self.webhooks.sources = {**self.webhooks.sources, **assemble.hooks(sources)}
            await self._end_poller(name)
            try:
                await self.store.record(Batch(source=name, entries=(), position=position), self._now())
            finally:
                self._begin(self.config, {}, sources)

    async def _adopt_verb(self, hold: bool = True) -> dict[str, Any]:
        answer = {"held": await self.custody.adopt(hold=hold)}
        await self._steered()
        return answer

    # --- reloading

    async def reload(self) -> None:
        """Apply the configuration file as it is now. Raises ConfigError or CrmbridgeError; then the old one runs on."""
        async with self._reloading:
            tell_systemd(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                before = files.fingerprints(self.config.path, self.config.model.include)
                await self._refuse_unsafe(config := await asyncio.to_thread(load, self.config.path))
                await self._apply(config)
            except Exception as error:  # whatever it is, people must hear of it, and the old one runs on
                self.lookout.reload_error = str(error) if isinstance(error, CrmbridgeError) else describe(error)
                self.metrics.reload_ok.set(0)
                self.metrics.reloads.labels("refused").inc()
                _log.error("the new configuration is refused; the old one runs on", extra={"reason": self.lookout.reload_error})
                raise CrmbridgeError(self.lookout.reload_error) from error
            else:
                self.lookout.reload_error, self.lookout.files = "", before
                self.metrics.reload_ok.set(1)
                self.metrics.reloads.labels("applied").inc()
                self._scheduler.add_job(self.lookout.beat)  # its address may be another now
                _log.info("the configuration was reloaded", extra={"rules": len(config.rules)})
            finally:
                tell_systemd("READY=1")

    async def _reload_verb(self) -> dict[str, Any]:
        await self.reload()
        return {"rules": len(self.config.rules)}

    async def _refuse_unsafe(self, config: Config) -> None:
        fixed = {
            "store.path": (config.store_path, self.config.store_path),
            "chirp": (config.model.chirp, self.config.model.chirp),
            "server": (config.model.server, self.config.model.server),
            "admin.listen": (config.admin_listen, self.config.admin_listen),
        }
        for name, (new, old) in fixed.items():
            if new != old:
                raise CrmbridgeError(f"{name} cannot change while crmbridge runs: restart it")
        if config.embeds_feed and self.feed is None:
            raise CrmbridgeError("the embedded feed cannot be added while crmbridge runs: restart it")
        for one in (await self.store.overview()).tallies:
            if one.destination not in config.destinations and one.state is not State.DEAD:
                raise CrmbridgeError(f"the destination {one.destination} has {one.count} {one.state} messages: it cannot be removed yet")

    async def _apply(self, config: Config) -> None:
        old = self.config
        rebuilt = config.network != old.network
        ended = {
            name
            for name, publisher in self._publishers.items()
            if rebuilt or publisher.paused or config.destinations.get(name) != old.destinations[name]
        }
        gone = {name for name, one in old.sources.items() if rebuilt or config.sources.get(name) != one}  # what can fail comes first
        new = [name for name in config.destinations if name in ended or name not in self._publishers]
        destinations = self._build_destinations(config, new)
        sources = self._build_sources(config, [name for name in config.sources if name in gone or name not in old.sources])
        self.config = config
        if (log := config.model.log) != old.model.log:
            configure_logging(level=log.level, style=log.style)
        self.interpreter.reload(config.engine, assemble.records(config), gone)
        self.webhooks.sources = {name: one for name, one in self.webhooks.sources.items() if name not in gone} | assemble.hooks(sources)
        await asyncio.gather(*(self._end_publisher(name) for name in ended), *(self._end_poller(name) for name in gone))
        for poller in self._pollers.values():
            poller.look_again()
        self._begin(config, destinations, sources)

    async def _end_publisher(self, name: str) -> None:
        publisher = self._publishers.pop(name)
        await publisher.stop(GRACE)
        await self._parts.end(f"destination {name}")
        await _released(f"destination {name}", publisher.close)

    async def _end_poller(self, name: str) -> None:
        if poller := self._pollers.pop(name, None):
            await self._parts.end(f"source {name}")
            await _released(f"source {name}", poller.close)

    # --- stopping

    async def _shut(self) -> None:
        """Take in nothing more, finish what is under way, release everything."""
        tell_systemd("STOPPING=1")
        _log.info("crmbridge stops", extra={"reason": self._failure or "asked to"})
        self._scheduler.shutdown(wait=False)
        ends = [self._end_poller(name) for name in list(self._pollers)] + [self._end_publisher(name) for name in list(self._publishers)]
        await asyncio.gather(*ends)  # together: a source that hangs must not take the grace of attempts under way
        await self.server.stop()
        await self._parts.end_all()
        self.webhooks.close()
        self.under_way.close()
        await self.admin.stop()
        await self.alerts.close()
        if self.feed:
            self.feed.close()
            self._feed_database.close()
        self.store.close()
        _log.info("crmbridge has stopped")


async def _to_the_feed(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/chirp"})


async def _released(name: str, close: Callable[[], Awaitable[None]]) -> None:
    """Close a connector; one that hangs or fails at it holds up nobody."""
    try:
        async with asyncio.timeout(_CLOSING):
            await close()
    except Exception as error:
        _log.warning("a connector could not be closed", extra={"part": name, "reason": describe(error)})
