"""What goes out together, and what comes back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from crmbridge.errors import DeliveryError, OutcomeUnknown
from crmbridge.model import Delivery, Receipt, State
from crmbridge.store.terms import Settlement


def clear(answer: object) -> Receipt | DeliveryError:
    """Return a connector's answer; anything but a receipt or an error of ours is an unknown outcome."""
    if isinstance(answer, (Receipt, DeliveryError)):
        return answer
    return OutcomeUnknown(f"the connector answered {type(answer).__name__} instead of a receipt")


def told(one: Settlement, began: datetime, now: datetime) -> dict[str, Any]:
    """Return what the log says of an attempt's end."""
    facts = {
        "key": one.delivery.key,
        "rule": one.delivery.message.rule,
        "attempt": one.delivery.attempts,
        "state": one.state.value,
        "ms": round((now - began) / timedelta(milliseconds=1)),
        "reason": one.error or one.reason,
    }
    again = {"again_at": one.due.isoformat(timespec="seconds")} if one.state is State.QUEUED and one.due else {}
    return facts | again


def channel_of(delivery: Delivery) -> str:
    """Return the key of a delivery's channel: its lane within its destination."""
    return delivery.message.channel.key if delivery.message.channel else ""


def parcels(deliveries: Sequence[Delivery], size: int) -> list[Sequence[Delivery]]:
    """Parcels of at most `size`; an edit goes alone, and what ended a process before."""
    alone = [one for one in deliveries if one.message.edit or one.crashes]
    others = [one for one in deliveries if not (one.message.edit or one.crashes)] if alone else deliveries
    return [[one] for one in alone] + [others[start : start + size] for start in range(0, len(others), size)]
