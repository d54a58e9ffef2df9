"""How deliveries, changes and attempts are shown to people, as JSON values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import datetime
from typing import Any

from crmbridge.model import Audience, ChangeEvent, Channel, Delivery, Fields, Reading, Receipt, RecordSpec, Repeat, Sensitivity, plain
from crmbridge.rules.engine import NO_LINK, Engine
from crmbridge.rules.values import told
from crmbridge.store.ledger import LedgerEntry
from crmbridge.store.terms import Attempt

Records = Mapping[tuple[str, str], RecordSpec]


def delivery(one: Delivery, engine: Engine) -> dict[str, Any]:
    """A delivery; what it says is not shown where it shows a field that nobody may see by now."""
    message = one.message
    hidden = bool(engine.undisclosed(message, Audience.COMPANY))
    return {
        "id": one.id,
        "key": one.key,
        "state": one.state.value,
        "reason": one.reason,
        "destination": message.destination,
        "channel": _place(message.channel, hidden) if message.channel else None,
        "rule": message.rule,
        "step": message.step,
        "record": str(message.record),
        "subject": None if message.subject is None else "***" if hidden else plain(message.subject),
        "text": "***" if hidden else plain(message.text),
        "link": None if hidden else message.link,
        "no_link": message.extra.get(NO_LINK),
        "media": message.media.shown() if message.media and not hidden else None,
        "accepted_at": moment(one.accepted_at),
        "due": one.due.isoformat(),
        "expires_at": moment(one.expires_at),
        "attempts": one.attempts,
        "last_error": one.last_error,
        "receipt": receipt(one.receipt) if one.receipt else None,
    }


def receipt(one: Receipt) -> dict[str, Any]:
    """What a network said of a message that it took; `note` is what it did not take."""
    return {"remote_id": one.remote_id, "url": one.url, "note": one.extra.get("note")}


def _place(channel: Channel, hidden: bool) -> str:
    """A channel by its title, which may be a record's words, else by its key."""
    return "***" if hidden and channel.title else channel.title or channel.key


def moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def attempt(one: Attempt) -> dict[str, Any]:
    return {"number": one.number, "ended_at": one.ended_at.isoformat(), "outcome": one.outcome, "error": one.error}


def order(one: LedgerEntry) -> dict[str, Any]:
    """An order: who gave it, by which door, when, and what it came to; `ended_at` None while there is more of it to do."""
    return {
        "id": one.id,
        "verb": one.order.verb,
        "arguments": dict(one.order.arguments),
        "actor": one.order.actor,
        "door": one.order.door,
        "began_at": one.began_at.isoformat(),
        "last_at": one.last_at.isoformat(),
        "running": one.running,
        "ended_at": moment(one.ended_at),
        "came_to": dict(one.counts),
        "error": one.error,
    }


def repeat(one: Repeat) -> dict[str, Any]:
    """What came once more: by what it was known, when it was new, when it came last, how often."""
    return {
        "same": one.same.value,
        "name": one.name,
        "first_at": one.first_at.isoformat(),
        "last_at": one.last_at.isoformat(),
        "count": one.count,
    }


def event(one: ChangeEvent, engine: Engine) -> dict[str, Any]:
    """A change; fields that no message may show are not shown here either."""
    hidden, reading = secret_fields(one.source, one.record_type, engine.records), engine.reading(one.source)
    changed = {name: value for name, value in one.before.items() if one.fields.get(name) != value}
    return {
        "id": one.id,
        "record": str(one.record),
        "kind": one.kind.value,
        "revision": one.revision,
        "occurred_at": one.occurred_at.isoformat(),
        "url": one.url,
        "fields": values(one.fields, hidden, reading),
        "before": values(changed, hidden, reading),
    }


def secret_fields(source: str, record_type: str, records: Records) -> Set[str]:
    return {name for name, one in records.get((source, record_type), {}).items() if one.sensitivity is Sensitivity.SECRET}


def values(fields: Fields, hidden: Set[str], reading: Reading) -> dict[str, str | None]:
    """As templates show them, instants where people's clocks hang."""
    return {name: "***" if name in hidden else None if value is None else told(value, reading) for name, value in fields.items()}
