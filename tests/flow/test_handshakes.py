"""Handshakes and what shows a secret, through the real server on loopback: the door, the store, the desk."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
from shared import NOW
from standins.senders import OTHER, SECRET, SENDERS, body_of, mac, options, request, seconds
from test_interpreter import Part

from connectors.sources.webhook.options import WebhookOptions
from connectors.sources.webhook.source import WebhookSource
from crmbridge.contract import Setting
from crmbridge.intake.webhooks import Webhooks
from crmbridge.server import Server
from crmbridge.store import SqliteStore
from crmbridge.web.hooks import hook_routes


class Door:
    """A server with one source, as a daemon puts them together."""

    def __init__(self, store, source):
        self.store = store
        self.part = Part(store)
        self.webhooks = Webhooks(store, self.part.interpreter, {"crm": source}, metrics=self.part.metrics, now=lambda: NOW)
        self.server = Server(hook_routes(self.webhooks, lambda: NOW), name="test")

    async def ask(self, method, target, body=b"", headers=()):
        """Status, headers in lower case, body."""
        host, _, port = self.server.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        lines = [f"{method} {target} HTTP/1.1", "Host: bridge.example.com", "Connection: close", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        head, _, content = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        first, *rest = head.decode().split("\r\n")
        return int(first.split()[1]), {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}, content

    async def stored(self):
        return await self.store.waiting("crm", 0, 100)

    def counted(self, status):
        return self.part.metrics.registry.get_sample_value("crmbridge_received_total", {"source": "crm", "status": status}) or 0


@contextlib.asynccontextmanager
async def opened(tmp_path, given) -> AsyncIterator[Door]:
    tmp_path.mkdir(exist_ok=True)
    store = SqliteStore(tmp_path / "store.db", synchronous="OFF")
    door = Door(store, WebhookSource(WebhookOptions(**given), Setting(name="crm", now=lambda: NOW)))
    await door.server.start("127.0.0.1:0")
    try:
        yield door
    finally:
        await door.server.stop(0.5)
        store.close()


CHALLENGE = "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"
GRAPH = "Validation: Testing client application reachability for subscription Request-Id: 1+2"


def slack(body):
    stamp = seconds(NOW)
    return [("X-Slack-Request-Timestamp", stamp), ("X-Slack-Signature", "v0=" + mac(SECRET, f"v0:{stamp}:".encode() + body).hex())]


def slack_asks():
    body = json.dumps({"token": "t", "challenge": CHALLENGE, "type": "url_verification"}).encode()
    return "POST", "", body, slack(body)


HANDSHAKES = {
    "slack": (slack_asks(), (200, "text/plain", CHALLENGE.encode())),
    "monday": (
        ("POST", "", json.dumps({"challenge": CHALLENGE}).encode(), []),
        (200, "application/json", f'{{"challenge": "{CHALLENGE}"}}'.encode()),
    ),
    "asana": (("POST", "", b"{}", [("X-Hook-Secret", "b537207f20cb")]), (200, "text/plain", b"")),
    "dropbox": (("GET", "?challenge=abc123", b"", []), (200, "text/plain", b"abc123")),
    "meta": (
        ("GET", f"?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={OTHER}", b"", []),
        (200, "text/plain", b"1158201444"),
    ),
    "microsoft-graph": (("POST", f"?validationToken={quote(GRAPH)}", b"", []), (200, "text/plain", GRAPH.encode())),
    "mailchimp": (("GET", "", b"", []), (200, "text/plain", b"")),
    "bitrix24": (("HEAD", "", b"", []), (200, "text/plain", b"")),
    "intercom": (("HEAD", "", b"", []), (200, "text/plain", b"")),
}


def test_no_handshake_is_forgotten():
    """Every known sender that asks first is asked here."""
    from crmbridge.hooks.senders import names, read_sender

    assert {name for name in names() if read_sender(name).challenge is not None} == set(HANDSHAKES)
    assert {name for name in names() if read_sender(name).about.asks} == set(HANDSHAKES)


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_a_handshake_is_answered_and_nothing_is_stored(name, tmp_path):
    """As the sender's page says: its value as text, as JSON or in its header, never as HTML; then the honest webhook is stored."""
    (method, query, body, headers), (status, kind, content) = HANDSHAKES[name]
    async with opened(tmp_path, options(name)) as door:
        given = [("Content-Type", "application/json"), *headers] if method == "POST" else headers
        got, shown, answer = await door.ask(method, f"/hooks/crm{query}", body, given)
        assert (got, shown["content-type"].split(";")[0], answer) == (status, kind, content)
        assert shown["x-content-type-options"] == "nosniff"
        assert shown.get("x-hook-secret") == ("b537207f20cb" if name == "asana" else None)
        assert await door.stored() == []
        assert (door.counted("handshake"), door.counted("2xx")) == (1, 0)

        honest = request(name)
        target = f"/hooks/crm?{honest.query}" if honest.query else "/hooks/crm"
        got, _, _ = await door.ask("POST", target, honest.body, honest.headers.items())
        assert got == (202 if name == "microsoft-graph" else 200)
        assert len(await door.stored()) == 1


async def test_a_handshake_that_proves_too_little(tmp_path):
    """An unsigned one where the sender signs them, and one without its token: 401, nothing echoed, nothing stored."""
    method, _, body, _ = slack_asks()
    async with opened(tmp_path, options("slack")) as door:
        for headers in ([], slack(b"{}")):
            got, _, answer = await door.ask(method, "/hooks/crm", body, headers)
            assert (got, CHALLENGE.encode() in answer) == (401, False)
        assert await door.stored() == []
        assert door.webhooks.heard["crm"].refused == 2
    async with opened(tmp_path / "b", options("meta")) as door:
        got, _, answer = await door.ask("GET", "/hooks/crm?hub.challenge=1158201444&hub.verify_token=guessed")
        assert (got, b"1158201444" in answer) == (401, False)
        assert (door.webhooks.heard["crm"].refused, door.counted("401"), door.counted("handshake")) == (1, 1, 0)


@pytest.mark.parametrize("name", sorted(SENDERS.keys() - HANDSHAKES.keys()))
async def test_who_asks_nothing_is_answered_405(name, tmp_path):
    """As before there were handshakes; so are other methods, and a GET that is no handshake."""
    async with opened(tmp_path, options(name)) as door:
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            got, shown, _ = await door.ask(method, "/hooks/crm?challenge=abc&validationToken=abc")
            assert (got, "POST" in shown["allow"]) == (405, True)
        assert door.counted("handshake") == 0


async def test_what_is_no_handshake_is_405_too(tmp_path):
    """Of a source that has one, and of a source that is not there."""
    async with opened(tmp_path, options("dropbox")) as door:
        for target in ("/hooks/crm", "/hooks/crm?challenge=", "/hooks/crm?challenge=a&challenge=b", "/hooks/other?challenge=abc"):
            assert (await door.ask("GET", target))[0] == 405
        assert (await door.ask("POST", "/hooks/crm?challenge=abc", b"{}"))[0] == 401, "it is a webhook without a signature"


@pytest.mark.parametrize(
    ("signature", "target", "headers", "body"),
    [
        ({"scheme": "secret", "in": "query", "name": "code"}, f"/hooks/crm?code={SECRET}&more=1", [], {"id": 7}),
        ({"scheme": "secret", "in": "path"}, f"/hooks/crm/{SECRET}", [], {"id": 7}),
        ({"scheme": "secret", "in": "header", "name": "X-Key"}, "/hooks/crm", [("X-Key", SECRET)], {"id": 7}),
        ({"scheme": "secret", "in": "body", "name": "auth.token"}, "/hooks/crm", [], {"id": 7, "auth": {"token": SECRET}}),
        ({"scheme": "bearer"}, "/hooks/crm", [("Authorization", f"Bearer {SECRET}")], {"id": 7}),
    ],
)
async def test_a_secret_that_is_shown_is_kept_nowhere(signature, target, headers, body, tmp_path, caplog):
    """Not in the inbox, not in the file, not in a log of any level, also of a request that is refused or cannot be read."""
    given = {
        "signature": signature | {"secret": SECRET},
        "map": {"record_type": {"value": "Deal"}, "record_id": "body.id", "fields": "body"},
    }
    with caplog.at_level(logging.DEBUG):
        async with opened(tmp_path, given) as door:
            assert (await door.ask("POST", target, json.dumps(body).encode(), headers))[0] == 202
            assert (await door.ask("POST", target, json.dumps(body | {"id": []}).encode(), headers))[0] == 202
            assert (await door.ask("POST", target.replace(SECRET, SECRET[:-1]), b"{", headers[:-1]))[0] in (400, 401)
            assert (await door.ask("GET", target, b"", headers))[0] == 405
            rows = await door.stored()
            assert [(row.query, SECRET in json.dumps(dict(row.headers)) + row.body.decode()) for row in rows] == [("", False)] * 2
            working = asyncio.create_task(door.webhooks.run())
            async with asyncio.timeout(60):
                while any(not one.failed for one in (await door.store.overview()).inbox):
                    await asyncio.sleep(0.005)
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working
    for path in tmp_path.iterdir():
        assert SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in caplog.text + str([vars(record) for record in caplog.records])


async def test_a_header_that_comes_twice_proves_nothing(tmp_path):
    """Whichever of the two is the right one: the next reader may take the other."""
    honest = request("github")
    right = ("X-Hub-Signature-256", honest.headers["x-hub-signature-256"])
    wrong = ("X-Hub-Signature-256", "sha256=" + "0" * 64)
    others = [(name, value) for name, value in honest.headers.items() if name != "x-hub-signature-256"]
    async with opened(tmp_path, options("github")) as door:
        for doubled in ([right, wrong], [wrong, right], [right, right]):
            assert (await door.ask("POST", "/hooks/crm", body_of("github"), [*others, *doubled]))[0] == 401
        assert (await door.ask("POST", "/hooks/crm", body_of("github"), [*others, right]))[0] == 202
        got, _, answer = await door.ask("POST", "/hooks/crm", body_of("github"), [*others, right, ("X-GitHub-Event", "other")])
        assert (got, answer) == (400, b"the header x-github-event came more than once\n")
