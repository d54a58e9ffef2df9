"""Slack after the first post: is it there, change it, take it back, link to it; and the webhook, which can do none of this."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
import responses

from connectors.destinations.slack import CONNECTOR
from connectors.destinations.slack.destination import permalink
from connectors.destinations.slack.hook import KNOWN, SlackWebhook
from crmbridge.contract import Ability, Deletable, Editable, Findable, Setting
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.model import Channel, Literal, Network, Receipt, Value
from crmbridge.testing import ScriptedServer, answer, message

API = "https://slack.com/api/"
KEY = "0123456789abcdef0123456789abcdef"
SINCE = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)
OPTIONS = CONNECTOR.options(token="xoxb-a-token-of-slack", channel="#wins")
FIRST = Receipt(remote_id="150.1", extra={"channel": "C9"})


def slack() -> Any:
    return CONNECTOR.build(OPTIONS, Setting(name="wins"))


def said(key: str | None, ts: str = "1764000000.000100", kind: str = "crmbridge") -> dict[str, Any]:
    return {"ts": ts, "text": "x", **({"metadata": {"event_type": kind, "event_payload": {"key": key}}} if key else {})}


def page(*messages: dict[str, Any], cursor: str = "", name: str = "messages") -> dict[str, Any]:
    return {"ok": True, name: list(messages), "response_metadata": {"next_cursor": cursor}}


def asked(call: Any) -> dict[str, str]:
    return dict(call.request.params)


# --- find -------------------------------------------------------------------------------------


def test_the_key_is_looked_for_in_the_channels_history() -> None:
    with responses.RequestsMock() as net:
        net.get(
            f"{API}conversations.history",
            json=page(said(None, "1.9"), said("other", "1.8"), said(KEY, "1.7", "somebody"), said(KEY, "1764000000.000200")),
        )
        found = slack().find(message(), KEY, None, SINCE)
        (call,) = net.calls
    assert found == Receipt(remote_id="1764000000.000200", extra={"channel": "C012345"})
    assert call.request.headers["Authorization"] == "Bearer xoxb-a-token-of-slack"
    assert asked(call) == {
        "channel": "C012345",
        "oldest": f"{(SINCE - timedelta(seconds=60)).timestamp():.6f}",
        "inclusive": "true",
        "include_all_metadata": "true",
        "limit": "200",
    }


def test_a_reply_is_looked_for_in_its_thread() -> None:
    with responses.RequestsMock() as net:
        net.get(f"{API}conversations.replies", json=page(said("first", "150.1"), said(KEY)))
        assert slack().find(message(), KEY, FIRST, SINCE) == Receipt(remote_id="1764000000.000100", extra={"channel": "C9"})
        assert (asked(net.calls[0])["ts"], asked(net.calls[0])["channel"]) == ("150.1", "C9")


def test_every_page_is_read_before_it_is_not_there() -> None:
    with responses.RequestsMock() as net:
        net.get(f"{API}conversations.history", json=page(said("other"), cursor="next=="))
        net.get(f"{API}conversations.history", json=page(said("another")))
        assert slack().find(message(), KEY, None, SINCE) is None
        assert [asked(call).get("cursor") for call in net.calls] == [None, "next=="]


def test_too_much_to_read_is_not_an_absence() -> None:
    with responses.RequestsMock() as net:
        net.get(f"{API}conversations.history", json=page(said("other"), cursor="next"))
        with pytest.raises(Rejected, match="pages") as caught:
            slack().find(message(), KEY, None, SINCE)
        assert caught.value.code == "find"
        assert len(net.calls) == 5


def test_a_name_is_resolved_by_what_slack_answered_before() -> None:
    destination = slack()
    with responses.RequestsMock() as net:
        net.post(f"{API}chat.postMessage", json={"ok": True, "channel": "C77", "ts": "1.1"})
        net.get(f"{API}conversations.history", json=page())
        destination.publish(message(channel=None), KEY, None)
        assert destination.find(message(channel=None), KEY, None, SINCE) is None
        assert asked(net.calls[1])["channel"] == "C77"


def test_a_name_that_nobody_answered_is_listed_once() -> None:
    destination = slack()
    with responses.RequestsMock() as net:
        net.get(f"{API}conversations.list", json=page({"id": "C1", "name": "general"}, name="channels", cursor="n"))
        net.get(f"{API}conversations.list", json=page(name="channels"))
        net.get(f"{API}conversations.list", json=page({"id": "C77", "name": "wins"}, name="channels"))
        net.get(f"{API}conversations.history", json=page())
        for _ in range(2):
            assert destination.find(message(channel=None), KEY, None, SINCE) is None
        lists = [asked(call) for call in net.calls if "list" in call.request.url]
        assert [one["types"] for one in lists] == ["public_channel", "public_channel", "private_channel"]
        assert all(one["exclude_archived"] == "true" for one in lists)
        assert [asked(call)["channel"] for call in net.calls[3:]] == ["C77", "C77"]


def test_a_name_that_is_not_listed_cannot_be_asked() -> None:
    with responses.RequestsMock() as net:
        net.get(f"{API}conversations.list", json=page(name="channels"))
        with pytest.raises(Rejected, match="no channel of that name") as caught:
            slack().find(message(channel=Channel("nowhere")), KEY, None, SINCE)
        assert caught.value.code == "find"


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"json": {"ok": False, "error": "missing_scope"}}, Rejected, "channels:history"),
        ({"json": {"ok": False, "error": "not_in_channel"}}, Rejected, "groups:history"),
        ({"json": {"ok": False, "error": "channel_not_found"}}, Rejected, "channels:history"),
        ({"json": {"ok": False, "error": "not_allowed_token_type"}}, Rejected, "cannot be asked"),
        ({"json": {"ok": False, "error": "a_code_from_next_year"}}, Rejected, "cannot be asked"),
        ({"status": 403, "body": "<html>"}, Rejected, "cannot be asked"),
        ({"json": {"ok": False, "error": "invalid_auth"}}, AuthFailed, "invalid_auth"),
        ({"json": {"ok": False, "error": "token_revoked"}}, AuthFailed, "token_revoked"),
        ({"json": {"ok": False, "error": "ratelimited"}}, RateLimited, ""),
        ({"status": 429, "headers": {"Retry-After": "60"}}, RateLimited, ""),
        ({"json": {"ok": False, "error": "service_unavailable"}}, Transient, ""),
        ({"json": {"ok": False, "error": "internal_error"}}, Transient, ""),
        ({"status": 500}, Transient, ""),
        ({"body": "<html>"}, Transient, ""),
        ({"json": {"ok": True}}, Transient, "unreadable"),
        ({"json": {"ok": True, "messages": {}}}, Transient, "unreadable"),
        ({"body": requests.ReadTimeout("late")}, Transient, ""),
    ],
)
def test_what_a_refused_look_means(given: dict[str, Any], kind: type[DeliveryError], words: str) -> None:
    with responses.RequestsMock() as net:
        net.get(f"{API}conversations.history", **given)
        with pytest.raises(DeliveryError, match=words or ".") as caught:
            slack().find(message(), KEY, None, SINCE)
    assert type(caught.value) is kind, caught.value
    assert kind is not Rejected or caught.value.code == "find"


def test_a_list_that_is_refused_names_its_scope() -> None:
    with responses.RequestsMock() as net:
        net.get(f"{API}conversations.list", json={"ok": False, "error": "missing_scope"})
        with pytest.raises(Rejected, match="channels:read"):
            slack().find(message(channel=None), KEY, None, SINCE)


@pytest.mark.parametrize("odd", [None, 5, [], {"event_type": "crmbridge"}, {"event_type": "crmbridge", "event_payload": [KEY]}])
def test_odd_metadata_is_somebody_elses(odd: Any) -> None:
    with responses.RequestsMock() as net:
        net.get(f"{API}conversations.history", json=page({"ts": "1.1", "metadata": odd}, {"metadata": said(KEY)["metadata"], "ts": 5}))
        assert slack().find(message(), KEY, None, SINCE) is None


# --- edit and delete --------------------------------------------------------------------------


def test_an_edit_as_slack_takes_it() -> None:
    with responses.RequestsMock() as net:
        net.post(f"{API}chat.update", json={"ok": True, "channel": "C9", "ts": "150.1"})
        assert slack().edit(FIRST, message(Value("<x>"), link="https://crm.example/1"), KEY) == FIRST
        (call,) = net.calls
    assert json.loads(call.request.body) == {
        "channel": "C9",
        "ts": "150.1",
        "text": "&lt;x&gt;\n<https://crm.example/1|Open in CRM>",
        "blocks": [],
        "parse": "none",
        "link_names": False,
    }


def test_an_edit_has_a_limit_of_its_own() -> None:
    with pytest.raises(Rejected, match="4001") as caught:
        slack().edit(FIRST, message(Literal("x" * 4001)), KEY)
    assert caught.value.code == "msg_too_long"
    with responses.RequestsMock() as net:
        net.post(f"{API}chat.update", json={"ok": True})
        slack().edit(FIRST, message(Literal("At "), Value("x" * 9000, True), Literal("!")), KEY)
        text = json.loads(net.calls[0].request.body)["text"]
    assert (len(text), text[:4], text[-2:]) == (4000, "At x", "…!")


def test_what_will_be_edited_must_fit_as_an_edit() -> None:
    with pytest.raises(Rejected, match="Slack takes 4000"):
        slack().publish(message(Literal("x" * 4001), edit=True), KEY, None)


def test_an_old_receipt_without_its_channel_finds_it() -> None:
    with responses.RequestsMock() as net:
        net.post(f"{API}chat.update", json={"ok": True})
        slack().edit(Receipt(remote_id="1.1", extra={"channel": None}), message(), KEY)
        assert json.loads(net.calls[0].request.body)["channel"] == "C012345"
    for method, *given in (("edit", message(), KEY), ("delete",)):
        with pytest.raises(Rejected, match="receipt"):
            getattr(slack(), method)(Receipt(remote_id="", extra={"channel": "C9"}), *given)
    with pytest.raises(Rejected, match="receipt"):
        slack().delete(Receipt(remote_id="1.1"))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("message_not_found", None),
        ("cant_delete_message", Rejected),
        ("channel_not_found", Rejected),
        ("ratelimited", RateLimited),
        ("missing_scope", AuthFailed),
        ("internal_error", OutcomeUnknown),
    ],
)
def test_a_message_that_is_gone_is_deleted(code: str, kind: type[DeliveryError] | None) -> None:
    with responses.RequestsMock() as net:
        net.post(f"{API}chat.delete", json={"ok": False, "error": code})
        if kind is None:
            slack().delete(FIRST)
        else:
            with pytest.raises(kind):
                slack().delete(FIRST)
        assert json.loads(net.calls[0].request.body) == {"channel": "C9", "ts": "150.1"}


# --- links to messages ------------------------------------------------------------------------


def test_a_receipt_links_to_its_message_once_the_workspace_is_known() -> None:
    destination = slack()
    with responses.RequestsMock() as net:
        net.post(f"{API}auth.test", json={"ok": True, "url": "https://acme.slack.com/"})
        net.post(f"{API}chat.postMessage", json={"ok": True, "channel": "C9", "ts": "1503435956.000247"})
        assert destination.publish(message(), KEY, None).url is None
        destination.check()
        assert destination.publish(message(), KEY, None).url == "https://acme.slack.com/archives/C9/p1503435956000247"
        assert destination.publish(message(), KEY, FIRST).url == (
            "https://acme.slack.com/archives/C9/p1503435956000247?thread_ts=150.1&cid=C9"
        )
        assert [call.request.url for call in net.calls].count(f"{API}auth.test") == 1


@pytest.mark.parametrize("url", [None, 5, "", "javascript:alert(1)", "acme"])
def test_an_odd_workspace_is_no_address(url: Any) -> None:
    destination = slack()
    with responses.RequestsMock() as net:
        net.post(f"{API}auth.test", json={"ok": True, "url": url})
        net.post(f"{API}chat.postMessage", json={"ok": True, "channel": "C9", "ts": "1.1"})
        destination.check()
        assert destination.publish(message(), KEY, None).url is None


def test_odd_parts_make_no_address() -> None:
    for channel, ts in ((None, "1.1"), ("C/../x", "1.1"), ("C9", "1.1/x"), ("C9", "11")):
        assert permalink("https://acme.slack.com/", channel, ts, None) is None


# --- the webhook ------------------------------------------------------------------------------

HOOK = "https://hooks.slack.com/services/T0/B0/canary-of-the-hook"


def hooked(server: ScriptedServer, *given: Any, path: str = "/services/T0/B0/canary-of-the-hook", **options: Any) -> Receipt:
    async def whole() -> Receipt:
        built = CONNECTOR.options(webhook_url=f"{server.url}{path}", **options)
        destination = CONNECTOR.build(built, Setting(name="wins", network=Network(deadline=20)))
        try:
            made: Receipt = await destination.publish(*(given or (message(channel=None), KEY, None)))
            return made
        finally:
            await destination.close()

    return asyncio.run(whole())


def test_a_message_as_the_webhook_takes_it() -> None:
    with ScriptedServer(answer(200, b"ok")) as server:
        receipt = hooked(server, message(Value("<!here>"), channel=None, blocks=[{"type": "divider"}]), KEY, None)
    assert receipt == Receipt(remote_id="")
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("POST", "/services/T0/B0/canary-of-the-hook")
    assert "authorization" not in seen.headers
    assert seen.json() == {"text": "&lt;!here&gt;", "blocks": [{"type": "divider"}], "unfurl_links": False, "unfurl_media": False}


def test_what_a_webhook_cannot_do_it_does_not_say() -> None:
    options = CONNECTOR.options(webhook_url=HOOK)
    built = CONNECTOR.build(options, Setting(name="wins"))
    assert isinstance(built, SlackWebhook)
    assert not isinstance(built, (Editable, Deletable, Findable))
    assert CONNECTOR.can(options) == {Ability.BLOCKS}
    assert CONNECTOR.can(OPTIONS) == set(Ability) - {Ability.CARD, Ability.MEDIA, Ability.SUBJECT}
    assert not CONNECTOR.needs_channel(options)
    assert CONNECTOR.needs_channel(CONNECTOR.options(token="t"))


def test_a_webhook_has_one_channel() -> None:
    with ScriptedServer(answer(200, b"ok")) as server:
        with pytest.raises(Rejected, match="its own channel"):
            hooked(server, message(), KEY, None)
        assert not server.seen


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "invalid_payload", Rejected),
        (400, "no_text", Rejected),
        (400, "invalid_blocks", Rejected),
        (400, "msg_too_long", Rejected),
        (400, "user_not_found", AuthFailed),
        (403, "action_prohibited", AuthFailed),
        (403, "invalid_token", AuthFailed),
        (404, "channel_not_found", AuthFailed),
        (404, "no_service", AuthFailed),
        (404, "no_team", AuthFailed),
        (410, "channel_is_archived", AuthFailed),
        (500, "rollup_error", OutcomeUnknown),
        (503, "<html>", OutcomeUnknown),
        (429, "rate_limited", RateLimited),
        (302, "", Rejected),
        (404, "<html>", Rejected),
    ],
)
def test_what_a_webhook_answers_means(status: int, words: str, kind: type[DeliveryError]) -> None:
    with ScriptedServer(answer(status, words.encode(), {"Retry-After": "30"})) as server, pytest.raises(DeliveryError) as caught:
        hooked(server)
    assert type(caught.value) is kind, caught.value
    assert words not in KNOWN or words in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "kept"),
    [
        (200, b"ok", {}),
        (200, b"ok\n", {}),
        (200, b"", {"answered": "200"}),
        (200, b'{"success": true}', {"answered": '200 {"success": true}'}),
        (201, b"ok", {"answered": "201 ok"}),
        (204, b"", {"answered": "204"}),
        (200, b"x" * 5000, {"answered": "200 " + "x" * 96}),
        (200, b"/services/T0/B0/canary-of-the-hook", {"answered": "200 ***"}),
    ],
)
def test_a_yes_is_published_once_whatever_its_words(status: int, body: bytes, kept: dict[str, str]) -> None:
    with ScriptedServer(answer(status, body)) as server:
        assert hooked(server) == Receipt(remote_id="", extra=kept)
        assert len(server.seen) == 1


STRANGERS = ["https://mattermost.acme.example/hooks/canary", "https://hooks.slack.com.evil.example/x", "https://slack.com/x"]


@pytest.mark.parametrize("url", STRANGERS)
def test_a_webhook_is_slacks(url: str) -> None:
    """A host that is not Slack's is refused wherever its address can be read, and the destination for others is named."""
    ((path, message),) = CONNECTOR.options(webhook_url=url).objections(public=False)
    assert path == ("webhook_url",)
    assert "type: webhook" in message
    assert "canary" not in message
    later = CONNECTOR.options(webhook_url={"env": "CRMBRIDGE_TEST_HOOK"})
    assert later.objections(public=False) == []


def test_a_webhook_in_a_file_is_looked_at_where_secrets_are(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text(STRANGERS[0])
    options = CONNECTOR.options(webhook_url={"file": str(tmp_path / "hook")})
    assert options.objections(public=False) == []
    ((path, message),) = options.unusable()
    assert (path, "type: webhook" in message) == (("webhook_url",), True)
    destination = CONNECTOR.build(options, Setting(name="wins"))
    with pytest.raises(AuthFailed, match="type: webhook"):
        destination.check()
    for good in (HOOK, "https://hooks.slack-gov.com/services/T/B/x", "http://127.0.0.1:9/x", "http://localhost/x"):
        assert CONNECTOR.options(webhook_url=good).objections(public=False) == []


def test_the_address_is_in_no_error() -> None:
    with ScriptedServer(answer(404, b"/services/T0/B0/canary-of-the-hook is gone")) as server:
        with pytest.raises(DeliveryError) as caught:
            hooked(server)
        server.refuse()
        with pytest.raises(Transient) as lost:
            hooked(server)
    for error in (caught.value, lost.value):
        assert "canary" not in f"{error} {error!r}"
        assert "/services" not in str(error)


@pytest.mark.parametrize("url", ["http://hooks.example/x", "ftp://a", "hooks.slack.com/services/x", "https://"])
def test_a_webhook_needs_https(url: str, tmp_path: Path) -> None:
    (tmp_path / "hook").write_text(url)
    destination = CONNECTOR.build(CONNECTOR.options(webhook_url={"file": str(tmp_path / "hook")}), Setting(name="wins"))
    with pytest.raises(AuthFailed, match="not an https address") as caught:
        destination.check()
    assert "example" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({}, ("token",)),
        ({"token": "t", "webhook_url": HOOK}, ("webhook_url",)),
        ({"webhook_url": HOOK, "channel": "#x"}, ("channel",)),
        ({"token": "t", "channel": "#x"}, None),
        ({"webhook_url": HOOK}, None),
    ],
)
def test_exactly_one_way_to_speak(options: dict[str, str], path: tuple[str, ...] | None) -> None:
    built = CONNECTOR.options(**options)
    assert [where for where, _ in built.objections(public=False)] == ([path] if path else [])
    if path:
        with pytest.raises(ValueError, match=r"webhook_url|missing"):
            CONNECTOR.build(built, Setting(name="wins"))
    assert "canary" not in repr(built)
