"""Looks at every part of a daemon, says what is wrong, and tells people and programs."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crmbridge.config import files
from crmbridge.config.config import Config
from crmbridge.crew import Crew
from crmbridge.errors import StoreError
from crmbridge.http import describe
from crmbridge.intake.interpreter import Interpreter
from crmbridge.intake.webhooks import Webhooks
from crmbridge.model import State
from crmbridge.operate.backups import Backups
from crmbridge.operate.custody import Custody
from crmbridge.store.interface import Store
from crmbridge.store.terms import Overview, Pause, PauseKind, Selection
from crmbridge.supervise import Parts
from crmbridge.telemetry import Metrics
from crmbridge.troubles import gather
from crmbridge.troubles.alerts import Alerts
from crmbridge.troubles.facts import DatabaseFacts, Facts, Happened
from crmbridge.troubles.pulse import Pulse
from crmbridge.troubles.status import set_gauges, shown
from crmbridge.troubles.watch import Memory

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Lookout:
    """Asks the crew for who is there now: a reload exchanges them."""

    store: Store
    custody: Custody
    backups: Backups
    interpreter: Interpreter
    webhooks: Webhooks
    crew: Crew
    parts: Parts
    alerts: Alerts
    watch: Memory
    pulse: Pulse
    metrics: Metrics
    now: Callable[[], datetime]
    began: datetime
    shadow: bool
    files: Mapping[str, str]
    """What the files of the configuration held when it was read."""
    reload_error: str = ""
    unclean: Happened | None = None
    """How the last process ended, if nobody had asked it to."""
    _mute: bool = False

    async def status(self) -> dict[str, Any]:
        """Return what a person on call wants to know first."""
        facts = await self._facts()
        return shown(facts, self.watch.look(facts))

    async def exposition(self) -> bytes:
        """Write the metrics."""
        facts = await self._facts()
        set_gauges(self.metrics, facts, self.watch.look(facts))
        return self.metrics.exposition()

    async def alert(self) -> None:
        """Tell of what began and what ended."""
        try:
            await self.alerts.look(self.watch.look(await self._facts()), self.crew.config.model.alerts)
        except Exception as error:  # the next look may do better
            self._mute = True
            _log.error("nobody can be told of troubles", extra={"reason": describe(error)})
        else:
            self._mute = False

    async def beat(self) -> None:
        """Give a sign of life, while changes can be taken in."""
        if not self.custody.refusing and not self._mute:
            await self.alerts.beat(self.crew.config.model.alerts)

    async def seen(self) -> dict[str, Any]:
        """End the troubles that happened once and are over: a person knows of them."""
        self.pulse.clock = self.pulse.loop = self.unclean = None
        self.parts.faults.clear()
        self.interpreter.undecided.clear()
        self.interpreter.doubts.forget()
        for heard in self.webhooks.heard.values():
            heard.refused, heard.refused_since = 0, None
        return {}

    def degraded(self) -> int:
        """How many troubles need somebody, as far as the last look saw."""
        return sum(one.failing for one in self.watch.last)

    async def _facts(self) -> Facts:
        crew, config, now = self.crew, self.crew.config, self.now()
        model, overview, refusing = config.model, Overview((), {}, (), {}), ""
        try:
            overview = await self.store.overview()
        except StoreError as error:  # then that is the trouble, and all others are told as far as they are known
            refusing = str(error)
        sources = [
            gather.source(
                name,
                one.connector.name,
                crew.pollers.get(name),
                self.webhooks.desks.get(name) if name in self.webhooks.sources else None,
                self.webhooks.heard.get(name),
                self.interpreter.news.get(name),
                self.interpreter.repeated[name],
                overview,
                self.began,
                one.expect,
            )
            for name, one in config.sources.items()
        ]
        destinations = [
            gather.destination(name, one.connector.name, crew.publishers.get(name), overview, now)
            for name, one in config.destinations.items()
        ]
        gone = [gather.gone(name, overview) for name in sorted(overview.destinations - config.destinations.keys())]
        held, secrets, free = await asyncio.to_thread(_read, config)
        return Facts(
            now=now,
            late=model.alerts.late,
            sources=sources,
            destinations=destinations + gone,
            inbox=overview.inbox,
            tallies=overview.tallies,
            pauses=[(pause, 0 if refusing else await self.store.count([State.QUEUED], _behind(pause))) for pause in crew.pauses],
            undecided=[Happened(rule, one.reason, one.at, one.count) for rule, one in self.interpreter.undecided.items()],
            doubts=self.interpreter.doubts.found,
            reload_error=self.reload_error,
            changed_files=files.changed(self.files, held),
            secrets=secrets,
            mute=self.custody.mute,
            shadow=self.shadow,
            databases=[
                DatabaseFacts(name, one.refusing or refusing, self.custody.full)
                if one is self.custody.own
                else DatabaseFacts(name, one.refusing, bool(one.refusing and one.full))
                for name, one in self.custody.databases.items()
            ],
            free=free,
            backup=self.backups.facts,
            clock=self.pulse.clock,
            loop=self.pulse.loop,
            parts=[Happened(name, one.what, one.at, one.count) for name, one in self.parts.faults.items()],
            unclean=self.unclean,
            heartbeat=self.alerts.heartbeat if model.alerts.heartbeat else "",
            alerts_to=model.alerts.to,
            alerts_waiting=await self.alerts.waiting_since() if model.alerts.to and not refusing else None,
        )


def _read(config: Config) -> tuple[dict[str, str], list[str], int]:
    """From the disk: what the configuration's files hold now, the secrets that cannot be read, the bytes that are left."""
    held = files.fingerprints(config.path, config.model.include)
    return held, files.unreadable(config), shutil.disk_usage(config.store_path.parent).free


def _behind(pause: Pause) -> Selection:
    """Select what a pause keeps waiting."""
    match pause.kind:
        case PauseKind.DESTINATION:
            return Selection(destination=pause.name)
        case PauseKind.RULE:
            return Selection(rule=pause.name)
    return Selection()
