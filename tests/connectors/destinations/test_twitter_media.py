"""X: a picture with its words goes before the post, and what fails of it costs the picture and not the message."""

from __future__ import annotations

import base64
import io
import json
import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from PIL import Image

from connectors.destinations.twitter import CONNECTOR
from connectors.destinations.twitter import media as media_of_x
from connectors.destinations.twitter.lookup import among
from connectors.destinations.twitter.media import alternative
from connectors.destinations.twitter.remarks import remarks
from crmbridge.contract import Ability, Setting, Spoken
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.model import Literal, Media, Receipt, Value
from crmbridge.testing import ScriptedServer, answer, message
from crmbridge.testing.server import Exchange, cut

KEY = "0123456789abcdef0123456789abcdef"
KEYS = {"consumer_key": "ck-123456", "consumer_secret": "cs-123456", "access_token": "1-at-123456", "access_token_secret": "ats-123456"}
NOW = datetime(2026, 11, 30, 12, 0, tzinfo=timezone.utc)
ALT = (Literal("The team of "), Value("Parkers & Søn"))
URL = "https://x.com/i/status/77"


def picture(**more: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), (9, 9, 9)).save(out, "JPEG", **more)
    return out.getvalue()


class World:
    """X, and a host that has pictures."""

    def __init__(self) -> None:
        self.x = ScriptedServer(self.answer)
        self.host = ScriptedServer(answer(200, picture(comment=b"canary-where-it-was-made")))
        self.now = NOW
        self.refusals: dict[str, Callable[[Exchange], None]] = {}
        self.state: dict[str, Any] = {}

    def answer(self, exchange: Exchange) -> None:
        path = exchange.seen.path
        if path in self.refusals:
            return self.refusals.pop(path)(exchange)
        if path == "/2/media/upload":
            return answer(200, {"data": {"id": "146", "media_key": "3_146", "size": 9, **self.state}})(exchange)
        if path == "/2/media/metadata":
            return answer(200, {"data": {"id": "146"}})(exchange)
        return answer(201, {"data": {"id": "77", "text": "x"}})(exchange)

    def account(self, **options: Any) -> Any:
        given = {**KEYS, "api_url": self.x.url, "media_from": ["127.0.0.1"], **options}
        return CONNECTOR.build(CONNECTOR.options(**given), Setting(name="brand", now=lambda: self.now))

    def message(self, url: str | None = None, **more: Any) -> Any:
        return message(media=Media(f"{self.host.url}/a.jpg" if url is None else url, more.pop("alt", ALT)), **more)

    def posted(self, said: Any = None, on: Any = None, key: str = KEY) -> Receipt | DeliveryError:
        try:
            found: Receipt = (on or self.account()).publish(said or self.message(), key, None)
        except DeliveryError as error:
            return error
        return found

    def asked(self) -> list[str]:
        return [seen.path for seen in self.x.seen]


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    with made.x, made.host:
        yield made


WHOLE = ["/2/media/upload", "/2/media/metadata", "/2/tweets"]


def test_the_picture_and_its_words_go_before_the_post(world: World) -> None:
    assert world.posted() == Receipt(remote_id="77", url=URL)
    upload, words, post = world.x.seen
    assert world.asked() == WHOLE
    assert upload.json().keys() == {"media", "media_category"}
    assert upload.json()["media_category"] == "tweet_image"
    given = base64.b64decode(upload.json()["media"])
    assert Image.open(io.BytesIO(given)).size == (40, 30)
    assert b"canary" not in given
    assert words.json() == {"id": "146", "metadata": {"alt_text": {"text": "The team of Parkers & Søn"}}}
    assert post.json() == {"text": "Welcome, Parkers!", "media": {"media_ids": ["146"]}}
    assert all(seen.headers["authorization"].startswith("OAuth ") for seen in world.x.seen)
    assert "authorization" not in world.host.seen[0].headers


def test_a_message_without_one_asks_for_nothing_more(world: World) -> None:
    assert world.posted(message()) == Receipt(remote_id="77", url=URL)
    assert world.asked() == ["/2/tweets"]
    assert world.host.seen == []


LEFT_OUT = "posted without its picture: "


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (answer(404), "HTTP 404"),
        (answer(403), "HTTP 403"),
        (answer(200, b"<html>"), "it is neither a PNG nor a JPEG"),
        (answer(302, b"", {"Location": "http://10.0.0.1/"}), "its address is not https"),
    ],
)
def test_a_picture_that_is_not_there_costs_the_picture(world: World, behaviour: Any, why: str) -> None:
    world.host.then(behaviour)
    assert world.posted() == Receipt(remote_id="77", url=URL, extra={"note": LEFT_OUT + why})
    assert world.asked() == ["/2/tweets"]
    assert world.x.seen[0].json() == {"text": "Welcome, Parkers!"}


@pytest.mark.parametrize(
    ("url", "alt", "why"),
    [
        ("", ALT, "its address is no web address"),
        ("http://[", ALT, "its address is no web address"),
        ("http://192.168.0.9/a.png", ALT, "its address is not https"),
        (None, (), "it has no alternative text"),
        (None, (Value(" \u200b\n"),), "it has no alternative text"),
    ],
)
def test_what_the_rule_made_of_a_record_costs_the_picture(world: World, url: str | None, alt: Any, why: str) -> None:
    assert world.posted(world.message(url, alt=alt)) == Receipt(remote_id="77", url=URL, extra={"note": LEFT_OUT + why})
    assert world.host.seen == []


def test_what_could_not_be_rendered_costs_the_picture(world: World) -> None:
    found = world.posted(message(media=Media("", (), "an address holds no blanks")))
    assert found == Receipt(remote_id="77", url=URL, extra={"note": LEFT_OUT + "an address holds no blanks"})


def test_without_the_library_the_post_goes_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_of_x, "can_make", lambda: False)
    found = world.posted()
    assert isinstance(found, Receipt)
    assert found.extra["note"] == f"{LEFT_OUT}pictures need an extra: pip install 'crmbridge[media]'"


@pytest.mark.parametrize("behaviour", [answer(503), answer(429), cut])
def test_a_picture_that_may_come_is_waited_for(world: World, behaviour: Any) -> None:
    world.host.default = behaviour
    account = world.account()
    for later in (0, 60, 119):
        world.now = NOW + timedelta(seconds=later)
        failed = world.posted(on=account)
        assert type(failed) is Transient
        assert "the picture cannot be fetched" in str(failed)
    assert world.x.seen == []
    world.now = NOW + timedelta(seconds=121)
    found = world.posted(on=account)
    assert isinstance(found, Receipt)
    assert found.extra["note"].endswith(", for 2 minutes")
    world.host.default = answer(503)
    assert type(world.posted(on=account, key="1" * 32)) is Transient  # another message has its own patience


def test_a_picture_that_comes_at_last_is_posted(world: World) -> None:
    world.host.then(answer(503))
    account = world.account()
    assert type(world.posted(on=account)) is Transient
    assert world.posted(on=account) == Receipt(remote_id="77", url=URL)
    assert world.asked() == WHOLE


def problem(detail: str, **more: Any) -> dict[str, Any]:
    return {"title": "Title", "detail": detail, "type": "about:blank", **more}


@pytest.mark.parametrize("path", ["/2/media/upload", "/2/media/metadata"])
@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (answer(400, problem("media type unrecognized.")), Receipt),
        (answer(413, b"too large"), Receipt),
        (answer(403, problem("This user is not allowed to post such a picture.")), Receipt),
        (answer(503), Transient),
        (answer(200, b"<html>"), Transient),
        (answer(200, {"data": None}), Transient),
        (cut, Transient),
        (answer(429, {}, {"Retry-After": "60"}), RateLimited),
        (answer(401, problem("Unauthorized")), AuthFailed),
        (answer(402, {"title": "CreditsDepleted", "type": "https://api.x.com/2/problems/credits"}), AuthFailed),
        (answer(403, problem("Your account is suspended and is not permitted to access this feature.")), AuthFailed),
    ],
    ids=lambda value: "",
)
def test_what_x_says_of_a_picture(world: World, path: str, behaviour: Any, kind: type) -> None:
    """Nothing is posted before the picture is settled, so no answer of it is ever in doubt. Never a picture without its words."""
    world.refusals[path] = behaviour
    found = world.posted()
    assert type(found) is kind, found
    assert not isinstance(found, OutcomeUnknown)
    posts = [seen.json() for seen in world.x.seen if seen.path == "/2/tweets"]
    if isinstance(found, Receipt):
        assert found.extra["note"].startswith(LEFT_OUT + "X does not take it: HTTP 4")
        assert posts == [{"text": "Welcome, Parkers!"}]
    else:
        assert posts == []


def test_what_x_cannot_read_is_left_out(world: World) -> None:
    world.state = {"processing_info": {"state": "failed"}}
    found = world.posted()
    assert isinstance(found, Receipt)
    assert found.extra["note"] == LEFT_OUT + "X cannot read it"


@pytest.mark.parametrize("info", [None, "pending", {"state": "succeeded"}, {}])
def test_other_words_of_x_are_no_failure(world: World, info: Any) -> None:
    world.state = {"processing_info": info}
    assert world.posted() == Receipt(remote_id="77", url=URL)


def test_a_post_that_is_refused_for_its_picture_goes_without_it(world: World) -> None:
    world.refusals["/2/tweets"] = answer(400, {"errors": [{"message": "Your media IDs are invalid."}], "title": "Invalid Request"})
    found = world.posted()
    assert isinstance(found, Receipt)
    assert "Your media IDs are invalid." in found.extra["note"]
    assert [seen.json().get("media") for seen in world.x.seen if seen.path == "/2/tweets"] == [{"media_ids": ["146"]}, None]
    world.refusals["/2/tweets"] = answer(403, problem("You are not allowed to create a Tweet with duplicate content."))
    refused = world.posted()
    assert isinstance(refused, Rejected)  # which no picture caused
    assert len([path for path in world.asked() if path == "/2/tweets"]) == 3


def test_a_post_in_doubt_is_not_made_again(world: World) -> None:
    world.refusals["/2/tweets"] = cut
    assert type(world.posted()) is OutcomeUnknown
    assert world.asked() == WHOLE


def test_a_post_that_could_not_be_sent_is_in_no_doubt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked before it, the picture, has posted nothing."""
    account = world.account()
    connect = socket.socket.connect
    refused = iter([False, False, False, True])  # the host, then X, whose connection is not kept here

    def sometimes(self: socket.socket, where: Any) -> None:
        if next(refused, True):
            raise ConnectionRefusedError(111, "Connection refused")
        connect(self, where)

    world.refusals["/2/media/upload"] = answer(200, {"data": {"id": "146"}}, {"Connection": "close"})
    world.refusals["/2/media/metadata"] = answer(200, {"data": {"id": "146"}}, {"Connection": "close"})
    monkeypatch.setattr(socket.socket, "connect", sometimes)
    failed = world.posted(on=account)
    assert type(failed) is Transient, failed
    assert world.asked() == WHOLE[:2]


def test_a_token_without_the_scope_posts_without_the_picture(world: World, tmp_path: Any) -> None:
    def renew(exchange: Exchange) -> None:
        answer(200, {"access_token": "at-123456", "refresh_token": "rt-123456", "expires_in": 7200, "scope": "tweet.write"})(exchange)

    world.refusals["/2/oauth2/token"] = renew
    options = CONNECTOR.options(client_id="c", refresh_token="first-123456", api_url=world.x.url, media_from=["127.0.0.1"])
    account = CONNECTOR.build(options, Setting(name="brand", now=lambda: NOW, state_folder=tmp_path))
    found = world.posted(on=account)
    assert isinstance(found, Receipt)
    assert found.extra["note"] == LEFT_OUT + "the token has no media.write"
    assert world.asked() == ["/2/oauth2/token", "/2/tweets"]


# --- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("two\nlines", "two\nlines"),
        ("a\x00b\u202ec\x1b[31m", "a\ufffdbc[31m"),
        ("x" * 1001, "x" * 1000),
        ("😷" * 501, "😷" * 500),
        ("👩‍🚀" * 300, "👩‍🚀" * 200),
        ("@jack #win $X https://a.example", "@jack #win $X https://a.example"),
    ],
)
def test_alternative_text_is_what_it_says_and_fits(said: str, told: str) -> None:
    assert alternative(Media("https://a.example/a.png", (Value(said),))) == told
    assert len(told.encode("utf-16-le")) <= 2000


# --- looked up --------------------------------------------------------------------------------


def test_a_post_with_a_picture_is_known_again() -> None:
    """X puts its own address of the picture behind the text."""
    shown = {
        "id": "5",
        "text": "Welcome, Parkers! https://t.co/abc https://t.co/pic",
        "entities": {
            "urls": [
                {"url": "https://t.co/abc", "expanded_url": "https://crm.example/a"},
                {"url": "https://t.co/pic", "expanded_url": "https://x.com/me/status/5/photo/1", "media_key": "3_146"},
            ]
        },
    }
    assert among({"data": [shown], "meta": {}}, "Welcome, Parkers! https://crm.example/a", None) == "5"
    assert among({"data": [shown], "meta": {}}, "Welcome, Parkers!", None) is None


# --- lint -------------------------------------------------------------------------------------


def spoken(words: str = "Welcome", *, link: bool = False, thread: bool = False) -> Spoken:
    return Spoken(words=words, link=link, thread=thread)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (spoken(), []),
        (spoken("Only  words, 5 of 6. Mail ann@acme.com"), []),
        (spoken(link=True), ["its link makes each post cost 0.20 US dollars at X, 13 times"]),
        (spoken("see https:// "), ["the address in its text"]),
        (spoken("see acme.com"), ["the address in its text"]),
        (spoken("with @acme and @Acme_2"), ["it mentions @acme, @Acme_2: since 2026-02-23"]),
        (spoken("thanks, @ !"), []),
        (spoken(thread=True), ["its replies: since 2026-02-23"]),
        (spoken("$ACME"), []),
        (spoken("$ACME and $PARK"), ["X takes one $cashtag"]),
        (spoken("costs $5 and $6"), []),
    ],
)
def test_lint_says_what_a_step_costs_and_risks(step: Spoken, words: list[str]) -> None:
    said = remarks(step)
    assert len(said) == len(words), said
    assert all(one.startswith(begin) for one, begin in zip(said, words, strict=True)), said
    assert CONNECTOR.remarks(CONNECTOR.options(**KEYS), step) == said


def test_the_connector_says_that_it_shows_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    options = CONNECTOR.options(**KEYS)
    assert Ability.MEDIA in CONNECTOR.can(options)
    assert CONNECTOR.lacks(options) == {}
    monkeypatch.setattr("connectors.destinations.twitter.can_make", lambda: False)
    assert CONNECTOR.lacks(options) == {Ability.MEDIA: "pictures need an extra: pip install 'crmbridge[media]'"}


def test_bodies_are_those_of_x_s_description(world: World) -> None:
    """The shapes of CreatePostsRequest, MediaUploadRequest and CreateMediaMetadataRequest in X's OpenAPI description 2.167."""
    world.posted(world.message(link="https://crm.example/a"))
    upload, words, post = (json.loads(seen.body) for seen in world.x.seen)
    assert upload.keys() <= {"media", "media_category", "additional_owners"}
    assert words.keys() <= {"id", "metadata"}
    assert words["metadata"]["alt_text"].keys() == {"text"}
    assert post["media"].keys() <= {"media_ids", "tagged_user_ids"}
