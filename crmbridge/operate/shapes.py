"""The forms in which deliveries, changes and attempts are shown to people, as JSON values. Pure."""

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
    """Show a delivery. Its text is hidden if it shows a field that nobody may see any more."""
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
    """Show a network's receipt for a message. `note` is what the network did not take of it."""
    return {"remote_id": one.remote_id, "url": one.url, "note": one.extra.get("note")}


def _place(channel: Channel, hidden: bool) -> str:
    """Show a channel by its title, which may hold a record's words, else by its key."""
    return "***" if hidden and channel.title else channel.title or channel.key


def moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def attempt(one: Attempt) -> dict[str, Any]:
    return {"number": one.number, "ended_at": one.ended_at.isoformat(), "outcome": one.outcome, "error": one.error}


def order(one: LedgerEntry) -> dict[str, Any]:
    """Show an order: who gave it, by which door, when, and what it came to. `ended_at` is None while more of it is to be done."""
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
    """Show a repeat: by what it was recognised, when the original came, when it came last, and how often."""
    return {
        "same": one.same.value,
        "name": one.name,
        "first_at": one.first_at.isoformat(),
        "last_at": one.last_at.isoformat(),
        "count": one.count,
    }


def event(one: ChangeEvent, engine: Engine) -> dict[str, Any]:
    """Show a change. Fields that no message may show are hidden here too."""
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
    """Show values as templates show them, with instants in people's time zone."""
    return {name: "***" if name in hidden else None if value is None else told(value, reading) for name, value in fields.items()}
