"""Webhook: the signed request, and what each answer means."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from connectors.destinations.webhook import CONNECTOR
from crmbridge.contract import Setting
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, RateLimited, Rejected
from crmbridge.model import Channel, Literal, Network, Receipt, RecordRef, Value
from crmbridge.testing import ScriptedServer, answer, message

SECRET = "whsec_d2ViaG9vay13ZWJob29rLXdlYmhvb2s="
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(answer(204)) as running:
        yield running


def publish(server: ScriptedServer, *said: Any, times: int = 1, **options: Any) -> Receipt:
    async def whole() -> Receipt:
        built = CONNECTOR.options(**{"url": f"{server.url}/in?a=b", "secret": SECRET, **options})
        destination = CONNECTOR.build(built, Setting(name="hook", network=Network(deadline=20)))
        try:
            for _ in range(times):
                receipt: Receipt = await destination.publish(said[0] if said else message(), KEY, Receipt(remote_id="9"))
            return receipt
        finally:
            await destination.close()

    return asyncio.run(whole())


def test_a_message_as_it_is_posted(server: ScriptedServer) -> None:
    said = message(Literal("A "), Value("b\u202e\0"), thread="t", link="https://crm.example/x", channel=Channel("k", "K"))
    receipt = publish(server, said, headers={"Authorization": "Bearer abc-123456"})
    assert receipt == Receipt(remote_id=KEY)
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("POST", "/in?a=b")
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["authorization"] == "Bearer abc-123456"
    assert seen.json() == {
        "type": "crmbridge.message",
        "timestamp": "2026-11-22T09:30:00+00:00",
        "data": {
            "key": KEY,
            "text": "A b",
            "channel": "k",
            "title": "K",
            "link": "https://crm.example/x",
            "thread": "t",
            "parent": "9",
            "rule": "rule",
            "step": "step",
            "record": {"source": "crm", "type": "Account", "id": "42"},
            "audience": "company",
        },
    }


def test_edits_and_deletions_name_the_first_message(server: ScriptedServer) -> None:
    async def whole() -> None:
        destination = CONNECTOR.build(CONNECTOR.options(url=server.url, secret=SECRET), Setting(name="hook", network=Network(deadline=20)))
        first = Receipt(remote_id="first")
        assert await destination.edit(first, message(Value("Other words"), edit=True), KEY) == first
        for _ in range(2):
            await destination.delete(first)
        await destination.close()

    asyncio.run(whole())
    edit, delete, again = server.seen
    assert edit.json()["type"] == "crmbridge.edit"
    assert {name: edit.json()["data"][name] for name in ("key", "parent", "edit", "text")} == {
        "key": KEY, "parent": "first", "edit": True, "text": "Other words",
    }  # fmt: skip
    assert edit.headers["webhook-id"] == KEY
    assert delete.json() == {"type": "crmbridge.delete", "data": {"parent": "first"}}
    assert (delete.headers["webhook-id"], delete.body) == (again.headers["webhook-id"], again.body)
    assert delete.headers["webhook-id"] not in (KEY, "first")


def test_it_is_signed_as_the_standard_says(server: ScriptedServer) -> None:
    publish(server)
    (seen,) = server.seen
    assert seen.headers["webhook-id"] == KEY
    assert abs(int(seen.headers["webhook-timestamp"]) - time.time()) < 5
    content = f"{KEY}.{seen.headers['webhook-timestamp']}.".encode() + seen.body
    mac = hmac.new(base64.b64decode(SECRET.removeprefix("whsec_")), content, hashlib.sha256).digest()
    assert seen.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"


def test_a_repeat_has_the_same_id_and_body(server: ScriptedServer) -> None:
    assert CONNECTOR.idempotent
    publish(server, times=3)
    assert {seen.headers["webhook-id"] for seen in server.seen} == {KEY}
    assert len({seen.body for seen in server.seen}) == 1


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (200, {}, None), (201, {}, None), (202, {}, None), (204, {}, None),
        (301, {"Location": "/x"}, Rejected), (304, {}, Rejected), (307, {"Location": "/x"}, Rejected),
        (400, {}, Rejected), (404, {}, Rejected), (409, {}, Rejected), (413, {}, Rejected), (422, {}, Rejected),
        (401, {}, AuthFailed), (403, {}, AuthFailed), (410, {}, AuthFailed),
        (408, {}, OutcomeUnknown), (500, {}, OutcomeUnknown), (502, {}, OutcomeUnknown), (503, {}, OutcomeUnknown),
        (504, {}, OutcomeUnknown),
        (429, {}, RateLimited), (429, {"Retry-After": "60"}, RateLimited), (503, {"Retry-After": "60"}, RateLimited),
        (504, {"Retry-After": "60"}, OutcomeUnknown),
        (503, {"Retry-After": "soon"}, OutcomeUnknown),
    ],
)  # fmt: skip
def test_what_an_answer_means(server: ScriptedServer, status: int, headers: dict[str, str], kind: type[DeliveryError] | None) -> None:
    server.then(answer(status, b"", headers))
    if kind is None:
        assert publish(server).remote_id == KEY
        return
    with pytest.raises(DeliveryError) as caught:
        publish(server)
    assert type(caught.value) is kind
    assert str(status) in str(caught.value)
    if isinstance(caught.value, RateLimited):
        assert abs(caught.value.until - datetime.now(timezone.utc) - timedelta(seconds=60)) < timedelta(seconds=5)


def test_a_success_is_not_read_as_json(server: ScriptedServer) -> None:
    server.then(answer(200, b"\xff not json"))
    assert publish(server).remote_id == KEY


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/in",
        "ftp://a.example",
        "a.example",
        "https://",
        "http://10.0.0.1/",
        "file:///etc/passwd",
        "http://127.0.0.1.evil.example/",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        CONNECTOR.options(url=url, secret=SECRET)
    message_of = caught.value.errors()[0]["msg"]  # type: ignore[attr-defined]
    assert "the url is not" in message_of


@pytest.mark.parametrize("url", ["https://a.example/in", "http://127.0.0.1:8080/", "http://localhost/x", "http://[::1]/"])
def test_addresses_that_are_taken(url: str) -> None:
    assert CONNECTOR.options(url=url, secret=SECRET).url == url
    assert CONNECTOR.options(url="http://a.example/in", secret=SECRET, allow_http=True)


@pytest.mark.parametrize("name", ["Host", "webhook-id", "Content-Length", "X Y", "", "X\r\nY"])
def test_headers_that_cannot_be_set(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be set"):
        CONNECTOR.options(url="https://a.example", secret=SECRET, headers={name: "x"})


def test_secrets_are_read_when_needed(server: ScriptedServer, tmp_path: Path) -> None:
    url, secret = tmp_path / "url", tmp_path / "secret"
    options = {"url": {"file": str(url)}, "secret": {"file": str(secret)}}
    with pytest.raises(AuthFailed, match="cannot be read"):
        publish(server, **options)
    url.write_text(f"{server.url}/secret-path\n")
    secret.write_text(f"{SECRET}\n")
    publish(server, **options)
    assert server.seen[0].path == "/secret-path"
    url.write_text("http://a.example/secret-path")
    with pytest.raises(AuthFailed, match="not https") as caught:
        publish(server, **options)
    assert "secret-path" not in str(caught.value)
    with pytest.raises(AuthFailed, match="signing secret"):
        publish(server, secret="not base64 at all!")
    with pytest.raises(AuthFailed):
        publish(server, headers={"X-Key": {"env": "NO_SUCH_VARIABLE_HERE"}})


def test_check_sends_nothing(server: ScriptedServer) -> None:
    CONNECTOR.build(CONNECTOR.options(url=server.url, secret=SECRET), Setting(name="hook")).check()
    with pytest.raises(AuthFailed):
        CONNECTOR.build(CONNECTOR.options(url=server.url, secret="whsec_"), Setting(name="hook")).check()
    assert not server.seen


def test_a_header_value_cannot_split(server: ScriptedServer) -> None:
    with pytest.raises(DeliveryError):
        publish(server, headers={"X-Key": "a\r\nX-Evil: 1"})
    assert not any("x-evil" in seen.headers for seen in server.seen)


def test_odd_names_survive_the_trip(server: ScriptedServer) -> None:
    publish(server, message(channel=Channel("\ud800", "\0"), record=RecordRef("crm", "\udfff", "x\r\ny")))
    assert server.seen[0].json()["data"]["record"] == {"source": "crm", "type": "?", "id": "x\r\ny"}


def test_many_at_once_share_connections(server: ScriptedServer) -> None:
    async def whole() -> None:
        destination = CONNECTOR.build(CONNECTOR.options(url=server.url, secret=SECRET), Setting(name="hook", network=Network(deadline=20)))
        assert destination.limits.concurrency == 64
        await asyncio.gather(*(destination.publish(message(), f"{number:032x}", None) for number in range(200)))
        await destination.close()

    asyncio.run(whole())
    assert len({seen.headers["webhook-id"] for seen in server.seen}) == 200
