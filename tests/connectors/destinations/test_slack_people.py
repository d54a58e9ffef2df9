"""Slack: people who are named by e-mail address, the scopes that takes, and the manifest that grants them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
import responses
import yaml

from connectors.destinations.slack import CONNECTOR
from connectors.destinations.slack.api import SlackApi
from connectors.destinations.slack.destination import body
from connectors.destinations.slack.escape import misnamed, mrkdwn
from connectors.destinations.slack.layout import laid_out
from connectors.destinations.slack.people import MOST, People
from connectors.destinations.slack.scopes import manifest, needed
from crmbridge.contract import Ability, Entitled, Secret, Setting, Unsaid, Uses
from crmbridge.http import marked
from crmbridge.model import Literal, Message, Network, Receipt, Value
from crmbridge.testing import ScriptedServer, answer, message

API = "https://slack.com/api/"
KEY = "0123456789abcdef0123456789abcdef"
OPTIONS = CONNECTOR.options(token="xoxb-a-token-of-slack", channel="C1")
ANN = Value("Ann.Lee@acme.example", mention=True)
LOOK, POST = f"{API}users.lookupByEmail", f"{API}chat.postMessage"


def slack(**setting: Any) -> Any:
    return CONNECTOR.build(OPTIONS, Setting(name="wins", **setting))


def said(*text: Literal | Value, **more: Any) -> Message:
    return message(*text, channel=None, **more)


def posted(net: Any) -> list[dict[str, Any]]:
    return [json.loads(call.request.body) for call in net.calls if call.request.url == POST]


# --- escaping ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ((Literal("Ask "), ANN, Literal("!")), {"ann.lee@acme.example": "U1"}, "Ask <@U1>!"),
        ((Literal("Ask "), ANN), {}, "Ask Ann.Lee"),
        ((ANN, Value("bob@x.example", mention=True)), {"ann.lee@acme.example": "U1", "bob@x.example": "W2"}, "<@U1><@W2>"),
        ((Literal("<https://crm.example/"), ANN, Literal("|Open>")), {"ann.lee@acme.example": "U1"}, "<https://crm.example/Ann.Lee|Open>"),
        ((Literal("<@"), Value("x@y", mention=True), Literal(">")), {"x@y": "U1"}, "<@\u200bx>"),
        ((Value("<!channel>@acme.example", mention=True),), {}, "&lt;!channel&gt;"),
        ((Value("@here", mention=True),), {}, "@\u200bhere"),
        ((Value("nobody", mention=True),), {}, "nobody"),
    ],
)
def test_a_mention_is_a_person_or_a_name(text: Any, known: dict[str, str], expected: str) -> None:
    assert mrkdwn(text, people=known) == expected


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ("Ask <@ >!", ["<@{{ ... }}>"]),
        ("<@U > <# > <!subteam^ |team> <! >", ["<@U{{", "<#{{", "<!subteam^{{", "<!{{"]),
        ("<!date^ ^{date}|x>", ["<!date^{{"]),
        ("<@U012> <!here> <!date^1764000000^Posted {date_num} {time}|some day> <https://crm.example/ |Open > <  > a@b", []),
    ],
)
def test_names_that_a_record_would_choose_are_told(own: str, found: list[str]) -> None:
    told = misnamed(own)
    assert len(told) == len(found)
    assert all(part in words and "| mention }}" in words for part, words in zip(found, told, strict=True))


def test_in_a_layout_only_mrkdwn_names_people() -> None:
    layout = [
        {"type": "section", "text": {"type": "mrkdwn", "text": (ANN,)}},
        {"type": "header", "text": {"type": "plain_text", "text": (ANN,)}},
        {"type": "image", "image_url": (Literal("https://a.example/"), ANN), "alt_text": (ANN,)},
    ]
    one, two, three = laid_out(layout, {"ann.lee@acme.example": "U1"}).sent
    assert (one["text"]["text"], two["text"]["text"]) == ("<@U1>", "Ann.Lee")
    assert (three["image_url"], three["alt_text"]) == ("https://a.example/Ann.Lee", "Ann.Lee")
    (note,) = laid_out([{"type": "header", "text": {"type": "plain_text", "text": Unsaid(mentions=True)}}]).notes
    assert "names nobody here" in note.message


# --- looking up -------------------------------------------------------------------------------


def test_a_person_is_looked_up_once(caplog: Any) -> None:
    destination = slack()
    with responses.RequestsMock() as net:
        net.get(LOOK, json={"ok": True, "user": {"id": "W012A3CDE"}})
        net.post(POST, json={"ok": True, "channel": "C1", "ts": "1.1"})
        for _ in range(3):
            destination.publish(said(Literal("Ask "), ANN), KEY, None)
        looks = [call.request for call in net.calls if "lookupByEmail" in call.request.url]
        assert [one.params for one in looks] == [{"email": "ann.lee@acme.example"}]
        assert looks[0].headers["Authorization"] == "Bearer xoxb-a-token-of-slack"
        assert {one["text"] for one in posted(net)} == {"Ask <@W012A3CDE>"}
    assert caplog.records == []


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        ({"json": {"ok": False, "error": "users_not_found"}}, False),
        ({"json": {"ok": True, "user": {"id": "U1", "deleted": True}}}, False),
        ({"json": {"ok": True, "user": {"id": "U1><!channel"}}}, False),
        ({"json": {"ok": True, "user": None}}, False),
        ({"json": {"ok": True}}, False),
        ({"json": {"ok": False, "error": "missing_scope", "needed": "users:read.email"}}, False),
        ({"json": {"ok": False, "error": "invalid_auth"}}, False),
        ({"json": {"ok": False, "error": "fatal_error"}}, False),
        ({"status": 429, "headers": {"Retry-After": "30"}}, False),
        ({"status": 500}, False),
        ({"body": "<html>"}, False),
        ({"body": requests.ConnectionError("refused")}, False),
        ({"body": requests.ReadTimeout("late")}, False),
    ],
)
def test_a_message_is_never_lost_for_a_mention(answer: dict[str, Any], again: bool) -> None:
    """Whatever the look-up comes to: the message goes out with the name, and nobody asks again at once."""
    destination = slack()
    with responses.RequestsMock() as net:
        net.get(LOOK, **answer)
        net.post(POST, json={"ok": True, "channel": "C1", "ts": "1.1"})
        for _ in range(2):
            with marked():
                assert isinstance(destination.publish(said(Literal("Ask "), ANN), KEY, None), Receipt)
        assert [one["text"] for one in posted(net)] == ["Ask Ann.Lee"] * 2
        assert sum("lookupByEmail" in call.request.url for call in net.calls) == 1 + again


def test_a_lookup_does_not_begin_the_attempt() -> None:
    """What fails after it and before the post was certainly not published."""
    with ScriptedServer(answer(200, {"ok": True, "user": {"id": "U1"}})) as server, marked() as mark:
        api = SlackApi(f"{server.url}/", Secret.parse("xoxb-a-token-of-slack"), Network())
        assert People(api).mentioned(said(ANN)) == {"ann.lee@acme.example": "U1"}
        assert len(server.seen) == 1
        assert mark.began is False
        api.ask("auth.test", {})
        assert mark.began is True


class Asked:
    """An API that counts who is looked up."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Any = {"user": {"id": "U1"}}

    def ask(self, method: str, arguments: dict[str, str], timeout: float) -> Any:
        self.asked.append(arguments["email"])
        return self.answer


def test_what_is_known_has_a_lifetime_and_a_bound() -> None:
    api, now = Asked(), [0.0]
    people = People(api, lambda: now[0])  # type: ignore[arg-type]
    for at, count in ((0.0, 1), (3599.0, 1), (3600.0, 2)):
        now[0] = at
        assert people.mentioned(said(ANN)) == {"ann.lee@acme.example": "U1"}
        assert len(api.asked) == count
    api.answer = {"user": {}}
    for at, count in ((10_000.0, 3), (10_599.0, 3), (10_600.0, 4)):
        now[0] = at
        assert people.mentioned(said(ANN)) == {}
        assert len(api.asked) == count
    api.answer = {"user": {"id": "U1"}}
    for number in range(6000):
        people.mentioned(said(Value(f"p{number}@x.example", mention=True)))
    assert len(people._known) == 5000


def test_one_message_asks_a_few_times_only_and_for_addresses_only() -> None:
    api = Asked()
    people = People(api, lambda: 0.0)  # type: ignore[arg-type]
    many = [Value(f"p{number}@x.example", mention=True) for number in range(100)]
    odd = [Value(words, mention=True) for words in ("", "@", "a", "a@b c", "<@U1>", "x" * 400 + "@a.example", "a@b,c@d")]
    assert len(people.mentioned(said(*odd, *many))) == MOST
    assert len(api.asked) == MOST
    assert people.mentioned(said(Value("p0@x.example"))) == {}


def test_layouts_and_edits_name_people_too() -> None:
    layout = [{"type": "section", "text": {"type": "mrkdwn", "text": (ANN,)}}]
    with responses.RequestsMock() as net:
        net.get(LOOK, json={"ok": True, "user": {"id": "U7"}})
        net.post(f"{API}chat.update", json={"ok": True})
        slack().edit(Receipt(remote_id="1.1", extra={"channel": "C1"}), said(Literal("x"), blocks=layout), KEY)
        sent = json.loads(net.calls[1].request.body)
    assert sent["blocks"] == [{"type": "section", "text": {"type": "mrkdwn", "text": "<@U7>"}}]
    assert body(said(ANN), KEY, None, OPTIONS)["text"] == "Ann.Lee"


# --- scopes -----------------------------------------------------------------------------------

MENTIONS = Uses(frozenset({Ability.MENTION}))


@pytest.mark.parametrize(
    ("channel", "uses", "names"),
    [
        ("C0123", Uses(), ["chat:write", "channels:history"]),
        (None, Uses(channels=frozenset({"C0123"})), ["chat:write", "channels:history"]),
        ("#wins", Uses(), ["chat:write", "channels:read", "channels:history"]),
        ("C0123", Uses(channels=frozenset({"#deals"})), ["chat:write", "channels:read", "channels:history"]),
        ("C0123", MENTIONS, ["chat:write", "channels:history", "users:read", "users:read.email"]),
    ],
)
def test_the_manifest_holds_exactly_what_the_rules_need(channel: str | None, uses: Uses, names: list[str]) -> None:
    options = CONNECTOR.options(token="t", channel=channel)
    assert [one.name for one in needed(options, uses)] == names
    text = manifest(options, uses)
    assert yaml.safe_load(text)["oauth_config"]["scopes"]["bot"] == names
    assert all(one.why in text for one in needed(options, uses))


@pytest.mark.parametrize(
    ("granted", "lacking"),
    [
        ("chat:write,channels:history,users:read,users:read.email", []),
        ("chat:write, groups:history", ["users:read", "users:read.email"]),
        ("chat:write", ["channels:history", "users:read", "users:read.email"]),
        (None, []),
    ],
)
def test_the_rights_that_are_lacking_are_named_with_what_is_lost(granted: str | None, lacking: list[str]) -> None:
    destination = slack(uses=MENTIONS)
    assert isinstance(destination, Entitled)
    with responses.RequestsMock() as net:
        net.post(f"{API}auth.test", json={"ok": True}, headers={} if granted is None else {"x-oauth-scopes": granted})
        found = destination.rights()
        destination.check()
    assert [one.name for one in found if one.refused] == lacking
    assert all(one.lost and one.promise for one in found)
