"""A rule's layout on Slack: where a record's words may stand, as what, and how long."""

from __future__ import annotations

import json
from typing import Any

import pytest
import responses

from connectors.destinations.slack import CONNECTOR
from connectors.destinations.slack.blocks import flattened
from connectors.destinations.slack.destination import body
from connectors.destinations.slack.escape import ZW
from crmbridge.contract import Setting
from crmbridge.errors import Rejected
from crmbridge.model import Literal, Receipt, Text, Value, dump_message, load_message
from crmbridge.testing import message

KEY = "0123456789abcdef0123456789abcdef"
EVIL = "<!channel> *b* :tada: & @here"


def mrkdwn(*text: Literal | Value) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def plain(*text: Literal | Value) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def test_every_text_is_flattened_for_its_place() -> None:
    layout = [
        {"type": "header", "text": plain(Literal("New: "), Value(EVIL))},
        {"type": "section", "text": mrkdwn(Literal("*"), Value(EVIL), Literal("*")), "fields": [mrkdwn(Value("a")), plain(Value("b"))]},
        {"type": "divider"},
        {"type": "image", "image_url": (Literal("https://a.example/"), Value("ü >")), "alt_text": (Value(EVIL),)},
        {
            "type": "actions",
            "elements": [{"type": "button", "text": plain(Literal("Open")), "url": (Literal("https://crm.example/"), Value("../x?<"))}],
        },
        {"type": "section", "text": {"type": "mrkdwn", "text": "the *rule's* own"}},
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": (Value("<@U1>"),)}]}]},
    ]
    broken = f"&lt;!channel&gt; ∗b∗ :{ZW}tada: &amp; @{ZW}here"
    assert flattened(layout) == [
        {"type": "header", "text": {"type": "plain_text", "text": f"New: <!channel> *b* :{ZW}tada: & @here"}},
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": f"*{broken}*"},
            "fields": [{"type": "mrkdwn", "text": "a"}, {"type": "plain_text", "text": "b"}],
        },
        {"type": "divider"},
        {"type": "image", "image_url": "https://a.example/%C3%BC%20%3E", "alt_text": EVIL},
        {
            "type": "actions",
            "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": "https://crm.example/..%2Fx%3F%3C"}],
        },
        {"type": "section", "text": {"type": "mrkdwn", "text": "the *rule's* own"}},
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "<@U1>"}]}]},
    ]


def test_the_text_goes_along_for_those_who_see_no_blocks() -> None:
    said = message(blocks=[{"type": "section", "text": mrkdwn(Value("x"))}])
    arguments = body(load_message(dump_message(said)), KEY, None, CONNECTOR.options(token="t"))
    assert arguments["text"] == "Welcome, Parkers!"
    assert arguments["blocks"] == [{"type": "section", "text": {"type": "mrkdwn", "text": "x"}}]
    assert "blocks" not in body(message(), KEY, None, CONNECTOR.options(token="t"))


def test_an_edit_brings_its_own_layout() -> None:
    with responses.RequestsMock() as net:
        net.post("https://slack.com/api/chat.update", json={"ok": True})
        destination = CONNECTOR.build(CONNECTOR.options(token="t"), Setting(name="wins"))
        destination.edit(Receipt(remote_id="1.1", extra={"channel": "C1"}), message(blocks=[{"type": "divider"}]), KEY)
        assert json.loads(net.calls[0].request.body)["blocks"] == [{"type": "divider"}]


def section(*text: Literal | Value) -> dict[str, Any]:
    return {"type": "section", "text": mrkdwn(*text)}


X = Literal("x")


@pytest.mark.parametrize(
    ("layout", "where"),
    [
        ({}, "blocks: must be a list"),
        ([], "blocks: must be a list"),
        ([5], r"blocks\[0\]: must be an object"),
        ([{"text": "x"}], r"blocks\[0\]: must be an object"),
        ([{"type": "divider"}] * 51, "51 blocks, Slack takes 50"),
        ([{"type": "divider"}, section(Literal("x" * 3001))], r"blocks\[1\] \(section\)\.text\.text: 3001 characters, Slack takes 3000"),
        ([section(Value("&" * 601))], "3005 characters"),
        ([section()], r"\(section\)\.text\.text: is empty"),
        ([section(Value("\0\u202e"[1:]))], "is empty"),
        ([{"type": "header", "text": plain(Literal("x" * 151))}], r"\(header\)\.text\.text: 151 characters, Slack takes 150"),
        ([{"type": "section", "fields": [plain(X)] * 11}], "11 entries, Slack takes 10"),
        ([{"type": "section", "fields": [plain(X), mrkdwn(Literal("x" * 2001))]}], r"fields\[1\]\.text: 2001 characters, Slack takes 2000"),
        ([{"type": "context", "elements": [plain(X)] * 11}], "11 entries, Slack takes 10"),
        ([{"type": "actions", "elements": [{"type": "button"}] * 26}], "26 entries, Slack takes 25"),
        (
            [{"type": "actions", "elements": [{"type": "button", "text": plain(Literal("x" * 76))}]}],
            r"elements\[0\]\.text\.text: 76 characters, Slack takes 75",
        ),
        ([{"type": "actions", "elements": [{"type": "button", "value": "x" * 2001}]}], "Slack takes 2000"),
        ([{"type": "actions", "elements": [{"type": "button", "url": (Literal("https://a.example/" + "x" * 3000),)}]}], "Slack takes 3000"),
        (
            [{"type": "section", "accessory": {"type": "static_select", "options": [{"text": plain(Literal("x" * 76)), "value": "v"}]}}],
            r"options\[0\]\.text\.text: 76 characters",
        ),
        ([{"type": "section", "accessory": {"type": "overflow", "options": [{"value": "x" * 151}]}}], "Slack takes 150"),
        ([{"type": "image", "image_url": "https://a.example/", "alt_text": (Literal("x" * 2001),)}], "Slack takes 2000"),
        ([{"type": "image", "image_url": (Value("javascript:alert(1)"),)}], "not an http or https address"),
        ([{"type": "divider", "block_id": "x" * 256}], "Slack takes 255"),
        ([{"type": "markdown", "text": (Literal("x" * 12_001),)}], "Slack takes 12000"),
        ([{"type": "markdown", "text": (Literal("# "), Value("x"))}], r"\(markdown\)\.text: takes no words of a record"),
        ([{"type": (Value("section"),)}], "must be an object with a type"),
    ],
)
def test_what_slack_would_not_take_is_named(layout: Any, where: str) -> None:
    with pytest.raises(Rejected, match=where) as caught:
        flattened(layout)
    assert caught.value.code == "invalid_blocks"


@pytest.mark.parametrize(
    "element",
    [
        {"type": "user", "user_id": (Value("U1"),)},
        {"type": "broadcast", "range": (Value("here"),)},
        {"type": "usergroup", "usergroup_id": (Value("S1"),)},
        {"type": "channel", "channel_id": (Value("C1"),)},
        {"type": "emoji", "name": (Value("tada"),)},
        {"type": (Value("broadcast"),), "range": "here"},
        {"type": "button", "action_id": (Value("x"),)},
        {"type": "text", "text": "x", "style": {"bold": (Value("1"),)}},
    ],
)
def test_a_record_chooses_nobody_and_nothing(element: dict[str, Any]) -> None:
    with pytest.raises(Rejected, match="takes no words of a record"):
        flattened([{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [element]}]}])


def test_what_may_be_shortened_fits_its_place() -> None:
    long = Value("&" * 5000, True)
    layout = [
        section(Literal("*"), long, Literal("*")),
        {"type": "header", "text": plain(long)},
        {"type": "image", "image_url": "https://a.example/", "alt_text": (long,)},
        {"type": "actions", "elements": [{"type": "button", "text": plain(long)}]},
    ]
    one, two, three, four = flattened(layout)
    assert 2990 < len(one["text"]["text"]) <= 3000
    assert one["text"]["text"].startswith("*&amp;")
    assert one["text"]["text"].endswith("&amp;…*")
    assert (len(two["text"]["text"]), len(three["alt_text"]), len(four["elements"][0]["text"]["text"])) == (150, 2000, 75)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ((Value(":tada:"),), f":{ZW}tada:"),
        ((Literal(":"), Value("tada:")), f":{ZW}tada:"),
        ((Literal(":"), Value("tada"), Literal(":")), f":tada{ZW}:"),
        ((Value(":tada"), Literal(":")), f":tada{ZW}:"),
        ((Literal(":tada: "), Value("10:30 <b> *x* & y")), ":tada: 10:30 <b> *x* & y"),
    ],
)
def test_plain_text_knows_emoji_only(text: Text, expected: str) -> None:
    ((block),) = flattened([{"type": "header", "text": plain(*text)}])
    assert block["text"]["text"] == expected
