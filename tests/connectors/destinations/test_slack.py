"""Slack: what is sent, what each answer means, and that a record can only ever be text."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shared import examples

from connectors.destinations.slack import CONNECTOR
from connectors.destinations.slack.destination import LENGTH, body
from connectors.destinations.slack.errors import CODES
from connectors.destinations.slack.escape import ZW, mrkdwn
from connectors.destinations.slack.layout import flattened
from crmbridge.contract import Setting
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.http import classify
from crmbridge.model import Channel, Literal, Receipt, Value, shortened, spans, visible
from crmbridge.testing import message

POST = "https://slack.com/api/chat.postMessage"
TEST = "https://slack.com/api/auth.test"
KEY = "0123456789abcdef0123456789abcdef"
OPTIONS = CONNECTOR.options(token="xoxb-a-token-of-slack")


def slack() -> Any:
    return CONNECTOR.build(OPTIONS, Setting(name="wins"))


def outcome(**answer: Any) -> Receipt | DeliveryError:
    """What publishing comes to where Slack answers so."""
    with responses.RequestsMock() as net:
        net.post(POST, **answer)
        try:
            found: Receipt = slack().publish(message(), KEY, None)
        except DeliveryError as error:
            assert len(net.calls) == 1
            return error
        return found


# --- requests ---------------------------------------------------------------------------------


def test_a_message_as_slack_takes_it() -> None:
    with responses.RequestsMock() as net:
        net.post(POST, json={"ok": True, "channel": "C9", "ts": "1503435956.000247"})
        receipt = slack().publish(message(link="https://crm.example/a?b=1&c=2"), KEY, Receipt(remote_id="150.1"))
        sent = net.calls[0].request
    assert receipt == Receipt(remote_id="1503435956.000247", url=None, extra={"channel": "C9"})
    assert sent.headers["Authorization"] == "Bearer xoxb-a-token-of-slack"
    assert sent.headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(sent.body) == {
        "channel": "C012345",
        "text": "Welcome, Parkers!\n<https://crm.example/a?b=1&amp;c=2|Open in CRM>",
        "mrkdwn": True,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "thread_ts": "150.1",
        "metadata": {"event_type": "crmbridge", "event_payload": {"key": KEY}},
    }


def test_the_channel_is_the_steps_or_the_destinations() -> None:
    options = CONNECTOR.options(token="t", channel="#wins", unfurl=True)
    assert body(message(channel=None), KEY, None, options)["channel"] == "#wins"
    assert body(message(channel=Channel("#x")), KEY, None, options)["channel"] == "#x"
    assert body(message(), KEY, None, options)["unfurl_links"] is True
    with pytest.raises(Rejected, match="no channel"):
        body(message(channel=None), KEY, None, OPTIONS)


def test_the_limit_is_measured_as_sent() -> None:
    assert slack().measure((Value("&" * 10),)) == 50
    with pytest.raises(Rejected, match="40005"):
        body(message(Value("&" * 8001)), KEY, None, OPTIONS)
    link = "https://crm.example/"
    room = LENGTH - len(mrkdwn((), link))
    assert body(message(Literal("x" * room), link=link), KEY, None, OPTIONS)
    with pytest.raises(Rejected):
        body(message(Literal("x" * (room + 1)), link=link), KEY, None, OPTIONS)


@pytest.mark.parametrize("url", ["https://slack-gov.com/api", "https://slack-gov.com/api/"])
def test_another_address(url: str) -> None:
    assert CONNECTOR.options(token="t", api_url=url).api_url == "https://slack-gov.com/api/"
    with pytest.raises(ValueError):
        CONNECTOR.options(token="t", api_url="slack-gov.com")


# --- answers ----------------------------------------------------------------------------------


def test_every_code_that_slack_lists_is_classified(vectors: Path) -> None:
    listed: set[str] = set()
    for name in (
        *(f"{folder}/chat.{method}.json" for folder in ("methods", "docs.slack.dev") for method in ("postMessage", "update", "delete")),
        *(f"methods/{method}.json" for method in ("auth.test", "conversations.history", "conversations.replies")),
    ):
        listed |= set(json.loads((vectors / "slack-api-ref" / name).read_text(encoding="utf-8"))["errors"])
    assert len(listed) > 90
    assert listed - set(CODES) == set()


def test_a_code_stands_in_one_class() -> None:
    from connectors.destinations.slack import errors

    words = [
        code
        for name, codes in vars(errors).items()
        if name in ("_TRANSIENT", "_LIMITED", "_AUTH", "_REJECTED", "_UNKNOWN")
        for code in codes.split()
    ]
    assert len(words) == len(set(words)) == len(CODES)


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_refusal_by_code(code: str) -> None:
    found = outcome(json={"ok": False, "error": code})
    assert type(found) is CODES[code]
    assert isinstance(found, DeliveryError)
    assert found.code == code
    assert code in str(found)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            {"error": "missing_scope", "needed": "chat:write", "provided": "users:read"},
            "missing_scope: needed: chat:write; provided: users:read",
        ),
        (
            {
                "error": "invalid_blocks",
                "errors": ["must be less than 151 characters [json-pointer:/blocks/0/text]"],
                "response_metadata": {"messages": ["[ERROR] must be less than 151 characters [json-pointer:/blocks/0/text]"]},
            },
            "invalid_blocks: must be less than 151 characters [json-pointer:/blocks/0/text]; [ERROR] must be",
        ),
        ({"error": "invalid_metadata_format", "errors": [{"code": "bad", "pointer": "/x"}]}, "invalid_metadata_format: bad /x"),
        ({"error": "invalid_blocks", "errors": ["a\n\x1b[31m \u202eb"] * 3}, "invalid_blocks: a [31m b"),
        ({"error": "invalid_blocks", "errors": 5, "response_metadata": {"messages": [7, None]}}, "Slack refused: invalid_blocks"),
    ],
)
def test_slacks_own_words_reach_people(answer: dict[str, Any], words: str) -> None:
    assert words in str(outcome(json={"ok": False, **answer}))


def test_slacks_own_words_are_bounded_and_hold_no_secret() -> None:
    long = [f"{number} xoxb-a-token-of-slack {'x' * 10_000}" for number in range(100)]
    found = str(outcome(json={"ok": False, "error": "invalid_blocks", "errors": long}))
    assert len(found) < 1200
    assert "xoxb" not in found
    assert "0 *** xxx" in found


def test_codes_that_must_not_be_mistaken() -> None:
    assert CODES["fatal_error"] is CODES["internal_error"] is OutcomeUnknown
    assert CODES["invalid_auth"] is CODES["missing_scope"] is AuthFailed
    assert CODES["channel_not_found"] is CODES["msg_too_long"] is Rejected
    assert CODES["service_unavailable"] is CODES["request_timeout"] is Transient
    assert CODES["update_failed"] is OutcomeUnknown
    assert CODES["external_channel_migrating"] is Transient
    assert CODES["edit_window_closed"] is CODES["message_not_found"] is Rejected


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"json": {"ok": False, "error": "a_code_from_next_year"}}, Rejected),
        ({"json": {"ok": False}}, OutcomeUnknown),
        ({"json": {"ok": True}}, OutcomeUnknown),
        ({"json": {"ok": "true", "ts": "1"}}, OutcomeUnknown),
        ({"json": []}, OutcomeUnknown),
        ({"body": "null"}, OutcomeUnknown),
        ({"body": "<html>"}, OutcomeUnknown),
        ({"body": b'{"ok": tr'}, OutcomeUnknown),
        ({"body": b"\xff\xfe"}, OutcomeUnknown),
        ({"status": 500, "json": {"ok": False, "error": "channel_not_found"}}, OutcomeUnknown),
        ({"status": 503, "body": "<html>"}, OutcomeUnknown),
        ({"status": 408}, OutcomeUnknown),
        ({"status": 400, "json": {"ok": False, "error": "invalid_auth"}}, AuthFailed),
        ({"status": 400}, Rejected),
        ({"status": 401}, AuthFailed),
        ({"status": 403, "body": "<html>"}, AuthFailed),
        ({"status": 404}, Rejected),
        ({"status": 302, "headers": {"Location": "https://evil.example/"}}, Rejected),
    ],
)
def test_other_answers(answer: dict[str, Any], kind: type[DeliveryError]) -> None:
    assert type(outcome(**answer)) is kind


def test_the_wait_is_slacks_own() -> None:
    now = datetime.now(timezone.utc)
    for answer, seconds in [
        ({"status": 429, "headers": {"Retry-After": "30"}, "json": {"ok": False, "error": "ratelimited"}}, 30),
        ({"status": 429, "headers": {"Retry-After": "3600"}, "body": "<html>"}, 3600),
        ({"status": 429}, 30),
        ({"json": {"ok": False, "error": "rate_limited"}}, 30),
        ({"json": {"ok": False, "error": "message_limit_exceeded"}}, 3600),
    ]:
        found = outcome(**answer)
        assert isinstance(found, RateLimited)
        assert abs(found.until - now - timedelta(seconds=seconds)) < timedelta(seconds=5)
        assert found.scope == "destination"


def test_a_lost_connection_before_sending_is_transient() -> None:
    with responses.RequestsMock() as net:
        net.post(POST, body=requests.ConnectionError("refused"))
        with pytest.raises(Transient):
            slack().publish(message(), KEY, None)
    assert isinstance(classify(requests.ReadTimeout(), True), OutcomeUnknown)


def test_a_token_that_cannot_be_read_pauses() -> None:
    destination = CONNECTOR.build(CONNECTOR.options(token={"file": "/no/such/file"}), Setting(name="wins"))
    with pytest.raises(AuthFailed, match="/no/such/file"):
        destination.publish(message(), KEY, None)


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({}, None),
        ({"x-oauth-scopes": "identify,chat:write"}, None),
        ({"x-oauth-scopes": "chat:write.public, users:read"}, "chat:write"),
        ({"x-oauth-scopes": ""}, "chat:write"),
    ],
)
def test_check(headers: dict[str, str], problem: str | None) -> None:
    with responses.RequestsMock() as net:
        net.post(TEST, json={"ok": True, "team": "T"}, headers=headers)
        if problem is None:
            slack().check()
        else:
            with pytest.raises(AuthFailed, match=problem):
                slack().check()


def test_check_names_a_bad_token() -> None:
    with responses.RequestsMock() as net:
        net.post(TEST, json={"ok": False, "error": "invalid_auth"})
        with pytest.raises(AuthFailed, match="does not know this token"):
            slack().check()


# --- escaping ---------------------------------------------------------------------------------

ANGLE = re.compile(r"<([^<>\s][^<>]*)>")
EMOJI = re.compile(r":(?=([^\s:<>&|¤]+):)")  # looking ahead: what is no emoji may end where one begins
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s<>|]+")
AT = re.compile(r"(?<![A-Za-z0-9])[@#](?=[^\W\d])\w+")
LINE = re.compile(r"^[ \t]*(?:&gt;|>|[-+*•◦▪‣⁃](?=\s|$)|\d+[.)](?=\s|$))", re.MULTILINE)


def marks(sent: str) -> list[tuple[str, str]]:
    """Everything Slack could make more of than text, read as generously as can be. Independent of escape.py."""
    found = [("angle", inner) for inner in ANGLE.findall(sent)]
    outside = ANGLE.sub("¤", sent)
    found += [("emoji", name) for name in EMOJI.findall(outside) if ZW not in name]
    found += [("link", url) for url in SCHEME.findall(outside)]
    found += [("at", name) for name in AT.findall(outside)]
    found += [("line", mark) for mark in LINE.findall(outside)]
    found += [("code", "`")] * outside.count("`")
    for mark in "*_~":  # a delimiter is one that touches no letter or digit on one of its sides
        found += [("format", mark)] * len(re.findall(rf"(?<![A-Za-z0-9]){re.escape(mark)}|{re.escape(mark)}(?![A-Za-z0-9])", outside))
    return sorted(found)


def own_marks(*text: Literal | Value) -> list[tuple[str, str]]:
    """Those of the rule's own words: each value is a letter between two zero-width spaces."""
    words = (span if isinstance(span, Literal) else Literal(f"{ZW}x{ZW}" if visible(span.text) else "") for span in text)
    return marks(mrkdwn(tuple(words)))


ATTACKS = [
    "<!channel>",
    "<!here|here>",
    "<!everyone>",
    "<@U012AB3CD>",
    "<#C012|x>",
    "<!subteam^S0|team>",
    "<https://evil.example|Log in>",
    "<mailto:a@b.c|x>",
    "<!date^1^{date}^https://evil.example|x>",
    "&lt;!channel&gt;",
    "&amp;lt;!channel&amp;gt;",
    "& < >",
    "<",
    ">",
    "|",
    "|>",
    "!channel",
    "@U012AB3CD",
    "@here",
    "@channel now",
    "#general",
    "x @everyone",
    "*bold*",
    "_it_",
    "~no~",
    "`code`",
    "```\nblock\n```",
    " *a* ",
    "*",
    "_",
    "~",
    "`",
    "* ",
    " *",
    ":tada:",
    ":+1:",
    "::",
    ":a:b:",
    ":smile::tada:",
    ":はい:",
    "http://evil.example",
    "https://evil.example/x?y=z",
    "ftp://a",
    "javascript://x",
    "a://b",
    "> quote",
    ">>> quote",
    "\n> quote",
    "\n\n - a\n - b",
    "- item",
    "* item",
    "• item",
    "1. one",
    "2) two",
    "  > x",
    "x\n",
    "x\r\n> y",
    "\u2028> y",
    "https:",
    ":",
    "tada:",
    ":tada",
    "@",
    "#",
    "here",
    "\u202e>lennahc!<",
    "<\u200b!channel>",
    "＠here",
    "a*b*c",
    "*b*c",
    "snake_case_name",
    "_private",
    "12:30:45",
    "100%",
    "{{ x }}",
    "\\*a\\*",
]
CONTEXTS: list[tuple[str, str]] = [
    ("", ""),
    ("Hello ", "!"),
    ("*", "*"),
    ("_", "_"),
    ("`", "`"),
    (":", ":"),
    ("x:", ":y"),
    ("(", ")"),
    ("a", "b"),
    ("line\n", "\n"),
    ("", "> q"),
    ("5 < 6 ", " > 4"),
    ("@", " ok"),
    ("#", "x"),
    ("<https://crm.example/", "|Open>"),
    ("https://crm.example/a/", "/view"),
    ("<!here> ", " <@U1>"),
    ("Name: ", " :tada:"),
    ("- ", "\n- x"),
    ("&", ";"),
    ("&l", "t;"),
    ("", "here"),
    ("", "//x"),
    ("", ":"),
    ("a\n\n", ""),
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_becomes_more_than_text(attack: str) -> None:
    for before, after in CONTEXTS:
        check_marks(Literal(before), Value(attack), Literal(after))


def check_marks(*text: Literal | Value) -> None:
    sent = mrkdwn(text)
    expected = own_marks(*text)
    found = marks(sent)
    # A link that the rule began goes on with the record's words, encoded: compare what kind of thing is there.
    if any("crm.example" in span.text for span in text if isinstance(span, Literal)):
        assert [kind for kind, _ in found] == [kind for kind, _ in expected], sent
        assert all("crm.example" in value for kind, value in found if kind == "link")
    else:
        assert found == expected, sent


PIECES = st.text(alphabet="<>!@#|&;*_~`:/\n -.1ahere\u200b\u202e", max_size=12)


@settings(max_examples=examples(600))
@given(PIECES, st.sampled_from(CONTEXTS), PIECES)
@example("a:", ("", "b:"), "")
@example("x\n", ("", "> 5"), "")
def test_no_record_becomes_more_than_text(first: str, context: tuple[str, str], second: str) -> None:
    before, after = context
    check_marks(Literal(before), Value(first), Literal(after))
    check_marks(Value(first), Value(second), Literal(after))
    check_marks(Literal(before), Value(first), Literal(" and "), Value(second))


def emoji(sent: str) -> list[str]:
    """Everything that plain_text could make more of than text."""
    return [name for name in EMOJI.findall(sent) if ZW not in name]


WORDS = st.one_of(PIECES, st.sampled_from(ATTACKS), st.tuples(st.sampled_from(ATTACKS), PIECES).map("".join))
VALUES = st.builds(Value, WORDS, st.booleans())
# A blank between, or a value could end where the rule's own delimiter begins: that is no delimiter then, and nothing is lost.
PARTS = st.lists(st.tuples(st.sampled_from(CONTEXTS), st.lists(VALUES, min_size=1, max_size=2), st.sampled_from(" \n")), max_size=3).map(
    lambda found: [part for (before, after), values, blank in found for part in (Literal(before), *values, Literal(after + blank))]
)


def stays_text(parts: list[Literal | Value], room: float) -> None:
    """Whole, shortened to `room` of its length, and in a layout: the marks are those of the rule's own words."""
    text = spans(parts)
    limit = int(len(mrkdwn(text)) * room)
    short = shortened(text, lambda one: len(mrkdwn(one)) <= limit)
    assert [span for span in short if isinstance(span, Literal)] == [span for span in text if isinstance(span, Literal)]
    for said in {text, short}:
        check_marks(*said)
        if not any(visible(span.text) for span in said):
            continue
        layout = [{"type": "context", "elements": [{"type": kind, "text": said} for kind in ("mrkdwn", "plain_text")]}]
        formatted, plain = (one["text"] for one in flattened(layout)[0]["elements"])
        assert formatted == mrkdwn(said)
        own = "".join(span.text if isinstance(span, Literal) else f"{ZW}x{ZW}" if visible(span.text) else "" for span in said)
        assert emoji(plain) == emoji(own), plain


@settings(max_examples=examples(300))
@given(PARTS, st.floats(0, 1))
def test_shortened_or_laid_out_it_is_text(parts: list[Literal | Value], room: float) -> None:
    stays_text(parts, room)


@pytest.mark.long
@pytest.mark.timeout(1200)
@settings(max_examples=10_000)
@given(PARTS, st.floats(0, 1))
def test_shortened_or_laid_out_it_is_text_ten_thousand_times(parts: list[Literal | Value], room: float) -> None:
    stays_text(parts, room)


@pytest.mark.parametrize("context", ["<", "<@", "<!", "<#", "<!subteam^", "<!date^1^", "<!date^1^{date} ", "<https://", "<mailto:"])
@pytest.mark.parametrize(
    "attack", ["!channel", "@U012AB", "U012AB", "channel", "^https://evil.example", "https://evil.example", "evil.example/", "S1|x"]
)
def test_the_address_part_is_not_the_records(context: str, attack: str) -> None:
    (inner,) = ANGLE.findall(mrkdwn((Literal(context), Value(attack), Literal(">"))))
    assert inner.startswith(context[1:] + ZW)
    assert not set(inner[len(context) :]) & set("^|:/!@ ")


@pytest.mark.parametrize(
    "text",
    [
        "Parkers und Söhne",
        "ann.lee@example.com",
        "snake_case_name",
        "5*3",
        "Total: 12 (net)",
        "a/b",
        "10:30",
        "re: x",
        "C#",
        "$5 - 6",
        "שלום",
        "👩‍🚀 ok",
        "https",
        "Booking.com",
        "3 - 4",
        "No. 1. x",
        "100%",
        "O'Neil",
        "x: y: z",
        "a@b",
        "Order #4711",
    ],
)
def test_ordinary_words_pass_untouched(text: str) -> None:
    assert mrkdwn((Literal("Hello "), Value(text), Literal("!"))) == f"Hello {text}!"


def test_the_rules_words_pass_as_written() -> None:
    own = "<!here> *bold* _it_ `x` <https://a.example|A> :tada: > &lt; &amp; <@U1>"
    assert mrkdwn((Literal(own),)) == own
    assert mrkdwn((Literal("R&D &copy; &"),)) == "R&amp;D &amp;copy; &amp;"
    assert mrkdwn((Literal("*"), Value("Parkers"), Literal("*"))) == "*Parkers*"
    assert mrkdwn((Literal("<https://a.example/x?id="), Value("a b|c>"), Literal("|Open>"))) == "<https://a.example/x?id=a%20b%7Cc%3E|Open>"
    assert mrkdwn((Literal("<https://a.example/x|"), Value("A > B"), Literal(">"))) == "<https://a.example/x|A &gt; B>"


def test_what_people_see_is_what_the_record_says() -> None:
    """Undoing the escapes and the look-alikes gives the words back."""
    back = str.maketrans({"∗": "*", "ˍ": "_", "∼": "~", "ˋ": "`", ZW: None})
    for attack in ATTACKS:
        if attack.isascii():
            shown = mrkdwn((Value(attack),)).translate(back).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
            assert shown == attack.replace("\r\n", "\n")


def test_a_hostile_link_cannot_break_out() -> None:
    sent = mrkdwn((Literal("x"),), "https://a.example/|Log in>\n<!channel>&lt;")
    assert ANGLE.findall(sent) == ["https://a.example/%7CLog%20in%3E%0A%3C!channel%3E&amp;lt;|Open in CRM"]
    with pytest.raises(Rejected):
        mrkdwn((Literal("x"),), "javascript:alert(1)")


def test_hostile_text_takes_no_time() -> None:
    import time

    for piece in ("<", ":a", "@", "*", "\n", " ", "_ ", ":", "https://a/", "\n>", "&"):
        began = time.process_time()
        for text in [(Value(piece * 50_000),), (Literal(piece * 50_000), Value("x"))]:
            mrkdwn(text)
        assert time.process_time() - began < 2, piece
