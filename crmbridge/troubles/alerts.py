"""Troubles told to who looks after crmbridge: once when they begin and once when they end, through crmbridge's own outbox."""

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
"""What these messages say of the rule they come from."""
_LONGEST, _MOST = 400, 20  # characters of a trouble, troubles of a message
_log = logging.getLogger(__name__)


class Alerts:
    """Compares what is wrong with what people know."""

    def __init__(self, store: Store, network: Network, *, now: Callable[[], datetime], recorded: Callable[[set[str]], None]) -> None:
        """`recorded` hears which destination has a message."""
        self.heartbeat = ""
        """Why the last sign of life was not taken; empty if it was."""
        self._told: dict[str, Severity] = {}
        """How bad people think it is."""
        self._store = store
        self._now = now
        self._recorded = recorded
        self._client = Client(network, connections=1)

    async def look(self, troubles: Sequence[Trouble], model: AlertsModel) -> None:
        """Tell of what began and what ended since the last look. Raises StoreError."""
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
        """Whether people do not know it, or know it as what may end by itself."""
        return one.name not in told or (one.severity is Severity.ERROR and self._told.get(one.name) is Severity.WARNING)

    async def waiting_since(self) -> datetime | None:
        """Since when the oldest message to who looks after us waits; None if none does."""
        open_states = (State.QUEUED, State.SENDING, State.HELD, State.UNKNOWN)  # dead ones are a trouble of their own
        found = await self._store.select(open_states, Selection(rule=RULE), limit=1, oldest=True)
        return found[0].accepted_at if found else None

    async def beat(self, model: AlertsModel) -> None:
        """Read the heartbeat's address: all is well, and somebody else notices when this stops."""
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
        """Close connections."""
        await self._client.close()


def _lasts(one: Trouble, now: datetime, model: AlertsModel) -> bool:
    """Whether people should hear of it already: what may end by itself is given some time to."""
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
