"""Pauses that people order, and what is said of the waiting messages when a pause ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from crmbridge.model import Audience, Channel, Literal, Message, State, Why, counted, digest, to_us, verbs
from crmbridge.operate.bites import bites, portions
from crmbridge.operate.port import Port, by_order
from crmbridge.operate.selection import OrderRefused
from crmbridge.store.terms import MAX_BATCH, Batch, Entry, NewDelivery, Pause, PauseKind, Selection

WAYS: Final = ("all", "latest", "summary", "nothing")
"""The ways to treat the messages that waited."""
_NO_SUMMARY: Final = "it waited during a pause, and the public is told no summary"


@dataclass(slots=True)
class _Waiting:
    """The messages that waited in one lane."""

    last: Message
    summed: bool = False
    """Whether the summary is queued already: an order before this one was cut short."""
    rules: set[str] = field(default_factory=set)
    ids: list[int] = field(default_factory=list)


class Pauses:
    """Orders to pause, and to go on."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._store = port.store

    async def pause(self, name: str, reason: str) -> dict[str, Any]:
        """Silence `all`, a destination or a rule until `resume`, across restarts and reloads. Changes are still taken in."""
        if not reason.strip():
            raise OrderRefused("say why: --reason")
        kind, own = self._paused_thing(name)
        await self._store.pause(Pause(kind=kind, name=own, reason=reason.strip(), since=self._port.now()))
        await self._port.steered()
        return {"paused": name, "kind": kind.value}

    async def resume(self, name: str, say: str | None = None) -> dict[str, Any]:
        """End a pause. `say` is `all` that waited, the `latest` of each record, one `summary`, or `nothing`; by default its `on_resume`.

        A repeat does not do again what was done before an end of this process.
        """
        kind, own = self._paused_thing(name)
        said = say or self._usual(kind, own)
        if said not in WAYS:
            raise OrderRefused(f"say {', '.join(WAYS[:-1])} or {WAYS[-1]}")
        selection = Selection(destination=own if kind is PauseKind.DESTINATION else None, rule=own if kind is PauseKind.RULE else None)
        if (since := await self._silent_since(kind, own)) is None:
            raise OrderRefused(f"{name} was not paused")  # refuses before any waiting message is touched
        dropped = await self._caught_up(selection, said, since)
        await self._store.resume(kind, own)
        if kind is PauseKind.DESTINATION:
            await self._store.end_pause(own)
        await self._port.steered()
        self._port.queued()
        return {"resumed": name, "dropped": dropped}

    async def _silent_since(self, kind: PauseKind, name: str) -> datetime | None:
        """Return since when a person, or the destination's own refusal, wants silence. Return None if nobody does."""
        found = [one.since for one in await self._store.pauses() if (one.kind, one.name) == (kind, name)]
        if kind is PauseKind.DESTINATION:
            found += [one.since for one in await self._store.waits() if one.destination == name and one.until is None]
        return min(found, default=None)

    def _usual(self, kind: PauseKind, name: str) -> str:
        """Return the `on_resume` of a destination, and `all` for everything else."""
        configured = self._port.config.destinations
        return str(configured[name].options.on_resume) if kind is PauseKind.DESTINATION and name in configured else "all"

    async def _caught_up(self, selection: Selection, say: str, since: datetime) -> int:
        now = self._port.now()
        match say:
            case "latest":
                return await self._store.drop_older(selection, by_order(self._port, "a newer one was said after a pause"), now)
            case "nothing":
                return await self._store.drop([State.QUEUED], selection, by_order(self._port, "dropped after a pause"), now)
            case "summary":
                return await self._summed_up(selection, str(to_us(since)), now)
        return 0

    async def _summed_up(self, selection: Selection, since: str, now: datetime) -> int:
        """Put one summary for each lane in place of the waiting messages. The public gets no summary: its messages are held for a person.

        The summaries are recorded before anything is dropped, under keys of this pause. So an order that is repeated after a crash in
        between says none of them twice.
        """
        many = [waiting for waiting in await self._lanes(selection, since) if len(waiting.ids) > 1 or waiting.summed]
        meant = [waiting for waiting in many if waiting.last.audience is not Audience.PUBLIC]
        for waiting in many:
            if waiting.last.audience is Audience.PUBLIC:
                for those in portions(waiting.ids):
                    await self._store.hold(those, Why.BY_HAND.because(by_order(self._port, _NO_SUMMARY)), now)
        entries = [Entry(record=waiting.last.record, deliveries=[_summary(waiting, since)]) for waiting in meant]
        for start in range(0, len(entries), MAX_BATCH):
            await self._store.record(Batch(source="", entries=entries[start : start + MAX_BATCH]), now)
        dropped = 0
        for waiting in meant:
            for those in portions(waiting.ids):
                dropped += await self._store.drop([State.QUEUED], those, by_order(self._port, "summed up after a pause"), now)
        return dropped

    async def _lanes(self, selection: Selection, since: str) -> Iterable[_Waiting]:
        """Return the waiting messages by lane, without the summary of this pause."""
        lanes: dict[tuple[str, Channel | None], _Waiting] = {}
        async for bite in bites(self._store, [State.QUEUED], selection):
            for one in bite:
                waiting = lanes.setdefault((one.message.destination, one.message.channel), _Waiting(one.message))
                if one.message.step == "pause":
                    waiting.summed |= one.key == _summary_key(one.message, since)
                else:
                    waiting.last = one.message
                    waiting.rules.add(one.message.rule)
                    waiting.ids.append(one.id)
        return lanes.values()

    def _paused_thing(self, name: str) -> tuple[PauseKind, str]:
        if name == "all":
            return PauseKind.ALL, ""
        destinations = self._port.config.destinations
        rules = {rule.id for rule in self._port.engine.rules}
        if name in destinations and name in rules:
            raise OrderRefused(f"{name} is a rule and a destination; rename one of them, or pause what it publishes to")
        if name in destinations:
            return PauseKind.DESTINATION, name
        if name in rules:
            return PauseKind.RULE, name
        raise OrderRefused(f"there is no rule and no destination called {name}")


def _summary(waiting: _Waiting, since: str) -> NewDelivery:
    """Make the message that stands for all that waited in a lane."""
    last = waiting.last
    count = len(waiting.ids)
    rules = ", ".join(sorted(waiting.rules))
    text = f"{counted(count, 'message')} waited during a pause and {verbs(count)['are']} not said one by one: {rules}."
    message = replace(
        last,
        step="pause",
        text=(Literal(text),),
        link=None,
        thread=None,
        edit=False,
        blocks=None,
        media=None,
        subject=None,
        expires_at=None,
        extra={},
    )
    return NewDelivery(key=_summary_key(last, since), message=message)


def _summary_key(message: Message, since: str) -> str:
    return digest("pause", since, message.destination, message.channel.key if message.channel else "")
