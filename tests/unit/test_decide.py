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
from crmbridge.errors import AuthFailed, DeliveryError, Duplicate, HeadGone, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.model import Audience, Delivery, Receipt, State
from crmbridge.publisher import decide
from crmbridge.publisher.breaker import THRESHOLD, Breaker
from crmbridge.publisher.decide import RESENT, Decision, OnUnknown, Policy
from crmbridge.publisher.pace import Pace, Paces
from crmbridge.store.terms import Settlement, Wait

EARLIER = NOW - timedelta(seconds=3)
LATER = NOW + timedelta(minutes=7)


def delivery(attempts=1, reason=""):
    return Delivery(id=1, key="k", event_id="e", message=message(), state=State.SENDING, due=NOW, attempts=attempts, reason=reason)


def policy(on_unknown=OnUnknown.RESEND, *, idempotent=False):
    return Policy(destination="out", idempotent=idempotent, on_unknown=on_unknown)


def wait(channel, until, reason):
    return Wait(destination="out", channel=channel, until=until, reason=reason, since=NOW)


def failed(error, given_=None, how=None):
    return decide.failed(given_ or delivery(), error, how or policy(), NOW, 0.5, EARLIER)


@pytest.mark.parametrize(
    ("error", "reason", "settlement", "rest"),
    [
        (
            Transient("refused"),
            "draft",
            {"outcome": "transient", "error": "refused", "due": NOW + timedelta(seconds=4)},  # the second attempt, and half a chance
            {"healthy": False},
        ),
        (
            Transient("refused"),
            RESENT,
            {"outcome": "transient", "error": "refused", "reason": RESENT, "due": NOW + timedelta(seconds=4)},
            {"healthy": False},
        ),
        (
            RateLimited("slow down", LATER),
            "",
            {"outcome": "rate_limited", "error": "slow down", "due": LATER, "counted": False},
            {"wait": wait(None, LATER, "slow down")},
        ),
        (
            RateLimited("slow down", LATER, scope="lane"),
            "",
            {"outcome": "rate_limited", "error": "slow down", "due": LATER, "counted": False},
            {"wait": wait("#a", LATER, "slow down")},
        ),
        (  # an instant that has passed would make us hammer
            RateLimited("slow down", EARLIER),
            "",
            {"outcome": "rate_limited", "error": "slow down", "due": NOW + timedelta(seconds=1.5), "counted": False},
            {"wait": wait(None, NOW + timedelta(seconds=1.5), "slow down")},
        ),
        (
            AuthFailed("token_revoked"),
            "",
            {"outcome": "auth_failed", "error": "token_revoked", "due": NOW, "counted": False},
            {"wait": wait(None, None, "token_revoked")},
        ),
        (
            Rejected("no such channel", code="gone"),
            RESENT,
            {"state": State.DEAD, "outcome": "rejected", "error": "no such channel", "reason": "rejected: gone"},
            {"healthy": True},
        ),
        (
            Duplicate("said before", code="187"),
            "draft",
            {"state": State.DEAD, "outcome": "rejected", "error": "said before", "reason": "rejected: 187"},
            {"healthy": True},
        ),
        (
            Duplicate("said before"),
            RESENT,
            {
                "state": State.DELIVERED,
                "outcome": "delivered",
                "reason": RESENT,
                "receipt": Receipt(remote_id="", extra={"found": "the network refused the repeat as a duplicate"}),
            },
            {"healthy": True},
        ),
        (
            OutcomeUnknown("cut"),
            "",
            {"outcome": "unknown", "error": "cut", "reason": RESENT, "due": NOW + timedelta(seconds=4)},
            {"healthy": False},
        ),
    ],
)
def test_all_that_a_failure_leads_to(error, reason, settlement, rest):
    """What is recorded, who waits until when, and what it says of the destination."""
    one = delivery(3, reason)
    assert failed(error, one) == Decision(Settlement(**({"delivery": one, "state": State.QUEUED} | settlement)), **rest)


def test_a_message_without_a_channel_is_its_destination_s_only_lane():
    one = replace(delivery(), message=message(channel=None))
    assert failed(RateLimited("slow down", LATER, scope="lane"), one).wait.channel is None


def test_all_that_other_ends_lead_to():
    one = delivery(2, "draft")
    receipt = Receipt(remote_id="7", url="https://x/7", extra={"a": 1})
    told = Settlement(delivery=one, state=State.DELIVERED, outcome="delivered", reason="draft", receipt=receipt)
    assert decide.delivered(one, receipt) == Decision(told, healthy=True)
    assert decide.expired(one) == Decision(
        Settlement(delivery=one, state=State.DEAD, outcome="expired", reason="expired", error="it was not said within its max_age")
    )
    assert decide.unbegun(one, NOW) == Decision(
        Settlement(delivery=one, state=State.QUEUED, outcome="transient", reason="draft", due=NOW, counted=False)
    )
    assert decide.refused(policy(), "who?", NOW) == wait(None, None, "who?")
    assert decide.interrupted(one, policy(OnUnknown.HOLD), LATER) == Decision(
        Settlement(
            delivery=one,
            state=State.UNKNOWN,
            outcome="interrupted",
            reason="it may or may not be published",
            error="crmbridge ended during this attempt",
            doubt_from=NOW,  # when it was due
        ),
        healthy=False,
    )
    assert decide.interrupted(one, policy(OnUnknown.RESEND), LATER).settlement.due == LATER + timedelta(seconds=0.1)


def test_what_cannot_be_written_is_recorded_as_far_as_it_can_be():
    """A receipt keeps its id, for without one the message would be said again; an error keeps its first words."""
    one = delivery()
    for id, kept in (("7", "7"), ("7" * 500, "7" * 500), ("7" * 501, "7" * 500)):
        found = decide.unwritable(decide.delivered(one, Receipt(remote_id=id, url="odd", extra={"odd": object()})), "no JSON")
        assert found == decide.delivered(one, Receipt(remote_id=kept, extra={"lost": "no JSON"}))
    found = decide.unwritable(failed(RateLimited("slow\ud800", LATER), delivery(reason=RESENT)), "odd words")
    assert (found.wait, found.settlement.error, found.settlement.reason, found.settlement.due) == (None, "odd words", RESENT, LATER)
    dead = failed(Rejected("x", code="y" * 600))
    assert decide.unwritable(dead, "odd").settlement.reason == "rejected: " + "y" * 490


@pytest.mark.parametrize(
    ("made_for", "read_by", "told"),
    [
        (Audience.TEAM, Audience.TEAM, True),
        (Audience.TEAM, Audience.COMPANY, False),
        (Audience.TEAM, Audience.PUBLIC, False),
        (Audience.COMPANY, Audience.TEAM, True),
        (Audience.COMPANY, Audience.COMPANY, True),
        (Audience.COMPANY, Audience.PUBLIC, False),
        (Audience.PUBLIC, Audience.TEAM, True),
        (Audience.PUBLIC, Audience.COMPANY, True),
        (Audience.PUBLIC, Audience.PUBLIC, True),
    ],
)
def test_nothing_is_said_to_more_than_it_was_made_for(made_for, read_by, told):
    """Nor anywhere else than there."""
    one = replace(delivery(), message=replace(message(), audience=made_for))
    how = replace(policy(), audience=read_by)
    words = f"it was made for out, read by the {made_for}; out is read by the {read_by}"
    dead = Settlement(delivery=one, state=State.DEAD, outcome="rejected", reason="rejected: audience", error=words)
    assert decide.disclosed(one, how) == (None if told else Decision(dead))
    assert decide.disclosed(one, replace(how, destination="other")).settlement.state is State.DEAD


def test_nothing_is_said_that_its_readers_may_not_see_by_now():
    """Somebody made a field secret while the message waited."""
    one = delivery()
    words = "it shows record.Amount, record.Note, which who reads out may not see by now"
    dead = Settlement(delivery=one, state=State.DEAD, outcome="rejected", reason="rejected: disclosure", error=words)
    assert decide.disclosed(one, policy(), ["Amount", "Note"]) == Decision(dead)
    assert decide.disclosed(one, policy(), []) is None


def test_every_error_of_the_tree_has_a_decision():
    """A new DeliveryError must be thought about."""
    decided = {Transient, RateLimited, AuthFailed, Rejected, Duplicate, HeadGone, OutcomeUnknown}

    def tree(kind):
        return {kind} | {below for child in kind.__subclasses__() for below in tree(child)}

    assert decided | {DeliveryError} == {one for one in tree(DeliveryError) if one.__module__ == "crmbridge.errors"}


@pytest.mark.parametrize("reason", ["", decide.RESENT])
def test_what_a_message_hangs_on_is_gone(reason):
    """It is said at once as the first of its thread; without anything that it hung on it is refused like any other."""
    gone = HeadGone("no such thread", code="thread_not_found")
    one = replace(delivery(), reason=reason, parent=Receipt(remote_id="1"))
    anew = Settlement(delivery=one, state=State.QUEUED, outcome="head_gone", reason=reason, error="no such thread", due=NOW, anew=True)
    assert decide.failed(one, gone, policy(), NOW, 0.5, NOW) == Decision(anew, healthy=True)
    assert decide.failed(delivery(), gone, policy(), NOW, 0.5, NOW).settlement.state is State.DEAD
    assert decide.delivered(one, Receipt(remote_id="2", alone=True)).settlement.anew is True
    assert decide.delivered(one, Receipt(remote_id="2")).settlement.anew is False


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
    """The default: what the whole world would read twice waits for a person. And the words of the configuration."""
    assert list(OnUnknown) == ["resend", "hold"]
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


@pytest.mark.parametrize(
    ("attempts", "chance", "seconds"),
    [
        (0, 1.0, 2),
        (1, 1.0, 2),
        (2, 1.0, 4),
        (3, 0.5, 4),
        (9, 1.0, 512),
        (10, 1.0, 600),
        (99, 1.0, 600),
        (1, 0.0, 0.1),
        (1, 0.05, 0.1),
        (1, 0.06, 0.12),
    ],
)
def test_backoffs(attempts, chance, seconds):
    assert decide.backoff(attempts, chance) == timedelta(seconds=seconds)


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
    assert decide.looked(last, None, hold, NOW) == decide.Conclusion()
    found = Receipt(remote_id="7")
    assert decide.looked(0, found, hold, NOW).found == found


def test_a_destination_that_cannot_be_asked():
    """One that never will leaves it to the policy; one that cannot just now is asked again, and never before it said."""
    hold = Policy(**ASKED, on_unknown=OnUnknown.HOLD)
    assert decide.looked(0, Rejected("missing scope", code="find"), hold, NOW) == decide.Conclusion(error="missing scope")
    assert decide.looked(0, Transient("refused"), hold, NOW).again_at > NOW
    limited = decide.looked(0, RateLimited("slow down", LATER), hold, NOW)
    assert (limited.again_at, limited.wait.until) == (LATER, LATER)


@pytest.mark.parametrize(
    ("looks", "seen", "verdict"),
    [
        (0, None, {"again_at": NOW + timedelta(seconds=5)}),
        (1, None, {"again_at": NOW + timedelta(seconds=15)}),
        (2, None, {"again_at": NOW + timedelta(seconds=60)}),
        (3, None, {"resend": True}),
        (4, None, {"resend": True}),
        (0, Transient("refused"), {"again_at": NOW + timedelta(seconds=2), "error": "refused"}),
        (3, Transient("refused"), {"again_at": NOW + timedelta(seconds=60), "error": "refused"}),
        (4, Transient("refused"), {"again_at": NOW + timedelta(seconds=60), "error": "refused"}),
        (99, Transient("refused"), {"again_at": NOW + timedelta(seconds=60), "error": "refused"}),
        (100, Transient("refused"), {"resend": True, "error": "refused"}),
        (0, Rejected("never"), {"resend": True, "error": "never"}),
        (
            200,
            RateLimited("slow down", EARLIER),
            {
                "again_at": NOW + timedelta(seconds=1),
                "wait": wait(None, NOW + timedelta(seconds=1), "slow down"),
                "error": "slow down",
            },
        ),
        (0, RateLimited("slow down", LATER), {"again_at": LATER, "wait": wait(None, LATER, "slow down"), "error": "slow down"}),
        (0, Receipt(remote_id="7"), {"found": Receipt(remote_id="7")}),
    ],
)
def test_all_that_a_look_leads_to(looks, seen, verdict):
    """The first look has waited two seconds; a look that failed does not shorten the patience, and a hundred of them end it."""
    how = Policy(**ASKED, on_unknown=OnUnknown.RESEND)
    assert decide.looked(looks, seen, how, NOW) == decide.Conclusion(**verdict)
    assert decide.LOOKS[0] == timedelta(seconds=2)
    if verdict.get("resend"):
        assert not decide.looked(looks, seen, replace(how, on_unknown=OnUnknown.HOLD), NOW).resend


def test_a_destination_that_can_be_asked_is_asked_even_where_it_may_double():
    """And one that knows the key needs no asking."""
    assert failed(OutcomeUnknown("cut"), how=Policy(**ASKED, on_unknown=OnUnknown.RESEND)).settlement.state is State.UNKNOWN
    keyed = Policy(**ASKED | {"idempotent": True}, on_unknown=OnUnknown.HOLD)
    assert failed(OutcomeUnknown("cut"), how=keyed).settlement.state is State.QUEUED
    assert failed(OutcomeUnknown("cut"), how=policy(OnUnknown.HOLD)).settlement.look_at is None


def test_the_first_of_an_edited_thread_is_not_repeated_blindly():
    """There is nothing yet that it would only say again; and a reply to something is no edit."""
    for said, parent in ((replace(message(), edit=True), None), (message(), Receipt(remote_id="1"))):
        one = replace(delivery(), message=said, parent=parent)
        assert failed(OutcomeUnknown("cut"), one, policy(OnUnknown.HOLD)).settlement.state is State.UNKNOWN


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

    now = datetime(2026, 11, 21, 23, 30, 59, 7, tzinfo=timezone.utc)
    assert decide.Cap(per_day=0).windows(now) == [("per_day", 0, datetime(2026, 11, 21, tzinfo=timezone.utc))]
    assert decide.Cap(per_month=9).windows(now) == [("per_month", 9, datetime(2026, 11, 1, tzinfo=timezone.utc))]
    assert decide.Cap().windows(now) == []
