"""X: what each answer means, in X's own words, and until when."""

from __future__ import annotations

import ast
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import responses
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shared import examples

from connectors.destinations.twitter import CONNECTOR
from connectors.destinations.twitter import errors as errors_of_x
from connectors.destinations.twitter.answers import TABLE, Row, Then
from connectors.destinations.twitter.errors import meaning
from crmbridge import telemetry
from crmbridge.contract import Setting, show_duration
from crmbridge.errors import AuthFailed, DeliveryError, Duplicate, HeadGone, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.model import Receipt
from crmbridge.testing import message

POST = "https://api.x.com/2/tweets"
KEY = "0123456789abcdef0123456789abcdef"
SECRETS = {"consumer_key": "ck-123456", "consumer_secret": "cs-123456", "access_token": "1-at-123456", "access_token_secret": "ats-123456"}
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)
YES = {"data": {"id": "1445880548472328192", "text": "x", "edit_history_tweet_ids": ["1445880548472328192"]}}
README = Path(errors_of_x.__file__).with_name("README.md")


def outcome(parent: Receipt | None = None, **given: Any) -> Receipt | DeliveryError:
    """What publishing comes to where X answers so."""
    with responses.RequestsMock() as net:
        net.post(POST, **given)
        destination = CONNECTOR.build(CONNECTOR.options(**SECRETS), Setting(name="brand", now=lambda: NOW))
        try:
            found: Receipt = destination.publish(message(), KEY, parent)
        except DeliveryError as error:
            assert len(net.calls) == 1
            return error
        return found


def problem(kind: str = "about:blank", detail: str = "", **more: Any) -> dict[str, Any]:
    return {"title": "Title", "detail": detail, "type": kind, **more}


def v1(code: int, text: str) -> dict[str, Any]:
    """A body as v1.1 had it, which X still gives."""
    return {"errors": [{"code": code, "message": text}]}


CLOUDFLARE = "<!DOCTYPE html><html><title>Just a moment...</title></html>"
P = "https://api.twitter.com/2/problems/"
PX = "https://api.x.com/2/problems/"
SPENT = {
    "title": "SpendCapReached",
    "detail": "Your enrolled account [2012982] has reached its billing cycle spend cap. API requests will be blocked until 2026-12-12.",
    "type": f"{PX}credits",
    "account_id": 2012982,
    "reset_date": "2026-12-12",
}
GONE = "You attempted to reply to a Tweet that is deleted or not visible to you."
SPAM = "To protect our users from spam and other malicious activity"

SINGLE: list[tuple[dict[str, Any], type, str]] = [
    ({"status": 201, "json": YES}, Receipt, ""),
    ({"status": 201, "json": {**YES, "errors": [{"detail": "a part"}]}}, Receipt, ""),
    ({"status": 201, "body": '{"data": {"id"'}, OutcomeUnknown, "201"),
    ({"status": 201, "body": ""}, OutcomeUnknown, "201"),
    ({"status": 201, "json": []}, OutcomeUnknown, "201"),
    ({"status": 201, "json": {"data": None}}, OutcomeUnknown, "201"),
    ({"status": 201, "json": {"data": {"id": 5}}}, OutcomeUnknown, "201"),
    ({"status": 200, "json": {"errors": [{"detail": "partial"}]}}, OutcomeUnknown, "200"),
    ({"status": 204}, OutcomeUnknown, "204"),
    ({"status": 302, "headers": {"Location": "https://evil.example/"}}, Rejected, "302"),
    ({"status": 400, "json": problem(P + "invalid-request", "bad")}, Rejected, "invalid-request"),
    ({"status": 400, "body": "<html>"}, Rejected, "400"),
    ({"status": 401, "json": problem(detail="Unauthorized")}, AuthFailed, "login"),
    ({"status": 401, "body": ""}, AuthFailed, "login"),
    ({"status": 401, "json": v1(89, "Invalid or expired token.")}, AuthFailed, "login"),
    ({"status": 400, "json": v1(215, "Bad Authentication data.")}, AuthFailed, "login"),
    ({"status": 401, "json": v1(135, "Timestamp out of bounds.")}, AuthFailed, "login"),
    ({"status": 402, "json": {"title": "CreditsDepleted", "type": PX + "credits"}}, AuthFailed, "credits"),
    ({"status": 402, "json": problem(PX + "credits-depleted", "credits depleted")}, AuthFailed, "credits"),
    ({"status": 403, "json": {"title": "CreditsDepleted", "type": P + "credits"}}, AuthFailed, "credits"),
    ({"status": 402, "body": ""}, AuthFailed, "credits"),
    ({"status": 403, "json": SPENT}, RateLimited, "spend_cap"),
    ({"status": 402, "json": SPENT}, RateLimited, "spend_cap"),
    ({"status": 403, "json": {**SPENT, "reset_date": None}}, AuthFailed, "spend_cap"),
    ({"status": 403, "json": {**SPENT, "reset_date": "soon"}}, AuthFailed, "spend_cap"),
    ({"status": 403, "json": {**SPENT, "reset_date": "9999-12-31"}}, AuthFailed, "spend_cap"),
    ({"status": 429, "json": problem(P + "usage-capped", "Usage cap exceeded: Monthly product cap")}, AuthFailed, "usage_cap"),
    (
        {"status": 429, "json": {"title": "UsageCapExceeded", "detail": "Usage cap exceeded: Daily product cap"}},
        RateLimited,
        "usage_cap_daily",
    ),
    ({"status": 403, "json": v1(185, "User is over daily status update limit.")}, RateLimited, "day_limit"),
    (
        {"status": 403, "json": problem(detail="You have reached your daily limit for sending Tweets and messages.")},
        RateLimited,
        "day_limit",
    ),
    ({"status": 429, "json": problem()}, RateLimited, "429"),
    ({"status": 429, "json": problem(PX + "rate-limit-exceeded", "Too many")}, RateLimited, "rate-limit-exceeded"),
    ({"status": 429, "headers": {"x-rate-limit-reset": "soon"}}, RateLimited, "429"),
    (
        {"status": 403, "json": problem(detail="Your account is suspended and is not permitted to access this feature.")},
        AuthFailed,
        "suspended",
    ),
    ({"status": 403, "json": v1(64, "Your account is suspended")}, AuthFailed, "suspended"),
    ({"status": 401, "json": v1(416, "Invalid / suspended application")}, AuthFailed, "suspended"),
    ({"status": 403, "json": v1(326, f"{SPAM}, this account is temporarily locked. Please log in.")}, AuthFailed, "locked"),
    ({"status": 403, "json": problem(detail=f"This request looks like it might be automated. {SPAM}, we can't")}, AuthFailed, "automated"),
    ({"status": 403, "json": v1(226, "no")}, AuthFailed, "automated"),
    ({"status": 403, "json": problem(P + "oauth1-permissions", "no write")}, AuthFailed, "no_write"),
    ({"status": 401, "json": {"errors": [{"message": "Read-only application cannot POST."}]}}, AuthFailed, "no_write"),
    ({"status": 403, "json": problem(detail="No"), "headers": {"x-access-level": "read"}}, AuthFailed, "no_write"),
    ({"status": 403, "json": problem(detail="No"), "headers": {"x-access-level": "read-write"}}, Rejected, "403"),
    (
        {"status": 403, "json": problem(P + "client-forbidden", "attach the app", reason="client-not-enrolled")},
        AuthFailed,
        "client-forbidden",
    ),
    ({"status": 403, "json": problem(detail="x", reason="client-not-enrolled")}, AuthFailed, "403"),
    ({"status": 403, "json": problem(P + "unsupported-authentication", "app-only")}, AuthFailed, "unsupported-authentication"),
    ({"status": 403, "json": v1(453, "You currently have access to a subset of X API V2 endpoints")}, AuthFailed, "403"),
    ({"status": 403, "json": problem(P + "not-authorized-for-resource", "no")}, AuthFailed, "not-authorized-for-resource"),
    ({"status": 403, "json": problem(detail="You are not allowed to create a Tweet with duplicate content.")}, Duplicate, "duplicate"),
    ({"status": 403, "json": v1(187, "Status is a duplicate.")}, Duplicate, "duplicate"),
    ({"status": 403, "json": problem(detail=GONE)}, HeadGone, "parent_gone"),
    ({"status": 403, "json": v1(433, "The original Tweet author restricted who can reply to this Tweet.")}, Rejected, "reply_not_allowed"),
    ({"status": 403, "json": problem(detail="Reply to this conversation is not allowed because you")}, Rejected, "reply_not_allowed"),
    ({"status": 403, "json": problem(detail="Posts are limited to a maximum of one cashtag.")}, Rejected, "cashtags"),
    ({"status": 403, "json": {"errors": [{"message": "Tweet needs to be a bit shorter. (186)"}]}}, Rejected, "length"),
    ({"status": 400, "json": {"errors": [{"message": "Your media IDs are invalid."}]}}, Rejected, "media"),
    ({"status": 400, "json": v1(407, "The given URL is invalid.")}, Rejected, "link"),
    ({"status": 403, "json": problem(detail="You are not permitted to perform this action.")}, Rejected, "not_permitted"),
    ({"status": 400, "json": problem(PX + "disallowed-resource", "no")}, Rejected, "disallowed-resource"),
    ({"status": 400, "json": problem(PX + "field-unauthorized", "no", field="x")}, Rejected, "field-unauthorized"),
    ({"status": 409, "json": problem(PX + "streaming-connection", "no")}, Rejected, "streaming-connection"),
    ({"status": 403, "json": {"title": "Forbidden", "detail": "Forbidden", "type": "about:blank", "status": 403}}, AuthFailed, "forbidden"),
    ({"status": 403, "json": {}}, AuthFailed, "forbidden"),
    ({"status": 403, "json": []}, AuthFailed, "forbidden"),
    ({"status": 403, "json": problem(detail="Something new about this text.")}, Rejected, "403"),
    ({"status": 403, "body": CLOUDFLARE, "content_type": "text/html"}, Transient, "edge"),
    ({"status": 403, "body": ""}, Transient, "edge"),
    ({"status": 404, "body": "<html>"}, Transient, "edge"),
    ({"status": 404, "json": problem()}, Rejected, "404"),
    ({"status": 404, "json": problem(PX + "resource-not-found", "no")}, Rejected, "resource-not-found"),
    ({"status": 408}, OutcomeUnknown, "408"),
    ({"status": 409}, Rejected, "409"),
    ({"status": 500, "json": problem(PX + "internal-error")}, OutcomeUnknown, "internal-error"),
    ({"status": 500, "json": []}, OutcomeUnknown, "500"),
    ({"status": 502, "body": "<html>"}, OutcomeUnknown, "502"),
    ({"status": 503, "body": "null"}, OutcomeUnknown, "503"),
    ({"status": 504}, OutcomeUnknown, "504"),
]


@pytest.mark.parametrize(("given", "kind", "code"), SINGLE, ids=lambda value: ascii(value)[:60])
def test_what_an_answer_means(given: dict[str, Any], kind: type, code: str) -> None:
    found = outcome(**given)
    assert type(found) is kind, found
    assert isinstance(found, Receipt) or found.code == code


@pytest.mark.parametrize(
    "given",
    [
        {"status": 403, "json": problem(detail=GONE)},
        {"status": 403, "json": v1(385, "gone")},
        {"status": 403, "json": problem(detail=GONE.replace("Tweet", "Post"))},
        {"status": 404, "json": v1(144, "No status found with that ID.")},
        {"status": 404, "json": problem(PX + "resource-not-found", "Could not find tweet with in_reply_to_tweet_id: [5].")},
        {"status": 403, "json": problem(PX + "not-authorized-for-resource", "Sorry, you are not authorized to see the Tweet")},
        {"status": 404, "json": problem()},
    ],
    ids=lambda given: ascii(given)[:60],
)
def test_a_reply_to_what_is_gone_says_so(given: dict[str, Any]) -> None:
    found = outcome(Receipt(remote_id="5"), **given)
    assert type(found) is HeadGone
    assert found.code == "parent_gone"


def test_replies_may_be_refused_for_other_reasons() -> None:
    for body in (problem(detail="You are not permitted to perform this action."), problem(PX + "invalid-request", "x")):
        found = outcome(Receipt(remote_id="5"), status=403, json=body)
        assert isinstance(found, Rejected)
        assert found.code != "parent_gone"


# --- X's words --------------------------------------------------------------------------------


def test_all_that_x_says_reaches_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_hidden", ())  # what other tests hid may stand in these words
    found = meaning(403, {}, problem(detail="You are not allowed to create a Tweet with duplicate content."), NOW)
    assert str(found) == "HTTP 403 Title; You are not allowed to create a Tweet with duplicate content."
    told = str(meaning(403, {}, problem(P + "client-forbidden", "one", reason="two", errors=[{"message": "three"}]), NOW))
    assert told == (
        "the app may not do this (see its access in the Developer Console): HTTP 403 Title; one; three "
        "(two, https://api.twitter.com/2/problems/client-forbidden)"
    )
    told = str(meaning(403, {}, SPENT, NOW))
    assert "spend cap. API requests will be blocked until 2026-12-12." in told
    assert "reset_date 2026-12-12" in told
    assert meaning(402, {}, {"title": "CreditsDepleted"}, NOW).code == "credits"
    assert meaning(400, {}, {"errors": ["odd"], "title": 5}, NOW).code == "400"


def test_words_are_bounded_and_one_line() -> None:
    hostile = {"title": "a\nb" * 5000, "detail": "c\r\n" * 5000, "type": "t" * 9000, "reason": "r" * 9000, "reset_date": "d" * 9000}
    told = str(meaning(403, {}, hostile, NOW))
    assert len(told) <= 600
    assert "\n" not in told
    assert "\r" not in told
    assert len(meaning(403, {}, hostile, NOW).code) < 60


# --- until when -------------------------------------------------------------------------------


def ends(status: int, body: Any = None, **headers: str) -> datetime:
    found = meaning(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, NOW)
    assert isinstance(found, RateLimited), found
    return found.until


def at(**later: float) -> str:
    return str(int((NOW + timedelta(**later)).timestamp()))


def test_the_latest_instant_that_applies_wins() -> None:
    window, day = {"x_rate_limit_reset": at(seconds=60)}, {"x_user_limit_24hour_reset": at(hours=2)}
    assert ends(429, **window) == NOW + timedelta(seconds=60)
    assert ends(429, **window, **day, x_user_limit_24hour_remaining="0") == NOW + timedelta(hours=2)
    assert ends(429, **window, **day, x_user_limit_24hour_remaining="5") == NOW + timedelta(seconds=60)
    assert ends(429, x_app_limit_24hour_reset=at(hours=2), x_app_limit_24hour_remaining="0") == NOW + timedelta(hours=2)
    assert ends(429, Retry_After="90") == NOW + timedelta(seconds=90)
    assert ends(429, **window, Retry_After="90") == NOW + timedelta(seconds=90)
    assert ends(429, **window, Retry_After="30") == NOW + timedelta(seconds=60)
    assert ends(429, {"reset_date": "2026-11-25"}, **window) == datetime(2026, 11, 26, tzinfo=timezone.utc)
    for odd in (
        {},
        {"x_rate_limit_reset": "soon"},
        {"x_rate_limit_reset": "9" * 30},
        {"x_rate_limit_reset": "-5"},
        {"Retry_After": "soon"},
    ):
        assert ends(429, **odd) == NOW + timedelta(minutes=15)


@pytest.mark.parametrize(
    ("said", "until"),
    [
        ("2026-12-12", datetime(2026, 12, 13)),  # a day is over at its end
        ("2026-11-22", datetime(2026, 11, 23)),
        ("2026-12-31", datetime(2027, 1, 1)),
        ("2028-02-29", None),  # too far to be believed
        ("2026-12-12T08:00:00Z", datetime(2026, 12, 12, 8)),
        ("2026-12-12T08:00:00.000Z", datetime(2026, 12, 12, 8)),
        ("2026-12-12T08:00:00+02:00", datetime(2026, 12, 12, 6)),
        ("2026-12-12 08:00:00", datetime(2026, 12, 12, 8)),
        (int(datetime(2026, 12, 12, tzinfo=timezone.utc).timestamp()), datetime(2026, 12, 12)),
        ("2026-11-20", datetime(2026, 11, 22, 13)),  # behind us: an hour
        ("2026-11-22T11:59:59Z", datetime(2026, 11, 22, 13)),
        (True, None),
        ("12/12/2026", None),
        ([], None),
    ],
)
def test_a_reset_date(said: Any, until: datetime | None) -> None:
    found = meaning(403, {"x-rate-limit-reset": at(seconds=60)}, {**SPENT, "reset_date": said}, NOW)
    if until is None:
        assert type(found) is AuthFailed
    else:
        assert isinstance(found, RateLimited)
        assert found.until == until.replace(tzinfo=timezone.utc)
        assert found.scope == "destination"


def test_an_account_state_waits_for_its_own_instant_only() -> None:
    """Every answer carries x-rate-limit-reset, which says when requests are counted anew, not when there is credit."""
    window = {"x_rate_limit_reset": at(seconds=60)}
    assert ends(403, SPENT, **window) == datetime(2026, 12, 13, tzinfo=timezone.utc)
    assert ends(403, {**SPENT, "reset_date": None}, Retry_After="600", **window) == NOW + timedelta(minutes=10)
    capped = problem(P + "usage-capped", "Usage cap exceeded: Monthly product cap", period="Monthly", scope="Product")
    assert type(meaning(429, {"x-rate-limit-reset": at(seconds=60)}, capped, NOW)) is AuthFailed
    assert ends(429, {**capped, "reset_date": "2026-12-01"}, **window) == datetime(2026, 12, 2, tzinfo=timezone.utc)
    assert ends(429, capped, x_app_limit_24hour_reset=at(hours=3), **window) == NOW + timedelta(hours=3)
    assert ends(429, {**capped, "detail": "Usage cap exceeded: Daily product cap"}, **window) == NOW + timedelta(hours=24)
    daily = v1(185, "User is over daily status update limit.")
    assert ends(403, daily, **window) == NOW + timedelta(hours=1)
    assert ends(403, daily, x_user_limit_24hour_reset=at(hours=5), x_user_limit_24hour_remaining="0") == NOW + timedelta(hours=5)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
BODY = st.fixed_dictionaries({}, optional=dict.fromkeys(("title", "detail", "type", "reason", "errors", "reset_date", "code"), JSON)) | JSON
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "x-rate-limit-reset", "x-app-limit-24hour-reset", "x-app-limit-24hour-remaining", "x-access-level"]),
    st.text(max_size=12) | st.integers(-5, 10**12).map(str),
)


@settings(max_examples=examples(300))
@given(st.integers(100, 599), HEADERS, BODY, st.booleans())
@example(403, {}, {"errors": [{"type": [], "code": True}], "reset_date": "0001-01-01"}, True)
@example(403, {}, {"title": "SpendCapReached", "reset_date": "9999-12-31"}, False)
@example(429, {"Retry-After": "999999999"}, {"reset_date": -1}, False)
def test_any_answer_has_a_meaning(status: int, headers: dict[str, str], body: Any, reply: bool) -> None:
    """One bounded line, and never an instant that nobody believes."""
    found = meaning(status, headers, body, NOW, reply=reply)
    assert 0 < len(str(found)) <= 600
    assert len(found.code) < 60
    if isinstance(found, RateLimited):
        assert found.until - NOW < timedelta(days=400)
        assert found.until.tzinfo is not None
    if status >= 500 or 200 <= status < 300:
        assert type(found) is OutcomeUnknown
    if 400 <= status < 500 and status != 408:
        assert type(found) is not OutcomeUnknown


# --- nothing is left to chance ----------------------------------------------------------------

# https://docs.x.com/x-api/fundamentals/response-codes-and-errors, the OpenAPI description 2.167 (read 2026-11-30) and its
# earlier editions.
PROBLEMS = {
    *("invalid-request", "resource-not-found", "not-authorized-for-resource", "client-forbidden", "usage-capped", "rate-limit-exceeded"),
    *("streaming-connection", "rule-cap", "invalid-rules", "duplicate-rules", "disallowed-resource", "field-hydration-failure"),
    *("field-unauthorized", "internal-error", "not-authorized-for-field", "resource-unavailable", "unsupported-authentication"),
    *("operational-disconnect", "client-disconnected", "oauth1-permissions", "credits", "credits-depleted"),
}
BY_STATUS = {"rate-limit-exceeded", "internal-error"}


def test_every_problem_type_of_x_is_mapped_on_purpose() -> None:
    named = frozenset().union(*(row.names for row in TABLE))
    assert named >= PROBLEMS - BY_STATUS
    for kind in PROBLEMS:
        assert f"`{kind}`" in answers_table() or f"problems/{kind}`" in answers_table() or kind in ("credits-depleted",), kind


def test_every_row_can_be_reached() -> None:
    """No row stands behind one that takes all it fits."""
    reached: set[int] = set()
    answers = [(given, None) for given, kind, _ in SINGLE if kind is not Receipt]
    replies: list[Any] = [{"status": 404, "json": problem(PX + "resource-not-found")}, {"status": 404, "json": {}}]
    seen: list[Row] = []
    original = errors_of_x._error

    def spy(row: Row, *args: Any) -> DeliveryError:
        seen.append(row)
        return original(row, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(errors_of_x, "_error", spy)
        for given, parent in [*answers, *((one, Receipt(remote_id="5")) for one in replies)]:
            outcome(parent, **given)
    reached = {TABLE.index(row) for row in seen}
    assert reached == set(range(len(TABLE))), [TABLE[index].seen for index in range(len(TABLE)) if index not in reached]


def test_only_what_is_about_the_message_is_a_dead_letter() -> None:
    for row in TABLE:
        if row.then is Then.PAUSE or row.then is Then.WAIT:
            assert row.says or row.status == {429}, row.seen  # people read why
    states = {"spend_cap", "credits", "usage_cap", "usage_cap_daily", "day_limit", "locked", "suspended", "automated", "no_write", "login"}
    assert {row.then for row in TABLE if row.code in states} <= {Then.PAUSE, Then.WAIT}


def answers_table() -> str:
    """The table as README.md has it."""
    lines = []
    for row in TABLE:
        then = row.then.value
        if row.then is Then.WAIT:
            otherwise = show_duration(row.otherwise) if row.otherwise else "a pause"
            then = f"wait until {'; '.join(row.until)}; else {otherwise}"
        lines.append(f"| {row.seen} | {then} | {f'`{row.code}`' if row.code else 'X’s own'} |")
    return "\n".join(["| X answers | what happens | code |", "| --- | --- | --- |", *lines])


def test_the_readme_shows_the_table() -> None:
    begin, end = "<!-- answers: begin -->\n", "\n<!-- answers: end -->"
    shown = README.read_text("utf-8").partition(begin)[2].partition(end)[0]
    assert shown == answers_table(), f"put this between the marks:\n{answers_table()}"


def test_the_dead_are_listed_nowhere_else() -> None:
    """One table: no other module of the connector reads X's words."""
    folder = README.parent
    for file in folder.glob("*.py"):
        if file.name != "answers.py":
            words = " ".join(
                node.value
                for node in ast.walk(ast.parse(file.read_text("utf-8")))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            )
            assert not re.search(r"deleted or not visible|duplicate content|CreditsDepleted", words), file.name
