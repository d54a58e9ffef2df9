"""The questions that people may ask of the store. Every method takes and gives JSON values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from crmbridge.model import Delivery, RecordRef, State, did_you_mean, load_observation
from crmbridge.operate import selection as selections
from crmbridge.operate import shapes
from crmbridge.operate.port import Port
from crmbridge.operate.selection import OrderRefused, SelectionWords
from crmbridge.store.terms import Attempt, InboxRow, Selection

LIMIT = 1000
"""The most rows that one answer holds."""
_SAMPLE = 500  # records that are looked at for a question about all of a type
OPEN = (State.QUEUED, State.SENDING, State.HELD, State.UNKNOWN)


class Answers:
    """The answers to questions about what is in the store."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._store = port.store

    async def overview(self) -> dict[str, Any]:
        """Return counts by destination and state, the inbox, pauses, and how far each source has been read."""
        facts = await self._store.overview()
        return {
            "deliveries": [
                {"destination": name, "state": state, "count": count}
                for name in sorted(facts.destinations)
                for state, count in facts.counts(name).items()
            ],
            "oldest": {name: at.isoformat() for name, at in facts.oldest.items()},
            "inbox": [
                {"source": one.source, "failed": one.failed, "records": one.records, "count": one.count, "oldest": one.oldest.isoformat()}
                for one in facts.inbox
            ],
            "sources": {name: {"baselined": at.baselined, "polled_at": shapes.moment(at.polled_at)} for name, at in facts.sources.items()},
            "waits": [
                {"destination": one.destination, "channel": one.channel, "until": shapes.moment(one.until), "reason": one.reason}
                for one in await self._store.waits()
            ],
            "pauses": [
                {"kind": one.kind.value, "name": one.name, "reason": one.reason, "since": one.since.isoformat()}
                for one in await self._store.pauses()
            ],
        }

    async def queue_list(self, where: SelectionWords | None = None, state: str | None = None, limit: int = 100) -> dict[str, Any]:
        """List the deliveries that wait, newest first, and count them. The state `shadow` lists those that were only recorded."""
        if state == "shadow":
            return await self._listed([State.UNSAID], {**(where or {}), "reason": "shadow"}, limit)
        if state is not None and state not in set(OPEN):
            raise OrderRefused(f"{state} is not a state of what waits; there are {', '.join(OPEN)}, shadow")
        return await self._listed([State(state)] if state else OPEN, where or {}, limit)

    async def dead_list(self, where: SelectionWords | None = None, limit: int = 100) -> dict[str, Any]:
        """List dead letters, newest first, and webhook requests that nobody could interpret."""
        found = await self._listed([State.DEAD], where or {}, limit)
        everything = selections.read(where or {}, self._port.now(), whole=True).everything
        failed = await self._store.failed_requests(_page(limit)) if everything else []
        found["requests"] = [
            {"id": row.id, "source": row.source, "record": row.record, "received_at": row.received_at.isoformat(), "reason": reason}
            for row, reason in failed
        ]
        return found

    async def unknown_list(self, where: SelectionWords | None = None, limit: int = 100) -> dict[str, Any]:
        """List the messages that may or may not be published, newest first."""
        return await self._listed([State.UNKNOWN], where or {}, limit)

    async def orders(self, since: str | None = None, limit: int = 100, number: int | None = None) -> dict[str, Any]:
        """List what people ordered, the newest first: since an instant, or the one order with a number."""
        start = selections.instant(since, self._port.now()) if since else None
        return {"orders": [shapes.order(one) for one in await self._store.orders(start, _page(limit), number)]}

    async def refuse_misspelt(self, where: SelectionWords) -> None:
        """Refuse a destination or rule that there is not: an order on nothing would look as if it were done. Raises OrderRefused."""
        destinations, rules = self._port.config.destinations, [rule.id for rule in self._port.engine.rules]
        name = where.get("destination")
        there = {*destinations, *(await self._store.overview()).destinations} if name and name not in destinations else destinations
        if name and name not in there:
            raise OrderRefused(f'there is no destination "{name}"{did_you_mean(name, there)}')
        name = where.get("rule")
        if name and name not in rules and not await self._store.select(list(State), Selection(rule=name), limit=1):
            raise OrderRefused(f'there is no rule "{name}"{did_you_mean(name, rules)}')

    async def _listed(self, states: Sequence[State], where: SelectionWords, limit: int) -> dict[str, Any]:
        await self.refuse_misspelt(where)
        selection = selections.read(where, self._port.now(), whole=True)
        found = await self._store.select(states, selection, limit=_page(limit))
        return {
            "deliveries": [shapes.delivery(one, self._port.engine) for one in found],
            "count": await self._store.count(states, selection),
        }

    async def show(self, name: str) -> dict[str, Any]:
        """Show one delivery, by its number or key: what it says, why it says it, and every attempt that failed.

        `request:N` shows a webhook request that nobody could interpret, with its body.
        """
        if name.startswith("request:"):
            return await self._show_request(name.removeprefix("request:"))
        return await self._shown(*await self.find(name))

    async def _shown(self, delivery: Delivery, attempts: Sequence[Attempt]) -> dict[str, Any]:
        event = await self._store.event(delivery.event_id)
        return shapes.delivery(delivery, self._port.engine) | {
            "attempts_failed": [shapes.attempt(one) for one in attempts],
            "event": shapes.event(event, self._port.engine) if event else None,
        }

    async def _show_request(self, number: str) -> dict[str, Any]:
        found = await self._store.failed_request(int(number)) if number.isascii() and number.isdigit() and len(number) < 18 else None
        if found is None:
            raise OrderRefused(f"there is no failed request {number}")
        row, reason = found
        body = self._seen(row) if row.record else row.body.decode("utf-8", "replace")
        return {"request": row.id, "source": row.source, "record": row.record, "received_at": row.received_at.isoformat(),
                "reason": reason, "body": body}  # fmt: skip

    async def emptiness(self, source: str, record: str, fields: Sequence[str]) -> dict[str, Any]:
        """Count in how many of the known records of a type each field is empty. At most 500 records are looked at."""
        refs = [RecordRef(source, record, id) for id in await self._store.ids_of(source, record, "", _SAMPLE)]
        known = (await self._store.known(refs)).snapshots.values()
        return {"of": len(known), "empty": {name: sum(one.fields.get(name) is None for one in known) for name in fields}}

    def _seen(self, row: InboxRow) -> str:
        """Show what was seen of a record that was put aside, without its secret fields."""
        try:
            one = load_observation(row.body)
        except ValueError:
            return "(it cannot be shown)"
        engine = self._port.engine
        hidden, reading = shapes.secret_fields(row.source, one.record_type, engine.records), engine.reading(row.source)
        found = {name: shapes.values(fields or {}, hidden, reading) for name, fields in (("fields", one.fields), ("before", one.before))}
        return json.dumps(found, ensure_ascii=False)

    async def tail(self, after: int | None = None, limit: int = 100) -> dict[str, Any]:
        """List the changes after a journal number. Without a number, only say where the journal ends now."""
        if after is None:
            return {"events": [], "last": await self._store.last_event()}
        found = await self._store.events_after(after, _page(limit))
        engine = self._port.engine
        events = [shapes.event(one.event, engine) | {"seq": one.seq, "stale": one.stale} for one in found]
        return {"events": events, "last": found[-1].seq if found else after}

    async def find(self, name: str) -> tuple[Delivery, list[Attempt]]:
        found = await self._store.delivery(str(name))
        if found is None:
            raise OrderRefused(f"there is no delivery {name}")
        return found


def _page(limit: int) -> int:
    """Limit the number of rows that an answer holds."""
    return max(1, min(limit, LIMIT))
