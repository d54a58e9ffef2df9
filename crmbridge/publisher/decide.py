"""What an attempt's end leads to. Pure: the clock and the die are arguments.

The vendor's own instant always wins over the computed backoff. A message whose outcome is unknown is repeated only
where that cannot double it, or where the configuration prefers a double to a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from typing import Final

from crmbridge.errors import AuthFailed, DeliveryError, Duplicate, HeadGone, OutcomeUnknown, RateLimited, Rejected
from crmbridge.model import Audience, Delivery, Receipt, State, Why
from crmbridge.store.terms import Settlement, Wait

RESENT: Final = "resent: an earlier attempt may have been published"
IN_DOUBT: Final = "it may or may not be published"
LOOKS: Final = tuple(timedelta(seconds=seconds) for seconds in (2, 5, 15, 60))
"""The patience with which a lost answer is looked for: waits between looks."""
_MOST_LOOKS = 100  # that failed: a destination that cannot be asked for hours is no longer waited for
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
class Cap:
    """At most so many messages in a calendar day and month of `zone`; the rest waits for a person."""

    per_day: int | None = None
    per_month: int | None = None
    zone: tzinfo = timezone.utc

    def windows(self, now: datetime) -> list[tuple[str, int, datetime]]:
        """Each limit with its name and the instant that its present window began."""
        day = now.astimezone(self.zone).replace(hour=0, minute=0, second=0, microsecond=0)
        limits = (("per_day", self.per_day, day), ("per_month", self.per_month, day.replace(day=1)))
        return [(name, most, since) for name, most, since in limits if most is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How one destination is treated."""

    destination: str
    idempotent: bool
    on_unknown: OnUnknown
    audience: Audience = Audience.COMPANY
    """Who reads it now."""
    finds: bool = False
    """It can be asked whether a message is there."""
    cap: Cap | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to record, and whether the destination looks ill (for the breaker: None says nothing about its health)."""

    settlement: Settlement
    wait: Wait | None = None
    healthy: bool | None = None


def backoff(attempts: int, chance: float) -> timedelta:
    """Compute the wait after `attempts` attempts: exponential with full jitter (`chance` from 0 to 1), at most ten minutes.

    Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    ceiling: float = min(_LONGEST, _FIRST * 2.0 ** min(max(attempts, 1) - 1, 16))
    return timedelta(seconds=max(0.1, ceiling * chance))


_WIDTH: Final = {Audience.TEAM: 0, Audience.COMPANY: 1, Audience.PUBLIC: 2}


def disclosed(delivery: Delivery, policy: Policy, hidden: Sequence[str] = ()) -> Decision | None:
    """Make a dead letter of a message whose readers may not see all of it; None if they may.

    It was made for fewer readers than the destination has now, or it shows fields that are `hidden` from them now.
    """
    message = delivery.message
    if message.destination != policy.destination or _WIDTH[policy.audience] > _WIDTH[message.audience]:
        text = (
            f"it was made for {message.destination}, read by the {message.audience}; {policy.destination} is read by the {policy.audience}"
        )
        return _kept_back(delivery, "audience", text)
    if hidden:
        fields = ", ".join(f"record.{name}" for name in hidden)
        return _kept_back(delivery, "disclosure", f"it shows {fields}, which who reads {policy.destination} may not see by now")
    return None


def _kept_back(delivery: Delivery, code: str, text: str) -> Decision:
    return Decision(Settlement(delivery=delivery, state=State.DEAD, outcome="rejected", reason=Why.REJECTED.because(code), error=text))


def expired(delivery: Delivery) -> Decision:
    """Settle a delivery that was too old at its lease, which has recorded that already."""
    dead = Settlement(
        delivery=delivery, state=State.DEAD, outcome="expired", reason=Why.EXPIRED, error="it was not said within its max_age"
    )
    return Decision(dead)


def delivered(delivery: Delivery, receipt: Receipt) -> Decision:
    """Settle a delivery that was published."""
    done = Settlement(
        delivery=delivery, state=State.DELIVERED, outcome="delivered", reason=delivery.reason, receipt=receipt, anew=receipt.alone
    )
    return Decision(done, healthy=True)


def unbegun(delivery: Delivery, now: datetime) -> Decision:
    """We end before the attempt has begun."""
    again = Settlement(delivery=delivery, state=State.QUEUED, outcome="transient", reason=delivery.reason, error="", due=now, counted=False)
    return Decision(again)


def unwritable(decision: Decision, text: str) -> Decision:
    """How the attempt ended cannot be recorded as it was told; what can be is."""
    one = decision.settlement
    if one.receipt is not None:
        receipt = Receipt(remote_id=str(one.receipt.remote_id)[:500], extra={"lost": text})
        return replace(decision, settlement=replace(one, receipt=receipt))
    return replace(decision, settlement=replace(one, error=text, reason=one.reason[:500]), wait=None)


def refused(policy: Policy, text: str, now: datetime) -> Wait:
    """Silence a destination that does not know us, until a person acts."""
    return Wait(destination=policy.destination, channel=None, until=None, reason=text, since=now)


def failed(delivery: Delivery, error: DeliveryError, policy: Policy, now: datetime, chance: float, began: datetime) -> Decision:
    """Decide what follows an attempt, begun at `began`, that ended without a receipt."""
    text = str(error)
    resent = delivery.reason == RESENT
    reason = RESENT if resent else ""
    match error:
        case Duplicate() if resent:
            # The network holds the very text of our attempt whose answer was lost.
            receipt = Receipt(remote_id="", extra={"found": "the network refused the repeat as a duplicate"})
            return delivered(delivery, receipt)
        case HeadGone() if delivery.parent is not None:
            # Durable before it is said: whatever comes now, it is never taken for a reply again, and is said once.
            anew = Settlement(delivery=delivery, state=State.QUEUED, outcome="head_gone", reason=reason, error=text, due=now, anew=True)
            return Decision(anew, healthy=True)
        case Rejected():
            dead = Settlement(delivery=delivery, state=State.DEAD, outcome="rejected", reason=Why.REJECTED.because(error.code), error=text)
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
            wait = refused(policy, text, now)
            again = Settlement(
                delivery=delivery, state=State.QUEUED, outcome="auth_failed", reason=reason, error=text, due=now, counted=False
            )
            return Decision(again, wait)
        case OutcomeUnknown():
            return _unknown(delivery, "unknown", text, policy, now, chance, began)
    again = Settlement(
        delivery=delivery, state=State.QUEUED, outcome="transient", reason=reason, error=text, due=now + backoff(delivery.attempts, chance)
    )
    return Decision(again, healthy=False)


def interrupted(delivery: Delivery, policy: Policy, now: datetime) -> Decision:
    """Decide what follows an attempt that the end of the process interrupted."""
    return _unknown(delivery, "interrupted", "crmbridge ended during this attempt", policy, now, 0.0, delivery.due)


def _unknown(delivery: Delivery, outcome: str, text: str, policy: Policy, now: datetime, chance: float, began: datetime) -> Decision:
    repeatable = policy.idempotent or (delivery.message.edit and delivery.parent is not None)  # an edit says the same twice
    if repeatable or (policy.on_unknown is OnUnknown.RESEND and not policy.finds):
        reason = "" if repeatable else RESENT
        due = now + backoff(delivery.attempts, chance)
        return Decision(
            Settlement(delivery=delivery, state=State.QUEUED, outcome=outcome, reason=reason, error=text, due=due), healthy=False
        )
    doubt = Settlement(
        delivery=delivery,
        state=State.UNKNOWN,
        outcome=outcome,
        reason=IN_DOUBT,
        error=text,
        doubt_from=began,
        look_at=now + LOOKS[0] if policy.finds else None,
    )
    return Decision(doubt, healthy=False)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a look at the destination leads to: exactly one of found, look again, resend, or (none of them) a person decides."""

    found: Receipt | None = None
    again_at: datetime | None = None
    resend: bool = False
    wait: Wait | None = None
    error: str = ""


def looked(looks: int, seen: Receipt | DeliveryError | None, policy: Policy, now: datetime) -> Conclusion:
    """After `looks` earlier ones, a look has `seen` the message, nothing, or why the destination cannot be asked.

    Look-ups lag behind publications, so that nothing is believed absent before the last look.
    """
    given_up = Conclusion(resend=policy.on_unknown is OnUnknown.RESEND, error=str(seen) if isinstance(seen, DeliveryError) else "")
    match seen:
        case Receipt():
            return Conclusion(found=seen)
        case Rejected():  # it will never say
            return given_up
        case RateLimited():
            until = max(seen.until, now + timedelta(seconds=1))
            wait = Wait(destination=policy.destination, channel=None, until=until, reason=str(seen), since=now)
            return Conclusion(again_at=until, wait=wait, error=str(seen))
        case DeliveryError() if looks < _MOST_LOOKS:
            return Conclusion(again_at=now + LOOKS[min(looks, len(LOOKS) - 1)], error=str(seen))
    if looks + 1 < len(LOOKS):
        return Conclusion(again_at=now + LOOKS[looks + 1])
    return given_up
