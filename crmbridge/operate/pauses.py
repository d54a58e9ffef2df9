"""Silence that people want, and what is said of what waited when it ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from crmbridge.model import Audience, Channel, Literal, Message, State, Why, counted, digest, to_us, verbs
from crmbridge.operate.bites import bites, portions
from crmbridge.operate.port import Port, by_order
from crmbridge.operate.scope import Refused
from crmbridge.store.interface import MAX_BATCH, Batch, Entry, NewDelivery, Pause, PauseKind, Scope

WAYS: Final = ("all", "latest", "summary", "nothing")
"""What may be said of what waited."""
_NO_SUMMARY: Final = "it waited during a pause, and the public is told no summary"


@dataclass(slots=True)
class _Lane:
    """What waited in one lane."""

    last: Message
    summed: bool = False
    """Whether its summary waits already: an order before this one ended in between."""
    rules: set[str] = field(default_factory=set)
    ids: list[int] = field(default_factory=list)


class Pauses:
    """Orders to be silent, and to go on."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._store = port.store

    async def pause(self, name: str, reason: str) -> dict[str, Any]:
        """`all`, a destination or a rule says nothing until `resume`, restarts and reloads included. Changes are taken in all the same."""
        if not reason.strip():
            raise Refused("say why: --reason")
        kind, own = self._paused_thing(name)
        await self._store.pause(Pause(kind=kind, name=own, reason=reason.strip(), since=self._port.now()))
        await self._port.steered()
        return {"paused": name, "kind": kind.value}

    async def resume(self, name: str, say: str | None = None) -> dict[str, Any]:
        """Go on. `say`: `all` that waited, the `latest` of each record, one `summary`, or `nothing` of it; default: its `on_resume`.

        What of it was done before an end of this process is not done again by a repeat.
        """
        kind, own = self._paused_thing(name)
        said = say or self._usual(kind, own)
        if said not in WAYS:
            raise Refused(f"say {', '.join(WAYS[:-1])} or {WAYS[-1]}")
        scope = Scope(destination=own if kind is PauseKind.DESTINATION else None, rule=own if kind is PauseKind.RULE else None)
        if (since := await self._silent_since(kind, own)) is None:
            raise Refused(f"{name} was not paused")  # before anything of what waits is touched
        dropped = await self._caught_up(scope, said, since)
        await self._store.resume(kind, own)
        if kind is PauseKind.DESTINATION:
            await self._store.end_pause(own)
        await self._port.steered()
        self._port.queued()
        return {"resumed": name, "dropped": dropped}

    async def _silent_since(self, kind: PauseKind, name: str) -> datetime | None:
        """Since when a person, or the destination's own refusal, wants silence; None where nobody does."""
        found = [one.since for one in await self._store.pauses() if (one.kind, one.name) == (kind, name)]
        if kind is PauseKind.DESTINATION:
            found += [one.since for one in await self._store.waits() if one.destination == name and one.until is None]
        return min(found, default=None)

    def _usual(self, kind: PauseKind, name: str) -> str:
        """What the configuration says of a destination."""
        configured = self._port.config.destinations
        return str(configured[name].options.on_resume) if kind is PauseKind.DESTINATION and name in configured else "all"

    async def _caught_up(self, scope: Scope, say: str, since: datetime) -> int:
        now = self._port.now()
        match say:
            case "latest":
                return await self._store.drop_older(scope, by_order(self._port, "a newer one was said after a pause"), now)
            case "nothing":
                return await self._store.drop([State.QUEUED], scope, by_order(self._port, "dropped after a pause"), now)
            case "summary":
                return await self._summed_up(scope, str(to_us(since)), now)
        return 0

    async def _summed_up(self, scope: Scope, since: str, now: datetime) -> int:
        """One message for each lane in place of what waited. The public is told no such thing: what waited for it is held for a person.

        The summaries are recorded before anything is dropped, under keys of the pause: an order that is repeated after an end in
        between says none of them twice.
        """
        many = [lane for lane in await self._lanes(scope, since) if len(lane.ids) > 1 or lane.summed]
        meant = [lane for lane in many if lane.last.audience is not Audience.PUBLIC]
        for lane in many:
            if lane.last.audience is Audience.PUBLIC:
                for those in portions(lane.ids):
                    await self._store.hold(those, Why.BY_HAND.because(by_order(self._port, _NO_SUMMARY)), now)
        entries = [Entry(record=lane.last.record, deliveries=[_summary(lane, since)]) for lane in meant]
        for start in range(0, len(entries), MAX_BATCH):
            await self._store.record(Batch(source="", entries=entries[start : start + MAX_BATCH]), now)
        dropped = 0
        for lane in meant:
            for those in portions(lane.ids):
                dropped += await self._store.drop([State.QUEUED], those, by_order(self._port, "summed up after a pause"), now)
        return dropped

    async def _lanes(self, scope: Scope, since: str) -> Iterable[_Lane]:
        """What waits, by lane; the summary of this pause is none of it."""
        lanes: dict[tuple[str, Channel | None], _Lane] = {}
        async for bite in bites(self._store, [State.QUEUED], scope):
            for one in bite:
                lane = lanes.setdefault((one.message.destination, one.message.channel), _Lane(one.message))
                if one.message.step == "pause":
                    lane.summed |= one.key == _summary_key(one.message, since)
                else:
                    lane.last = one.message
                    lane.rules.add(one.message.rule)
                    lane.ids.append(one.id)
        return lanes.values()

    def _paused_thing(self, name: str) -> tuple[PauseKind, str]:
        if name == "all":
            return PauseKind.ALL, ""
        destinations = self._port.config.destinations
        rules = {rule.id for rule in self._port.engine.rules}
        if name in destinations and name in rules:
            raise Refused(f"{name} is a rule and a destination; rename one of them, or pause what it publishes to")
        if name in destinations:
            return PauseKind.DESTINATION, name
        if name in rules:
            return PauseKind.RULE, name
        raise Refused(f"there is no rule and no destination called {name}")


def _summary(lane: _Lane, since: str) -> NewDelivery:
    """The message that stands for all that waited in a lane."""
    last = lane.last
    count = len(lane.ids)
    text = (
        f"{counted(count, 'message')} waited during a pause and {verbs(count)['are']} not said one by one: {', '.join(sorted(lane.rules))}."
    )
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
