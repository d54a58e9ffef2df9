"""What people may ask and order: the same whether a daemon runs (over its admin socket) or only its database is there.

Every method takes and gives JSON values, so that the command line and the admin API are thin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from datetime import datetime
from typing import Any

from crmbridge.errors import CrmbridgeError, RenderError
from crmbridge.intake.interpreter import rerender
from crmbridge.model import ChangeEvent, Delivery, Fields, Receipt, Sensitivity, State, plain
from crmbridge.publisher.decide import RESENT
from crmbridge.rules.engine import Engine
from crmbridge.rules.values import shown
from crmbridge.store.interface import Attempt, Store

LIMIT = 1000  # deliveries that one order touches


class Refused(CrmbridgeError):
    """An order that cannot be carried out; the message says why."""


class Operations:
    """Reads and orders on one store."""

    def __init__(
        self,
        store: Store,
        *,
        engine: Callable[[], Engine],
        now: Callable[[], datetime],
        changed: Callable[[], None] = lambda: None,
        requests_changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`changed` hears that deliveries were queued, `requests_changed` that inbox rows were."""
        self._store = store
        self._engine = engine
        self._now = now
        self._changed = changed
        self._requests_changed = requests_changed

    VERBS = frozenset({"overview", "dead_list", "dead_retry", "dead_drop", "unknown_list", "unknown_resolve", "show", "tail"})
    """What may be called from outside; everything else is not a verb."""

    # --- reading

    async def overview(self) -> dict[str, Any]:
        """Counts by destination and state, the inbox, and how far each source has been read."""
        facts = await self._store.overview()
        waits = await self._store.waits()
        return {
            "deliveries": [{"destination": name, "state": state, "count": count} for name, state, count in facts["deliveries"]],
            "oldest": {name: at.isoformat() for name, at in facts["oldest"].items()},
            "inbox": [{"source": source, "failed": failed, "count": count} for source, failed, count in facts["inbox"]],
            "sources": {
                name: {"baselined": at.baselined, "polled_at": at.polled_at.isoformat() if at.polled_at else None}
                for name, at in facts["sources"].items()
            },
            "waits": [
                {
                    "destination": one.destination,
                    "channel": one.channel,
                    "until": one.until.isoformat() if one.until else None,
                    "reason": one.reason,
                }
                for one in waits
            ],
        }

    async def dead_list(self, destination: str | None = None, rule: str | None = None, limit: int = 100) -> dict[str, Any]:
        """Dead letters, newest first, and webhook requests that nobody could interpret."""
        found = await self._store.deliveries(State.DEAD, destination=destination, rule=rule, limit=min(limit, LIMIT))
        failed = [] if destination or rule else await self._store.failed_requests(min(limit, LIMIT))
        return {
            "deliveries": [_delivery(one) for one in found],
            "requests": [
                {"id": row.id, "source": row.source, "received_at": row.received_at.isoformat(), "reason": reason} for row, reason in failed
            ],
        }

    async def unknown_list(self, destination: str | None = None, limit: int = 100) -> dict[str, Any]:
        """Messages that may or may not be published, newest first."""
        found = await self._store.deliveries(State.UNKNOWN, destination=destination, limit=min(limit, LIMIT))
        return {"deliveries": [_delivery(one) for one in found]}

    async def show(self, name: str) -> dict[str, Any]:
        """One delivery, by its number or key: what it says, why it says it, and every attempt that failed.

        `request:N`: a webhook request that nobody could interpret, with its body.
        """
        if name.startswith("request:"):
            return await self._show_request(name.removeprefix("request:"))
        delivery, attempts = await self._find(name)
        event = await self._store.event(delivery.event_id)
        return _delivery(delivery) | {
            "attempts_failed": [_attempt(one) for one in attempts],
            "event": self._event(event) if event else None,
        }

    async def _show_request(self, number: str) -> dict[str, Any]:
        found = await self._store.failed_request(int(number)) if number.isascii() and number.isdigit() and len(number) < 18 else None
        if found is None:
            raise Refused(f"there is no failed request {number}")
        row, reason = found
        return {"request": row.id, "source": row.source, "received_at": row.received_at.isoformat(), "reason": reason,
                "body": row.body.decode("utf-8", "replace")}  # fmt: skip

    async def tail(self, after: int | None = None, limit: int = 100) -> dict[str, Any]:
        """Changes behind a journal number; without one, where the journal ends now."""
        if after is None:
            return {"events": [], "last": await self._store.last_event()}
        found = await self._store.events_after(after, min(limit, LIMIT))
        events = [self._event(event) | {"seq": seq, "stale": stale} for seq, event, stale in found]
        return {"events": events, "last": found[-1][0] if found else after}

    # --- orders

    async def dead_retry(
        self,
        names: Sequence[str] = (),
        requests: Sequence[int] = (),
        destination: str | None = None,
        rule: str | None = None,
        all: bool = False,
    ) -> dict[str, Any]:
        """Queue dead letters again; an unrenderable one is rendered by the present rules first."""
        done, problems = 0, []
        for delivery in await self._scope(State.DEAD, names, requests, destination, rule, all):
            try:
                message = delivery.message if delivery.message.text else await self._rendered(delivery)
                done += await self._store.requeue(delivery, message, self._now())
            except RenderError as error:
                problems.append({"id": delivery.id, "reason": str(error)})
        retried = [await self._store.retry_request(id) for id in await self._requests(requests, all and not destination and not rule)]
        if done:
            self._changed()
        if any(retried):
            self._requests_changed()
        return {"count": done + sum(retried), "problems": problems}

    async def dead_drop(
        self,
        names: Sequence[str] = (),
        requests: Sequence[int] = (),
        destination: str | None = None,
        rule: str | None = None,
        all: bool = False,
    ) -> dict[str, Any]:
        """Leave dead letters unsaid for good; they stay in the journal until retention removes them."""
        found = await self._scope(State.DEAD, names, requests, destination, rule, all)
        done = sum([await self._store.drop(one, "dropped by hand", self._now()) for one in found])
        done += sum([await self._store.drop_request(id) for id in await self._requests(requests, all and not destination and not rule)])
        return {"count": done, "problems": []}

    async def unknown_resolve(self, name: str, outcome: str, url: str | None = None) -> dict[str, Any]:
        """A person has looked: `published` (perhaps with its address), `resend`, or `drop`."""
        delivery, _ = await self._find(name)
        if delivery.state is not State.UNKNOWN:
            raise Refused(f"delivery {delivery.id} is {delivery.state}, not unknown")
        match outcome:
            case "published":
                receipt = Receipt(remote_id="", url=url, extra={"found": "by hand"})
                done = await self._store.confirm(delivery, receipt, "found by hand", self._now())
            case "resend":
                done = await self._store.requeue(delivery, delivery.message, self._now(), RESENT)
            case "drop":
                done = await self._store.drop(delivery, "dropped by hand", self._now())
            case _:
                raise Refused("an outcome is published, resend or drop")
        self._changed()
        return {"count": int(done), "problems": []}

    # --- help

    async def _find(self, name: str) -> tuple[Delivery, list[Attempt]]:
        found = await self._store.delivery(str(name))
        if found is None:
            raise Refused(f"there is no delivery {name}")
        return found

    async def _scope(
        self, state: State, names: Sequence[str], requests: Sequence[int], destination: str | None, rule: str | None, all: bool
    ) -> list[Delivery]:
        if not names and not requests and not destination and not rule and not all:
            raise Refused("say which: their numbers, --rule, --destination or --all")
        if names:
            found = [(await self._find(name))[0] for name in names]
            for one in found:
                if one.state is not state:
                    raise Refused(f"delivery {one.id} is {one.state}, not {state}")
            return sorted(found, key=lambda one: one.id)
        if not destination and not rule and not all:
            return []
        # Oldest first, as they were accepted: a record's messages keep their order.
        return await self._store.deliveries(state, destination=destination, rule=rule, limit=LIMIT, oldest=True)

    async def _requests(self, requests: Sequence[int], all: bool) -> Sequence[int]:
        return [row.id for row, _ in await self._store.failed_requests(LIMIT)] if all else requests

    def _event(self, event: ChangeEvent) -> dict[str, Any]:
        """A change for people; fields that no message may show are not shown here either."""
        spec = self._engine().records.get((event.source, event.record_type), {})
        secret = {name for name, one in spec.items() if one.sensitivity is Sensitivity.SECRET}
        changed = {name: value for name, value in event.before.items() if event.fields.get(name) != value}
        return {
            "id": event.id,
            "record": str(event.record),
            "kind": event.kind.value,
            "revision": event.revision,
            "occurred_at": event.occurred_at.isoformat(),
            "fields": _values(event.fields, secret),
            "before": _values(changed, secret),
        }

    async def _rendered(self, delivery: Delivery) -> Any:
        event = await self._store.event(delivery.event_id)
        if event is None:
            raise RenderError("its change is no longer in the journal")
        message = rerender(self._engine(), event, delivery.key)
        if message.destination != delivery.message.destination:
            # Its place in the outbox is that of the old destination, whose readers may be others.
            raise RenderError(f"its rule now publishes to {message.destination}: drop this one")
        return message


def _delivery(one: Delivery) -> dict[str, Any]:
    message = one.message
    return {
        "id": one.id,
        "key": one.key,
        "state": one.state.value,
        "reason": one.reason,
        "destination": message.destination,
        "channel": message.channel.title or message.channel.key if message.channel else None,
        "rule": message.rule,
        "step": message.step,
        "record": str(message.record),
        "text": plain(message.text),
        "link": message.link,
        "due": one.due.isoformat(),
        "attempts": one.attempts,
        "last_error": one.last_error,
        "receipt": {"remote_id": one.receipt.remote_id, "url": one.receipt.url} if one.receipt else None,
    }


def _attempt(one: Attempt) -> dict[str, Any]:
    return {"number": one.number, "ended_at": one.ended_at.isoformat(), "outcome": one.outcome, "error": one.error}


def _values(fields: Fields, secret: Set[str]) -> dict[str, str | None]:
    return {name: "***" if name in secret else None if value is None else shown(value) for name, value in fields.items()}
