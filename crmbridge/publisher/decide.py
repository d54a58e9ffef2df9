"""What an attempt's end leads to. Pure: the clock and the die are arguments.

The vendor's own instant always wins over the computed backoff. A message whose outcome is unknown is repeated only
where that cannot double it, or where the configuration prefers a double to a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from crmbridge.errors import AuthFailed, DeliveryError, Duplicate, OutcomeUnknown, RateLimited, Rejected
from crmbridge.model import Audience, Delivery, Receipt, State
from crmbridge.store.interface import Settlement, Wait

RESENT: Final = "resent: an earlier attempt may have been published"
_FIRST, _LONGEST = 2.0, 600.0  # seconds


class OnUnknown(StrEnum):
    """What to do with a message that may or may not be published."""

    RESEND = "resend"  # a double is better than a gap
    HOLD = "hold"  # a gap is better than a double: a person decides

    @classmethod
    def default(cls, audience: Audience) -> OnUnknown:
        """Hold what the whole world would read twice, resend the rest."""
        return cls.HOLD if audience is Audience.PUBLIC else cls.RESEND


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How one destination is treated."""

    destination: str
    idempotent: bool
    on_unknown: OnUnknown
    audience: Audience = Audience.COMPANY
    """Who reads it now."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to record, and whether the destination looks ill (for the breaker: None says nothing about its health)."""

    settlement: Settlement
    wait: Wait | None = None
    healthy: bool | None = None


def backoff(attempts: int, chance: float) -> timedelta:
    """The wait after `attempts` attempts: exponential with full jitter (`chance` from 0 to 1), at most ten minutes.

    Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    ceiling: float = min(_LONGEST, _FIRST * 2.0 ** min(max(attempts, 1) - 1, 16))
    return timedelta(seconds=max(0.1, ceiling * chance))


_WIDTH: Final = {Audience.TEAM: 0, Audience.COMPANY: 1, Audience.PUBLIC: 2}


def disclosed(delivery: Delivery, policy: Policy) -> Decision | None:
    """A dead letter for a message that was made for fewer readers than the destination has by now; None if all is well."""
    message = delivery.message
    if message.destination == policy.destination and _WIDTH[policy.audience] <= _WIDTH[message.audience]:
        return None
    text = f"it was made for {message.destination}, read by the {message.audience}; {policy.destination} is read by the {policy.audience}"
    return Decision(Settlement(delivery=delivery, state=State.DEAD, outcome="rejected", reason="rejected: audience", error=text))


def delivered(delivery: Delivery, receipt: Receipt) -> Decision:
    """It was published."""
    return Decision(
        Settlement(delivery=delivery, state=State.DELIVERED, outcome="delivered", reason=delivery.reason, receipt=receipt), healthy=True
    )


def failed(delivery: Delivery, error: DeliveryError, policy: Policy, now: datetime, chance: float) -> Decision:
    """It was not published, or nobody knows."""
    text = str(error)
    resent = delivery.reason == RESENT
    reason = RESENT if resent else ""
    match error:
        case Duplicate() if resent:
            # The network holds the very text of our attempt whose answer was lost.
            receipt = Receipt(remote_id="", extra={"found": "the network refused the repeat as a duplicate"})
            return delivered(delivery, receipt)
        case Rejected():
            dead = Settlement(
                delivery=delivery, state=State.DEAD, outcome="rejected", reason=f"rejected: {error.code}".rstrip(": "), error=text
            )
            return Decision(dead, healthy=True)
        case RateLimited():
            # An instant that has passed (a clock ahead of the vendor's, `Retry-After: 0`) would make us hammer.
            until = max(error.until, now + timedelta(seconds=1 + chance))
            channel = delivery.message.channel.key if error.scope == "lane" and delivery.message.channel else None
            wait = Wait(destination=policy.destination, channel=channel, until=until, reason=text, since=now)
            again = Settlement(
                delivery=delivery, state=State.QUEUED, outcome="rate_limited", reason=reason, error=text, due=until, counted=False
            )
            return Decision(again, wait)
        case AuthFailed():
            wait = Wait(destination=policy.destination, channel=None, until=None, reason=text, since=now)
            again = Settlement(
                delivery=delivery, state=State.QUEUED, outcome="auth_failed", reason=reason, error=text, due=now, counted=False
            )
            return Decision(again, wait)
        case OutcomeUnknown():
            return _unknown(delivery, "unknown", text, policy, now, chance)
    again = Settlement(
        delivery=delivery, state=State.QUEUED, outcome="transient", reason=reason, error=text, due=now + backoff(delivery.attempts, chance)
    )
    return Decision(again, healthy=False)


def interrupted(delivery: Delivery, policy: Policy, now: datetime) -> Decision:
    """The process ended while the attempt was under way."""
    return _unknown(delivery, "interrupted", "crmbridge ended during this attempt", policy, now, 0.0)


def _unknown(delivery: Delivery, outcome: str, text: str, policy: Policy, now: datetime, chance: float) -> Decision:
    if policy.idempotent or policy.on_unknown is OnUnknown.RESEND:
        reason = "" if policy.idempotent else RESENT
        due = now + backoff(delivery.attempts, chance)
        return Decision(
            Settlement(delivery=delivery, state=State.QUEUED, outcome=outcome, reason=reason, error=text, due=due), healthy=False
        )
    held = Settlement(delivery=delivery, state=State.UNKNOWN, outcome=outcome, reason="it may or may not be published", error=text)
    return Decision(held, healthy=False)
