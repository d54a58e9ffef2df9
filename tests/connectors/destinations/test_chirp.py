"""Chirp: batches, signatures, and what each answer means, against a small stand-in."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.destinations.chirp import CONNECTOR
from connectors.destinations.chirp.destination import post_of
from crmbridge.contract import Batched, Secret, Setting
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.model import Audience, Channel, Literal, Network, Receipt, Value, digest
from crmbridge.testing import Behaviour, ScriptedServer, answer, cut, message
from crmbridge.testing.server import Exchange

SECRET = "whsec_Y2hpcnAtY2hpcnAtY2hpcnAtY2hpcnAt"
KEYS = [digest(str(number)) for number in range(120)]


class StandIn:
    """Chirp in a few lines: proves signatures, publishes once by key, says `conflict` for other content."""

    def __init__(self) -> None:
        self.posts: dict[str, Any] = {}
        self.texts: set[str] = set()

    def __call__(self, exchange: Exchange) -> None:
        seen = exchange.seen
        signed = f"{seen.headers['webhook-id']}.{seen.headers['webhook-timestamp']}.".encode() + seen.body
        mac = hmac.new(base64.b64decode(SECRET.removeprefix("whsec_")), signed, hashlib.sha256).digest()
        fresh = abs(time.time() - int(seen.headers["webhook-timestamp"])) < 300
        if not fresh or seen.headers["webhook-signature"] != f"v1,{base64.b64encode(mac).decode()}":
            return answer(401)(exchange)
        if seen.method == "GET":
            return answer(204 if seen.path == "/chirp/api/v1/check" and not seen.body else 404)(exchange)
        return answer(200, {"results": [self.take(post) for post in seen.json()["posts"]]})(exchange)

    def take(self, post: dict[str, Any]) -> dict[str, Any]:
        key = post["key"]
        if any("refuse" in words for _, words in post["text"]):
            return {"key": key, "status": "invalid", "error": "refused words"}
        status = "published" if key not in self.posts else "repeated" if self.posts[key] == post else "conflict"
        self.posts.setdefault(key, post)
        return {"key": key, "status": status, "id": key[:6], "url": f"http://feed/{key[:6]}", "error": None}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(StandIn()) as running:
        yield running


def run(server: ScriptedServer, method: str, *arguments: Any, secret: str = SECRET, deadline: float = 20) -> Any:
    async def whole() -> Any:
        destination = CONNECTOR.build(
            CONNECTOR.options(url=server.url, secret=secret), Setting(name="feed", network=Network(deadline=deadline))
        )
        try:
            return await getattr(destination, method)(*arguments)
        finally:
            await destination.close()

    return asyncio.run(whole())


def batch(count: int) -> list[Any]:
    return [(message(Value(f"news {number}")), KEYS[number], None) for number in range(count)]


def test_a_post_as_chirp_takes_it(server: ScriptedServer) -> None:
    said = message(
        Literal("Welcome, "), Value("Par\u202ekers"),
        channel=Channel("crm/Account/42", "Par\u202ekers"), link="https://crm.example/ü", audience=Audience.TEAM,
    )  # fmt: skip
    receipt = run(server, "publish", said, KEYS[0], Receipt(remote_id="99"))
    assert receipt == Receipt(remote_id=KEYS[0][:6], url=f"http://feed/{KEYS[0][:6]}")
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("POST", "/chirp/api/v1/posts")
    assert seen.headers["webhook-id"] == digest(KEYS[0])
    assert seen.json() == {
        "posts": [
            {
                "key": KEYS[0],
                "channel": {"key": "crm/Account/42", "title": "Parkers", "audience": "team"},
                "text": [[0, "Welcome, "], [1, "Parkers"]],
                "link": "https://crm.example/%C3%BC",
                "parent": "99",
                "rule": "rule",
                "record": {"source": "crm", "type": "Account", "id": "42"},
                "occurred_at": "2026-11-22T09:30:00+00:00",
            }
        ]
    }


def test_a_hundred_go_in_one_request_once(server: ScriptedServer) -> None:
    destination = CONNECTOR.build(CONNECTOR.options(url=server.url, secret=SECRET), Setting(name="feed"))
    assert isinstance(destination, Batched)
    assert (destination.limits.batch, destination.limits.length, destination.limits.concurrency) == (100, 5000, 4)
    assert CONNECTOR.idempotent
    assert CONNECTOR.dynamic_channels
    first = run(server, "publish_many", batch(100))
    assert [found.remote_id for found in first] == [key[:6] for key in KEYS[:100]]
    assert run(server, "publish_many", batch(100)) == first
    assert len(server.seen) == 2
    assert server.seen[0].headers["webhook-id"] == server.seen[1].headers["webhook-id"]


def test_outcomes_are_each_messages_own(server: ScriptedServer) -> None:
    run(server, "publish", message(Value("first words")), KEYS[1], None)
    found = run(
        server,
        "publish_many",
        [
            (message(Value("fine")), KEYS[0], None),
            (message(Value("other words")), KEYS[1], None),
            (message(Value("refuse this")), KEYS[2], None),
            (message(Value("x" * 5001)), KEYS[3], None),
            (message(channel=None), KEYS[4], None),
            (message(link="javascript:x"), KEYS[5], None),
            (message(Value("fine too")), KEYS[6], None),
        ],
    )
    assert [type(outcome) for outcome in found] == [Receipt, Rejected, Rejected, Rejected, Rejected, Rejected, Receipt]
    assert [outcome.code for outcome in found[1:6]] == ["conflict", "invalid", "length", "no_channel", "link"]
    assert len(server.seen[-1].json()["posts"]) == 4


def test_nothing_to_send_is_not_sent(server: ScriptedServer) -> None:
    (found,) = run(server, "publish_many", [(message(channel=None), KEYS[0], None)])
    assert isinstance(found, Rejected)
    assert run(server, "publish_many", []) == []
    assert not server.seen


def result(**facts: Any) -> dict[str, Any]:
    return {"results": [{"key": KEYS[0], "status": "published", "id": "1", "url": None, **facts}]}


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (answer(401), AuthFailed),
        (answer(403), AuthFailed),
        (answer(404), Rejected),
        (answer(413), Rejected),
        (answer(429, b"", {"Retry-After": "5"}), RateLimited),
        (answer(503), Transient),
        (answer(500), OutcomeUnknown),
        (answer(502), OutcomeUnknown),
        (answer(302, b"", {"Location": "/"}), Rejected),
        (answer(204), OutcomeUnknown),
        (cut, OutcomeUnknown),
        (answer(200, b""), OutcomeUnknown),
        (answer(200, b"<html>"), OutcomeUnknown),
        (answer(200, b"\xff"), OutcomeUnknown),
        (answer(200, []), OutcomeUnknown),
        (answer(200, {"results": []}), OutcomeUnknown),
        (answer(200, {"results": None}), OutcomeUnknown),
        (answer(200, {"results": [1]}), OutcomeUnknown),
        (answer(200, result(key="other")), OutcomeUnknown),
        (answer(200, {"results": [*result()["results"], *result()["results"]]}), OutcomeUnknown),
        (answer(200, {"results": [{"key": KEYS[0]}]}), OutcomeUnknown),
        (answer(200, {"results": [{"key": KEYS[0], "status": "published"}]}), OutcomeUnknown),
        (answer(200, result(status="pondering")), OutcomeUnknown),
        (answer(200, result(status=None)), OutcomeUnknown),
        (answer(200, result(status="conflict")), Rejected),
        (answer(200, result(status="invalid", error=["odd"])), Rejected),
    ],
)
def test_what_an_answer_means(server: ScriptedServer, behaviour: Behaviour, kind: type[DeliveryError]) -> None:
    server.then(behaviour)
    with pytest.raises(DeliveryError) as caught:
        run(server, "publish", message(), KEYS[0], None)
    assert type(caught.value) is kind, caught.value


def test_a_shifted_batch_is_unknown_for_all(server: ScriptedServer) -> None:
    def swapped(exchange: Exchange) -> None:
        keys = [post["key"] for post in exchange.seen.json()["posts"]]
        answer(200, {"results": [{"key": key, "status": "published", "id": "1"} for key in reversed(keys)]})(exchange)

    server.then(swapped)
    with pytest.raises(OutcomeUnknown, match="not for the posts"):
        run(server, "publish_many", batch(2))


def test_check(server: ScriptedServer) -> None:
    run(server, "check")
    with pytest.raises(AuthFailed, match="signature"):
        run(server, "check", secret="whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXIt")
    with pytest.raises(AuthFailed, match="signing secret"):
        run(server, "check", secret="whsec_")
    server.then(answer(500))
    with pytest.raises(OutcomeUnknown):
        run(server, "check")


def test_the_embedded_feed_needs_no_options(server: ScriptedServer) -> None:
    async def whole() -> None:
        setting = Setting(name="feed", feed=(f"{server.url}/", Secret.parse(SECRET)))
        destination = CONNECTOR.build(CONNECTOR.options(), setting)
        await destination.check()
        await destination.close()

    asyncio.run(whole())
    assert server.seen[0].path == "/chirp/api/v1/check"
    with pytest.raises(ValueError, match="runs no feed"):
        CONNECTOR.build(CONNECTOR.options(), Setting(name="feed"))


@pytest.mark.parametrize(
    "options", [{"url": "http://a"}, {"secret": SECRET}, {"url": "a.example", "secret": SECRET}, {"url": "", "secret": SECRET}]
)
def test_options_that_contradict(options: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        CONNECTOR.options(**options)


def test_length_is_what_is_shown() -> None:
    assert post_of(message(Value("\u202e" * 100 + "x" * 5000)), KEYS[0], None)
    with pytest.raises(Rejected, match="5001"):
        post_of(message(Literal("x"), Value("x" * 5000)), KEYS[0], None)
