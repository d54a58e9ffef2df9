"""What an attempt's end leads to, as pure decisions."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared import NOW
from store_contract import message

from crmbridge.contract import Rate
from crmbridge.errors import AuthFailed, DeliveryError, Duplicate, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.model import Audience, Delivery, Receipt, State
from crmbridge.publisher import decide
from crmbridge.publisher.breaker import THRESHOLD, Breaker
from crmbridge.publisher.decide import RESENT, OnUnknown, Policy
from crmbridge.publisher.pace import Pace, Paces

EARLIER = NOW - timedelta(seconds=3)
LATER = NOW + timedelta(minutes=7)


def delivery(attempts=1, reason=""):
    return Delivery(id=1, key="k", event_id="e", message=message(), state=State.SENDING, due=NOW, attempts=attempts, reason=reason)


def policy(on_unknown=OnUnknown.RESEND, *, idempotent=False):
    return Policy(destination="out", idempotent=idempotent, on_unknown=on_unknown)


def failed(error, given_=None, how=None):
    return decide.failed(given_ or delivery(), error, how or policy(), NOW, 0.5, EARLIER)


def test_every_error_of_the_tree_has_a_decision():
    """A new DeliveryError must be thought about."""
    decided = {Transient, RateLimited, AuthFailed, Rejected, Duplicate, OutcomeUnknown}

    def tree(kind):
        return {kind} | {below for child in kind.__subclasses__() for below in tree(child)}

    assert decided | {DeliveryError} == {one for one in tree(DeliveryError) if one.__module__ == "crmbridge.errors"}


def test_certainly_not_published_is_tried_again():
    """With a backoff that the die decides; the destination looks ill."""
    one = failed(Transient("refused"))

    assert (State.QUEUED, NOW + timedelta(seconds=1), False) == (one.settlement.state, one.settlement.due, one.healthy)
    assert one.settlement.counted


def test_the_vendor_s_instant_wins_and_costs_no_attempt():
    """Retry-After is obeyed to the microsecond, and kept for the next process."""
    one = failed(RateLimited("slow down", LATER))

    assert (one.settlement.state, one.settlement.due, one.settlement.counted) == (State.QUEUED, LATER, False)
    assert (one.wait.channel, one.wait.until) == (None, LATER)
    assert failed(RateLimited("slow down", LATER, scope="lane")).wait.channel == "#a"


def test_missing_rights_pause_and_lose_nothing():
    """The message goes back to the queue; the destination waits for a person."""
    one = failed(AuthFailed("token_revoked", code="token_revoked"))

    assert (one.settlement.state, one.settlement.counted) == (State.QUEUED, False)
    assert None is one.wait.until


def test_a_refusal_is_a_dead_letter_with_its_reason():
    """And says nothing bad of the destination's health."""
    one = failed(Rejected("the channel is archived", code="is_archived"))

    assert (one.settlement.state, one.settlement.reason, one.healthy) == (State.DEAD, "rejected: is_archived", True)


@pytest.mark.parametrize(
    ("how", "state", "reason"),
    [
        (policy(OnUnknown.RESEND), State.QUEUED, RESENT),
        (policy(OnUnknown.HOLD), State.UNKNOWN, "it may or may not be published"),
        (policy(OnUnknown.HOLD, idempotent=True), State.QUEUED, ""),
    ],
)
def test_an_unknown_outcome_follows_the_policy(how, state, reason):
    """Resent where that cannot double it, or where the configuration prefers a double to a gap."""
    for one in (failed(OutcomeUnknown("cut"), how=how), decide.interrupted(delivery(), how, NOW)):
        assert (state, reason) == (one.settlement.state, one.settlement.reason)


def test_public_holds_and_company_resends():
    """The default: what the whole world would read twice waits for a person."""
    assert [OnUnknown.default(audience) for audience in Audience] == [OnUnknown.HOLD, OnUnknown.RESEND, OnUnknown.RESEND]


def test_a_duplicate_is_our_own_lost_attempt_or_a_dead_letter():
    """X refuses a repeated text and gives no id: after an unknown attempt that is proof, before it a refusal."""
    assert State.DEAD is failed(Duplicate("duplicate content")).settlement.state

    one = failed(Duplicate("duplicate content"), delivery(2, RESENT))
    assert State.DELIVERED is one.settlement.state
    assert isinstance(one.settlement.receipt, Receipt)


def test_the_memory_of_an_unknown_attempt_survives_other_failures():
    """Unknown, then refused, then duplicate: still our own."""
    for error in (Transient("refused"), RateLimited("slow", LATER), AuthFailed("who")):
        assert failed(error, delivery(2, RESENT)).settlement.reason == RESENT


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_backoff_is_bounded_and_never_nothing(attempts, chance):
    """Full jitter below an exponential ceiling of ten minutes."""
    wait = decide.backoff(attempts, chance)

    assert timedelta(seconds=0.1) <= wait <= timedelta(seconds=600)
    assert wait <= timedelta(seconds=max(0.1, 2.0 ** min(attempts, 20)))


def test_a_breaker_opens_probes_and_closes():
    """Closed, open, one probe, open for longer, one probe, closed."""
    breaker = Breaker()
    for _ in range(THRESHOLD - 1):
        breaker = breaker.failed(0.0, 1.0)
    assert breaker.allows(0.0, 10) > 1
    breaker = breaker.failed(0.0, 1.0)
    assert [breaker.allows(now, under_way) for now, under_way in [(0.0, 0), (4.9, 0), (5.0, 0), (5.0, 1)]] == [0, 0, 1, 0]

    longer = breaker.failed(5.0, 1.0)
    assert longer.open_until == 15.0
    assert longer.succeeded().allows(0.0, 0) > 1


def test_late_failures_do_not_prolong_an_open_breaker():
    """Attempts that began before it opened say nothing new."""
    breaker = Breaker()
    for _ in range(THRESHOLD):
        breaker = breaker.failed(0.0, 1.0)

    assert breaker.open_until == breaker.failed(1.0, 1.0).open_until


@given(st.integers(1, 5), st.floats(0.1, 10), st.lists(st.floats(0, 5), max_size=60))
def test_no_window_ever_holds_more_than_the_rate(count, seconds, gaps):
    """Whatever the moments asked at, a sliding window of the rate's length never sees more."""
    pace, now, begun = Pace(Rate(count=count, seconds=seconds)), 0.0, []
    for gap in gaps:
        now += gap
        at = pace.ready_at(now)
        now = max(now, at)
        assert pace.free(now) >= 1
        pace.begin(now)
        begun.append(now)
    for start in begun:
        assert sum(1 for one in begun if start <= one < start + seconds - 1e-9) <= count


def test_lanes_rest_each_for_itself():
    """One message a second in a channel is no limit for another channel."""
    lanes = Paces(Rate(count=1, seconds=1.0))
    lanes.begin("a", 0.0)

    assert lanes.resting(0.5) == {"a": 1.0}
    assert lanes.resting(1.0) == {}
    assert lanes.per_turn == 1
    assert Paces(None).per_turn > 1000


ASKED = {"destination": "out", "idempotent": False, "finds": True}


def test_a_lost_answer_is_looked_for_before_anything_is_repeated():
    """Whatever the policy is: first a look, soon."""
    for on_unknown in OnUnknown:
        one = failed(OutcomeUnknown("cut"), how=Policy(**ASKED, on_unknown=on_unknown)).settlement
        assert (one.state, one.look_at, one.doubt_from) == (State.UNKNOWN, NOW + decide.LOOKS[0], EARLIER)


def test_patience_then_the_policy():
    """Look-ups lag: absence is believed only after the last look, and then the configuration decides."""
    resend, hold = (Policy(**ASKED, on_unknown=one) for one in (OnUnknown.RESEND, OnUnknown.HOLD))
    for looks in range(len(decide.LOOKS) - 1):
        assert decide.looked(looks, None, resend, NOW).again_at == NOW + decide.LOOKS[looks + 1]
    last = len(decide.LOOKS) - 1
    assert decide.looked(last, None, resend, NOW).resend
    assert decide.looked(last, None, hold, NOW) == decide.Verdict()
    found = Receipt(remote_id="7")
    assert decide.looked(0, found, hold, NOW).found == found


def test_a_destination_that_cannot_be_asked():
    """One that never will leaves it to the policy; one that cannot just now is asked again, and never before it said."""
    hold = Policy(**ASKED, on_unknown=OnUnknown.HOLD)
    assert decide.looked(0, Rejected("missing scope", code="find"), hold, NOW) == decide.Verdict(error="missing scope")
    assert decide.looked(0, Transient("refused"), hold, NOW).again_at > NOW
    limited = decide.looked(0, RateLimited("slow down", LATER), hold, NOW)
    assert (limited.again_at, limited.wait.until) == (LATER, LATER)


def test_an_edit_is_repeated_without_asking():
    """It says the same twice."""
    said = replace(message(), edit=True)
    one = Delivery(id=1, key="k", event_id="e", message=said, state=State.SENDING, due=NOW, attempts=1, parent=Receipt(remote_id="1"))
    assert failed(OutcomeUnknown("cut"), one, Policy(**ASKED, on_unknown=OnUnknown.HOLD)).settlement.state is State.QUEUED


def test_a_cap_counts_calendar_days_and_months():
    """In the configured zone."""
    cap = decide.Cap(per_day=3, per_month=20, zone=ZoneInfo("Europe/Berlin"))
    day, month = cap.windows(datetime(2026, 11, 21, 23, 30, tzinfo=timezone.utc))
    assert day == ("per_day", 3, datetime(2026, 11, 21, 23, 0, tzinfo=timezone.utc))
    assert month == ("per_month", 20, datetime(2026, 10, 31, 23, 0, tzinfo=timezone.utc))
