"""Assembles a daemon from a Config, starts and stops it. The one module that knows all parts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from aiohttp import web
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from crmbridge import __version__, assemble
from crmbridge.chirp.embedded import feed_orders, feed_questions, feed_secret, open_feed
from crmbridge.chirp.feed import Feed
from crmbridge.config import files
from crmbridge.config.config import Config
from crmbridge.crew import Crew
from crmbridge.errors import StoreError
from crmbridge.http import describe
from crmbridge.intake.interpreter import Interpreter
from crmbridge.intake.soon import Soon
from crmbridge.intake.webhooks import Webhooks
from crmbridge.lookout import Lookout
from crmbridge.operate.backups import Backups
from crmbridge.operate.custody import Custody
from crmbridge.operate.port import Running
from crmbridge.operate.verbs import Verbs
from crmbridge.reload import Reload
from crmbridge.server import Server
from crmbridge.store import SqliteStore
from crmbridge.store.terms import Retention
from crmbridge.store.underway import Left, UnderWay
from crmbridge.supervise import Parts
from crmbridge.telemetry import Metrics, tell_systemd, watchdog_interval
from crmbridge.troubles.alerts import Alerts
from crmbridge.troubles.facts import Happened
from crmbridge.troubles.pulse import Pulse
from crmbridge.troubles.watch import Memory
from crmbridge.web.admin import admin_routes
from crmbridge.web.hooks import health_routes, hook_routes

_log = logging.getLogger(__name__)
_ALERT_EVERY = 10  # seconds between two looks for troubles
_AT_TIMES: Final[dict[str, Any]] = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}


def utc_now() -> datetime:
    """Read the wall clock."""
    return datetime.now(timezone.utc)


class App:
    """One daemon."""

    def __init__(self, config: Config, *, now: Callable[[], datetime] = utc_now, shadow: bool = False) -> None:
        """`shadow`: everything is recorded, and nothing published, of what waited before neither."""
        self._first = config
        self._shadow = shadow
        self.metrics = Metrics()
        self._now = now
        self._started = now()
        self._stopping = asyncio.Event()
        self._failure = ""
        self._parts = Parts(now, describe)
        self._pulse = Pulse(now, time.monotonic)
        self._scheduler = AsyncIOScheduler(timezone=timezone.utc)

    # --- starting

    async def start(self, *, listen: str | None = None) -> None:
        """Open the databases, listen (on `listen` instead of what is configured), and begin to read and publish.

        Raises StoreError, OSError.
        """
        config = self._first
        unclean = await self._open(config)
        try:
            await self._begin(config, listen, unclean)
        except BaseException:
            if not self.under_way.unclean:  # a start that is refused is no end that nobody asked for
                self.under_way.close()
            raise
        self.metrics.reload_ok.set(1)
        tell_systemd(f"READY=1\nSTATUS=reading {len(config.sources)} sources, publishing to {len(config.destinations)} destinations")
        _log.info("crmbridge runs", extra={"version": __version__, "server": self.server.address, "rules": len(config.rules)})

    async def _begin(self, config: Config, listen: str | None, unclean: Happened | None) -> None:
        """Open the doors, and begin to read and publish."""
        sources = {name: assemble.source(config, name, self._now) for name in config.sources}
        await self._assemble(config, sources, unclean)
        await self._listen(config, listen)
        self.crew.begin(self.crew.build_destinations(config, config.destinations), sources)
        self._parts.begin("webhooks", self.webhooks.run)
        self._parts.begin("upkeep", self._upkeep)
        self._schedule(config)

    async def _open(self, config: Config) -> Happened | None:
        """Open the databases. Returns how the last process ended, if nobody had asked it to end."""
        config.store_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.store = SqliteStore(config.store_path)
        self.under_way = UnderWay(config.store_path.with_name(config.store_path.name + ".underway"))
        unclean = await self._remember_the_end(self.under_way.left)
        databases = {config.store_path.name: self.store.database}
        self.feed: Feed | None = None
        if config.embeds_feed:
            self.feed, self._feed_database = open_feed(config, self._now, self.metrics)
            databases[config.feed_path.name] = self._feed_database
        self.custody = Custody(self.store, databases, self._now)
        await self.custody.begin()
        await self.custody.resolve_orphans(config.destinations)
        return unclean

    async def _remember_the_end(self, left: Left) -> Happened | None:
        """Handle with care what the last process was working on when it ended, and put it aside after three times."""
        count = len(left.requests) + len(left.records) + len(left.deliveries)
        unclean = Happened("", f"{count or 'no'} requests, records or messages were being worked on", self._now())
        if not count:
            return unclean if self.under_way.unclean else None
        await self.store.crashed(left.requests, left.records, left.deliveries, self._now())
        self.under_way.forget()
        facts = {"requests": left.requests, "records": list(map(str, left.records)), "deliveries": left.deliveries}
        _log.warning("the last process ended while it worked on these", extra=facts)
        return unclean

    async def _assemble(self, config: Config, sources: dict[str, Any], unclean: Happened | None) -> None:
        """Everything between the databases and the doors."""
        self.interpreter = Interpreter(
            self.store,
            config.engine,
            assemble.records(config),
            metrics=self.metrics,
            now=self._now,
            recorded=lambda destinations: self.crew.nudge(destinations),
            shadow=self._shadow,
            under_way=self.under_way,
        )
        await self.interpreter.remember()
        self.webhooks = Webhooks(
            self.store,
            self.interpreter,
            assemble.hooks(sources),
            metrics=self.metrics,
            now=self._now,
            refusing=lambda: self.custody.refusing,
            unseen=Soon(lambda name: self.crew.poll_now(name)),
            under_way=self.under_way,
        )
        self.crew = Crew(
            config=config,
            store=self.store,
            interpreter=self.interpreter,
            webhooks=self.webhooks,
            under_way=self.under_way,
            parts=self._parts,
            metrics=self.metrics,
            now=self._now,
            refusing=lambda: self.custody.refusing,
            mute=self._mute,
            feed=lambda one: (self.server.url, feed_secret(one)) if self.feed else None,
            pauses=await self.store.pauses(),
        )
        self.backups = Backups(self.custody, lambda: self.crew.config, self._now)
        self.alerts = Alerts(self.store, config.network, now=self._now, recorded=self.crew.nudge)
        self.lookout = Lookout(
            store=self.store,
            custody=self.custody,
            backups=self.backups,
            interpreter=self.interpreter,
            webhooks=self.webhooks,
            crew=self.crew,
            parts=self._parts,
            alerts=self.alerts,
            watch=Memory(await self.store.alerts()),
            pulse=self._pulse,
            metrics=self.metrics,
            now=self._now,
            began=self._started,
            shadow=self._shadow,
            files=files.fingerprints(config.path, config.model.include),
            unclean=unclean,
        )

    async def _listen(self, config: Config, listen: str | None) -> None:
        """Open the doors: one for the outside, one for people's orders."""
        health = health_routes(self.unready, self.lookout.degraded)
        fed_routes = [*self.feed.routes(), web.get("/", _to_the_feed)] if self.feed else []
        routes = [*health, *hook_routes(self.webhooks, self._now), *fed_routes]
        self.server = Server(routes, name="server", trusted=config.model.server.trusted_proxies, metrics=self.metrics)
        desk = await self._desk()
        token = config.model.admin.token
        admin = admin_routes(desk, self.lookout.exposition, token.reveal if token else None)
        self.admin = Server([*health, *admin], name="admin", metrics=self.metrics)
        await self.server.start(listen or config.model.server.listen)
        await self.admin.start(config.admin_listen)

    async def _desk(self) -> Verbs:
        """Where people ask and order."""
        crew = self.crew
        port = Running(
            store=self.store,
            configured=lambda: crew.config,
            clock=self._now,
            built=lambda name: assemble.source(crew.config, name, self._now),
            speaking=lambda: crew.publishers,
            muted=self._mute,
            on_queued=crew.nudge,
            on_requests=self.webhooks.look_again,
            on_steered=crew.steer,
            on_moved=crew.move,
        )
        self._reload = Reload(
            crew=crew,
            lookout=self.lookout,
            metrics=self.metrics,
            has_feed=self.feed is not None,
            applied=lambda: self._scheduler.add_job(self.lookout.beat),  # its address may be another now
        )
        own = {"reload": self._reload.reload, "seen": self.lookout.seen, "adopt": self._adopt_verb, "backup": self.custody.backup}
        fed_questions, fed_orders = (feed_questions(self.feed), feed_orders(self.feed)) if self.feed else ({}, {})
        desk = Verbs(port, {"status": self.status, **fed_questions}, own | fed_orders)
        await desk.begin()
        return desk

    def _schedule(self, config: Config) -> None:
        """Schedule what happens at times."""
        alert_every = min(_ALERT_EVERY, config.model.alerts.after.total_seconds())
        self._scheduler.add_job(self._retain, "interval", hours=1, next_run_time=self._now(), **_AT_TIMES)
        self._scheduler.add_job(self.lookout.alert, "interval", seconds=alert_every, **_AT_TIMES)
        self._scheduler.add_job(self.lookout.beat, "interval", minutes=1, next_run_time=self._now(), **_AT_TIMES)
        self._scheduler.add_job(self._back_up, "interval", minutes=1, next_run_time=self._now(), **_AT_TIMES)
        self._scheduler.start()

    # --- running

    @property
    def config(self) -> Config:
        """The configuration of this moment."""
        return self.crew.config

    async def reload(self) -> None:
        """Apply the configuration file as it is now. Raises ConfigError or CrmbridgeError; then the old one runs on."""
        await self._reload.reload()

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
                self.crew.nudge()
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

    async def _back_up(self) -> None:
        try:
            await self.backups.look()
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise

    # --- looking

    async def status(self) -> dict[str, Any]:
        """Return what a person on call wants to know first."""
        return {
            "version": __version__,
            "config": str(self.config.path),
            "started": self._started.isoformat(),
            "ready": self.unready() or "ready",
            "server": self.server.address,
            "rules": len(self.config.rules),
            **await self.lookout.status(),
        }

    # --- what people order of the whole

    def _mute(self) -> str:
        """Why nothing at all may be changed at any network; empty if it may."""
        if self._shadow:
            return "it runs with --shadow"
        return f"{self.custody.mute}; `crmbridge adopt`" if self.custody.mute else ""

    async def _adopt_verb(self, hold: bool = True) -> dict[str, Any]:
        answer = {"held": await self.custody.adopt(hold=hold)}
        await self.crew.steer()
        return answer

    # --- stopping

    async def _shut(self) -> None:
        """Take in nothing more, finish what is under way, release everything."""
        tell_systemd("STOPPING=1")
        _log.info("crmbridge stops", extra={"reason": self._failure or "asked to"})
        self._scheduler.shutdown(wait=False)
        await self.crew.end()
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
