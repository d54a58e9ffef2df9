"""Alerts: troubles told to the people who look after crmbridge, once at their begin and once at their end, through the outbox."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Final

from crmbridge.config.models import AlertsModel
from crmbridge.http import Client, describe
from crmbridge.model import Audience, Channel, Literal, Message, Network, RecordRef, State, digest, to_us
from crmbridge.store.interface import Store
from crmbridge.store.terms import NewDelivery, Selection
from crmbridge.troubles.trouble import Severity, Trouble

RULE: Final = "alerts"
"""The rule that these messages name as their own."""
_LONGEST, _MOST = 400, 20  # characters of a trouble, troubles of a message
_log = logging.getLogger(__name__)


class Alerts:
    """A comparison of what is wrong with what people were told."""

    def __init__(self, store: Store, network: Network, *, now: Callable[[], datetime], recorded: Callable[[set[str]], None]) -> None:
        """Tell of troubles through `store`. `recorded` is called with the destination that has a new message."""
        self.heartbeat = ""
        """The reason why the last heartbeat was not taken. Empty if it was."""
        self._told: dict[str, Severity] = {}
        """The severity of each trouble as people were told it."""
        self._store = store
        self._now = now
        self._recorded = recorded
        self._client = Client(network, connections=1)

    async def look(self, troubles: Sequence[Trouble], model: AlertsModel) -> None:
        """Tell of the troubles that began and ended since the last look. Raises StoreError."""
        now = self._now()
        told = await self._store.alerts()
        there = {one.name for one in troubles if one.failing}
        begun = [one for one in troubles if one.name in there and self._news(one, told) and _lasts(one, now, model)]
        ended = [name for name in told if name not in there]
        if not begun and not ended:
            return
        for one in begun:
            _log.warning("this needs a person", extra={"trouble": one.name, "what": one.what, "do": one.do})
        self._told = {name: bad for name, bad in self._told.items() if name in there} | {one.name: one.severity for one in begun}
        words = [f"{one.what[:_LONGEST]} (to do: {one.do})" for one in begun] + [f"Over: {name}" for name in ended]
        if len(words) > _MOST:
            words = [*words[:_MOST], f"and {len(words) - _MOST} more: crmbridge status"]
        message = _message(words, model, now) if model.to else None
        await self._store.told({one.name: one.since or now for one in begun}, ended, message, now)
        if model.to:
            self._recorded({model.to})

    def _news(self, one: Trouble, told: Collection[str]) -> bool:
        """Say whether people do not know of this trouble, or were told that it may end by itself."""
        return one.name not in told or (one.severity is Severity.ERROR and self._told.get(one.name) is Severity.WARNING)

    async def waiting_since(self) -> datetime | None:
        """Return since when the oldest alert waits. Return None if none waits."""
        open_states = (State.QUEUED, State.SENDING, State.HELD, State.UNKNOWN)  # dead alerts are a trouble of their own
        found = await self._store.select(open_states, Selection(rule=RULE), limit=1, oldest=True)
        return found[0].accepted_at if found else None

    async def beat(self, model: AlertsModel) -> None:
        """Send a heartbeat: request its address while all is well, so that somebody else notices when this stops."""
        if model.heartbeat is None:
            return
        try:
            answer = await self._client.send("GET", model.heartbeat.reveal())
            self.heartbeat = f"HTTP {answer.status}" if answer.status >= 400 else ""
        except Exception as error:
            self.heartbeat = describe(error)
        if self.heartbeat:
            _log.warning("the heartbeat was not taken", extra={"reason": self.heartbeat})

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _lasts(one: Trouble, now: datetime, model: AlertsModel) -> bool:
    """Say whether a trouble lasts long enough for people to hear of it. A trouble that may end by itself is given time to do so."""
    return one.severity is Severity.ERROR or one.since is None or now - one.since >= model.after


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
