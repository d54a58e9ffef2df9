"""Troubles that need a person, told once when they begin and once when they end, through crmbridge's own outbox."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from crmbridge.config.models import AlertsModel
from crmbridge.http import Client, describe
from crmbridge.model import Audience, Channel, Literal, Message, Network, RecordRef, digest, to_us
from crmbridge.store.interface import NewDelivery, Store

RULE: Final = "alerts"
"""What these messages say of the rule they come from."""
_SILENT: Final = timedelta(minutes=5)
_POLLS: Final = 10
_log = logging.getLogger(__name__)
LOW_DISK: Final = 100 * 1024 * 1024


def troubles(status: Mapping[str, Any], *, free: int, now: datetime) -> dict[str, str]:
    """What is wrong by a name that stays the same while it lasts, with a sentence and what to do. Pure."""
    found: dict[str, str] = {}
    for one in status["destinations"]:
        if one["state"].startswith("paused:"):  # not by hand: who did that knows
            found[f"destination {one['name']}"] = f"The destination {one['name']} is {one['state']}"
        if one["dead"]:
            found[f"dead {one['name']}"] = f"{one['name']} has dead letters: `crmbridge dead list --destination {one['name']}`"
        if one["unknown"]:
            found[f"unknown {one['name']}"] = f"{one['name']} has messages that may or may not be published: `crmbridge unknown list`"
    for one in status["sources"]:
        if silent := _silence(one, now):
            found[f"source {one['name']}"] = silent
    if any(one["failed"] for one in status["inbox"]):
        found["requests"] = "Webhook requests could not be interpreted: `crmbridge dead list`"
    if status["last_reload"] != "ok":
        found["reload"] = f"The changed configuration is refused, the old one runs on: {status['last_reload']}"
    if status["mute"]:
        found["mute"] = f"Nothing is published: {status['mute']}. Run `crmbridge adopt`"
    if free < LOW_DISK:
        found["disk"] = f"Only {free // 2**20} MB are left on the disk of the database"
    return found


def _silence(source: Mapping[str, Any], now: datetime) -> str:
    if "every" not in source:  # it calls us
        return ""
    last = source["polled_at"] or source["since"]
    patience = max(_SILENT, _POLLS * timedelta(seconds=source["every"]))
    if now - datetime.fromisoformat(last) <= patience:
        return ""
    return f"The source {source['name']} could not be read since {last[:19]}: {source['state']}"


class Alerts:
    """Compares what is wrong with what people know."""

    def __init__(
        self, store: Store, folder: Path, network: Network, *, now: Callable[[], datetime], recorded: Callable[[set[str]], None]
    ) -> None:
        """`folder` is on the disk of the database; `recorded` hears which destination has a message."""
        self._store = store
        self._folder = folder
        self._now = now
        self._recorded = recorded
        self._client = Client(network, connections=1)

    async def look(self, status: Mapping[str, Any], model: AlertsModel) -> None:
        """Tell of what began and what ended since the last look. Raises StoreError, OSError."""
        free = (await asyncio.to_thread(shutil.disk_usage, self._folder)).free
        now = self._now()
        found = troubles(status, free=free, now=now)
        known = await self._store.alerts()
        begun = {name: now for name in found if name not in known}
        ended = [name for name in known if name not in found]
        if not begun and not ended:
            return
        for name in begun:
            _log.warning("this needs a person", extra={"trouble": name, "what": found[name]})
        words = [found[name] for name in begun] + [f"Over: {name}" for name in ended]
        message = _message(words, model, now) if model.to else None
        await self._store.told(begun, ended, message, now)
        if model.to:
            self._recorded({model.to})

    async def beat(self, model: AlertsModel) -> None:
        """Read the heartbeat's address: all is well, and somebody else notices when this stops."""
        if model.heartbeat is None:
            return
        try:
            answer = await self._client.send("GET", model.heartbeat.reveal())
            if answer.status >= 400:
                _log.warning("the heartbeat was not taken", extra={"status": answer.status})
        except Exception as error:
            _log.warning("the heartbeat could not be sent", extra={"reason": describe(error)})

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()


def _message(words: Sequence[str], model: AlertsModel, now: datetime) -> NewDelivery:
    moment = str(to_us(now))
    message = Message(
        destination=model.to or "",
        channel=Channel(model.channel, model.channel) if model.channel else None,
        rule=RULE,
        step=RULE,
        text=(Literal("crmbridge: " + "; ".join(words)),),
        record=RecordRef("crmbridge", RULE, moment),
        occurred_at=now,
        audience=Audience.COMPANY,
    )
    return NewDelivery(key=digest(RULE, moment, *words), message=message)
