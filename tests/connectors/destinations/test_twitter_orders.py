"""X after the post: is it there, take it back, what it costs; and words that are shortened until they fit."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses

from connectors.destinations.twitter import CONNECTOR
from connectors.destinations.twitter.destination import fitting, price
from connectors.destinations.twitter.text import weight
from crmbridge.contract import Ability, Setting
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.model import Literal, Receipt, Value
from crmbridge.testing import message

API = "https://api.x.com/2"
TIMELINE = f"{API}/users/12345/tweets"
KEY = "0123456789abcdef0123456789abcdef"
SINCE = datetime(2026, 11, 22, 12, 0, 30, 999, tzinfo=timezone.utc)
SECRETS = {"consumer_key": "ck-123456", "consumer_secret": "cs-123456", "access_token": "12345-token", "access_token_secret": "ats-123456"}


def account(**options: Any) -> Any:
    return CONNECTOR.build(CONNECTOR.options(**{**SECRETS, **options}), Setting(name="brand"))


def post(text: str, id: str = "77", urls: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    entities = {"urls": [{"url": short, "expanded_url": whole, "display_url": "…"} for short, whole in urls.items()]} if urls else {}
    return {"id": id, "text": text, "entities": entities, **more}


def page(*posts: Any, token: str | None = None) -> dict[str, Any]:
    meta = {"result_count": len(posts), **({"next_token": token} if token else {})}
    return {"data": list(posts), "meta": meta} if posts else {"meta": meta}


def found(*pages: Any, said: Any = None, parent: Receipt | None = None) -> Any:
    with responses.RequestsMock() as net:
        for one in pages:
            net.get(TIMELINE, json=one)
        return account().find(said or message(), KEY, parent, SINCE)


# --- find -------------------------------------------------------------------------------------


def test_our_own_timeline_is_asked() -> None:
    with responses.RequestsMock() as net:
        net.get(TIMELINE, json=page(post("other", "1"), post("Welcome, Parkers!", "2")))
        receipt = account().find(message(), KEY, None, SINCE)
        (call,) = net.calls
    assert receipt == Receipt(remote_id="2", url="https://x.com/i/status/2")
    assert parse_qs(urlsplit(call.request.url).query) == {
        "start_time": ["2026-11-22T11:59:30Z"],
        "max_results": ["100"],
        "tweet.fields": ["entities,note_tweet,referenced_tweets"],
        "exclude": ["retweets"],
    }


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (message(Literal("A & B <c> "), Value("x")), post("A &amp; B &lt;c&gt; x")),
        (message(Value("&amp; stays")), post("&amp;amp; stays")),
        (message(Value("e\u0301"), Literal("  two\n\nlines ")), post("é two\n\nlines")),
        (
            message(link="https://crm.example/a?b=1&c=2"),
            post("Welcome, Parkers!\nhttps://t.co/abc", urls={"https://t.co/abc": "https://crm.example/a?b=1&amp;c=2"}),
        ),
        (message(Literal("see example.com now")), post("see https://t.co/abc now", urls={"https://t.co/abc": "http://example.com"})),
        (
            message(link="https://crm.example.com"),
            post("Welcome, Parkers! https://t.co/a", urls={"https://t.co/a": "https://crm.example.com/"}),
        ),
        (message(Value("@jack #win Booking.com")), post("@jack #win Booking.com")),  # X may drop what is not seen
        (message(Value("x" * 200)), post("x" * 100 + "…", note_tweet={"text": "x" * 200, "entities": {}})),
    ],
)
def test_a_text_is_known_again(said: Any, shown: dict[str, Any]) -> None:
    assert found(page(post("Something else", "1"), shown), said=said) == Receipt(remote_id="77", url="https://x.com/i/status/77")


@pytest.mark.parametrize(
    "shown",
    [
        post("Welcome, Parkers"),
        post("Welcome, Parkers! And more"),
        post("welcome, parkers!"),
        post("Welcome, Parkers!", referenced_tweets=[{"type": "replied_to", "id": "5"}]),
        post("Welcome, Parkers! https://t.co/abc", urls={"https://t.co/abc": "https://other.example/"}),
        {"id": 77, "text": "Welcome, Parkers!"},
        {"id": "77"},
        "odd",
    ],
)
def test_another_text_is_another_post(shown: Any) -> None:
    assert found(page(shown)) is None


def test_a_reply_is_known_by_its_parent() -> None:
    reply = post("Welcome, Parkers!", referenced_tweets=[{"type": "quoted", "id": "9"}, {"type": "replied_to", "id": "5"}])
    assert found(page(reply), parent=Receipt(remote_id="5")) == Receipt(remote_id="77", url="https://x.com/i/status/77")
    assert found(page(reply), parent=Receipt(remote_id="6")) is None
    assert found(page(post("Welcome, Parkers!")), parent=Receipt(remote_id="5")) is None


def test_every_page_is_read_before_it_is_not_there() -> None:
    assert found(page()) is None
    assert found(page(post("a"), token="n"), page(post("b"))) is None
    assert found(page(post("a"), token="n"), page(post("Welcome, Parkers!"))).remote_id == "77"
    with pytest.raises(Rejected, match="more than 300 posts") as caught:
        found(*[page(post("a"), token="n")] * 3)
    assert caught.value.code == "find"


def test_an_odd_token_asks_who_we_are_once() -> None:
    destination = account(access_token="opaque-token")
    with responses.RequestsMock() as net:
        net.get(f"{API}/users/me", json={"data": {"id": "12345", "name": "Acme"}})
        net.get(TIMELINE, json=page())
        for _ in range(2):
            assert destination.find(message(), KEY, None, SINCE) is None
        assert [call.request.url.partition("?")[0] for call in net.calls] == [f"{API}/users/me", TIMELINE, TIMELINE]


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"status": 401, "json": {"title": "Unauthorized"}}, AuthFailed),
        ({"status": 402, "json": {"title": "CreditsDepleted"}}, AuthFailed),
        ({"status": 403, "json": {"detail": "no", "type": "https://api.twitter.com/2/problems/client-forbidden"}}, Rejected),
        ({"status": 403, "json": {"detail": "You are not permitted to perform this action."}}, Rejected),
        ({"status": 404, "json": {}}, Rejected),
        ({"status": 400, "json": {}}, Rejected),
        ({"status": 429, "json": {}}, RateLimited),
        ({"status": 500}, Transient),
        ({"status": 503, "body": "<html>"}, Transient),
        ({"body": "<html>"}, Transient),
        ({"json": {}}, Transient),
        ({"json": []}, Transient),
        ({"json": {"data": {"id": "77", "text": "Welcome, Parkers!"}}}, Transient),
        ({"json": {"meta": 5}}, Transient),
        ({"json": {"errors": [{"detail": "partial"}]}}, Transient),
        ({"body": requests.ReadTimeout("late")}, Transient),
    ],
)
def test_what_a_refused_look_means(given: dict[str, Any], kind: type[DeliveryError]) -> None:
    with responses.RequestsMock() as net:
        net.get(TIMELINE, **given)
        with pytest.raises(DeliveryError) as caught:
            account().find(message(), KEY, None, SINCE)
        assert len(net.calls) == 1
    assert type(caught.value) is kind, caught.value
    assert kind is not Rejected or caught.value.code == "find"


# --- delete -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"json": {"data": {"deleted": True}}}, None),
        ({"status": 404, "json": {"title": "Not Found Error"}}, None),
        ({"json": {"data": {"deleted": False}}}, OutcomeUnknown),
        ({"body": "<html>"}, OutcomeUnknown),
        ({"status": 403, "json": {"detail": "You are not authorized to delete this Tweet."}}, Rejected),
        ({"status": 401, "json": {}}, AuthFailed),
        ({"status": 429, "json": {}}, RateLimited),
        ({"status": 503}, OutcomeUnknown),
    ],
)
def test_deleting(given: dict[str, Any], kind: type[DeliveryError] | None) -> None:
    with responses.RequestsMock() as net:
        net.delete(f"{API}/tweets/77", **given)
        if kind is None:
            account().delete(Receipt(remote_id="77"))
        else:
            with pytest.raises(DeliveryError) as caught:
                account().delete(Receipt(remote_id="77"))
            assert type(caught.value) is kind


@pytest.mark.parametrize("id", ["", "../users/me", "7 7"])
def test_only_a_post_is_deleted(id: str) -> None:
    with responses.RequestsMock(), pytest.raises(Rejected, match="names no post"):
        account().delete(Receipt(remote_id=id))


def test_abilities() -> None:
    assert CONNECTOR.can(CONNECTOR.options(**SECRETS)) == {Ability.THREAD, Ability.DELETE, Ability.FIND, Ability.MEDIA}


# --- what it costs, and what fits ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "dollars"),
    [
        ("Welcome, Parkers!", "0.015"),
        ("see https://crm.example.com/x", "0.20"),
        ("see example.com", "0.20"),
        ("http://intranet/x", "0.015"),
        ("e.g. this", "0.015"),
        ("a." * 5000, "0.20"),
    ],
)
def test_an_address_costs_more(text: str, dollars: str) -> None:
    assert price(text) == Decimal(dollars)


def test_the_link_of_a_step_is_counted() -> None:
    assert account().price(message()) == Decimal("0.015")
    assert account().price(message(link="https://crm.example.com/1")) == Decimal("0.20")
    assert account().price(message(Value("Booking.com"))) == Decimal("0.015")


def test_words_are_shortened_by_their_weight() -> None:
    link = "https://crm.example.com/" + "y" * 500
    for words in ("日" * 400, "x" * 400, "👩‍🚀 " * 200, "Booking.com " * 100, "e\u0301" * 400):
        text = fitting(message(Literal("At "), Value(words, True), Literal(" it is live. #win"), link=link), 280)
        assert text.startswith("At ")
        assert text.endswith(f"… it is live. #win\n{link}")
        assert 270 <= weight(text) <= 280, words[:5]
    with pytest.raises(Rejected, match="weighs"):
        fitting(message(Literal("At "), Value("日" * 400)), 280)
    with pytest.raises(Rejected, match="weighs"):
        fitting(message(Literal("日" * 141), Value("x", True)), 280)
