"""The feed over real HTTP, with a real database: what machines post, what people see, and what nobody may do."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import random
import re
import sqlite3
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from flow.feed import PASSWORD, PROMPT, SECRET, World, channel, channel_code, post, running_feed, said, stream
from yarl import URL

from crmbridge.chirp import SCHEMA, Feed, signing
from crmbridge.chirp.passwords import Cost
from crmbridge.db import Database
from crmbridge.server import Server


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_feed(tmp_path) as running:
        yield running


# --- machines -----------------------------------------------------------------------------------


async def test_posts_are_answered_in_order_with_id_and_url(world):
    results = await world.post(post("a"), post("b", channel=channel("2", "Northwind")))
    assert [result["key"] for result in results] == ["a", "b"]
    assert all(result["status"] == "published" and result["error"] is None for result in results)
    assert results[0]["url"] == f"{world.server.url}/chirp/p/{results[0]['id']}"


async def test_the_same_key_is_repeated_or_a_conflict(world):
    (first,) = await world.post(post())
    (again,) = await world.post(post())
    assert again == first | {"status": "repeated"}
    (other,) = await world.post(post(words="Something else"))
    assert other["status"] == "conflict"
    assert other["id"] is None
    twice = await world.post(post("z"), post("z"), post("z", words="other"))
    assert [result["status"] for result in twice] == ["published", "repeated", "conflict"]


async def test_one_key_at_once_is_published_once(world):
    results = [result for answer in await asyncio.gather(*(world.post(post()) for _ in range(30))) for result in answer]
    assert sorted(result["status"] for result in results) == ["published"] + ["repeated"] * 29
    assert len({result["id"] for result in results}) == 1


INVALID = {
    "not an object": 7,
    "no key": post(key=""),
    "long key": post("k" * 129),
    "no channel": post(channel=None),
    "team": post(channel=channel("1", "Parkers") | {"audience": "team"}),
    "public": post(channel=channel("1", "Parkers") | {"audience": "public"}),
    "long title": post(channel=channel("1", "P" * 201)),
    "empty text": post(words=" \n\u200b"),
    "no text": post(text=None),
    "long text": post(words="a" * 5001),
    "100 KB": post(words="a" * 100_000),
    "wrong kind": post(text=[[2, "x"]]),
    "true for a kind": post(text=[[True, "x"]]),
    "not a pair": post(text=[["x"]]),
    "script link": post(link="javascript:alert(1)"),
    "user in link": post(link="https://crm@evil.example/"),
    "no instant": post(occurred_at="yesterday"),
    "record": post(record=[]),
}


@pytest.mark.parametrize("case", INVALID)
async def test_unusable_post_is_invalid_and_the_others_are_published(world, case):
    good, bad, last = await world.post(post("good"), INVALID[case], post("last"))
    assert (good["status"], bad["status"], last["status"]) == ("published", "invalid", "published")
    assert bad["error"]
    assert bad["id"] is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"posts": []}',
        b'{"posts": 1}',
        b"\xff",
        b'{"posts": [NaN]}',
        b'{"posts": [1], "posts": [2]}',
        b"[" * 100_000,
        b'{"posts": [' + b",".join([b"1"] * 101) + b"]}",
    ],
)
async def test_malformed_request_is_400(world, body):
    assert (await world.send(body))[0] == 400


async def test_deep_nesting_is_never_a_server_error(world):
    for depth in (10, 300, 600, 900, 960, 990, 1100, 5000):
        nested = b'"x": ' + b"[" * depth + b"]" * depth
        body = json.dumps({"posts": [post(str(depth))]}).encode().replace(b'"key"', nested + b', "key"', 1)
        assert (await world.send(body))[0] in (200, 400)


async def test_unsigned_malformed_and_foreign_requests_are_never_taken(world):
    drawn = random.Random(11)
    body = json.dumps({"posts": [post()]}).encode()
    genuine = world.sign(body)
    junk = [
        "",
        " ",
        "v1",
        "v1,",
        "v1,AAAA",
        "v2,AAAA",
        "1_000",
        "9" * 400,
        "-1",
        "a" * 3000,
        "%00",
        "v1,é".encode("latin-1").decode("latin-1"),
    ]
    async with aiohttp.ClientSession() as client:
        for _ in range(250):
            headers, sent = dict(genuine), body
            name = drawn.choice(["webhook-id", "webhook-timestamp", "webhook-signature"])
            match drawn.randrange(4):
                case 0:
                    del headers[name]
                case 1:
                    headers[name] = drawn.choice(junk)
                case 2:
                    at = drawn.randrange(len(body))
                    sent = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
                case 3:
                    stamp = int(world.clock.timestamp()) + drawn.choice([-1, 1]) * drawn.randrange(301, 10**6)
                    signature = signing.sign(SECRET, "msg_1", stamp, body)
                    headers |= {"webhook-timestamp": str(stamp), "webhook-signature": signature}
            async with client.post(f"{world.server.url}/chirp/api/v1/posts", data=sent, headers=headers) as answer:
                assert answer.status == 401, (headers, sent)
    susan = await world.signed_in()
    assert "No channels yet" in (await susan.get("/chirp/channels"))[1]


async def test_the_log_tells_of_posts_that_nobody_signed(world, caplog):
    caplog.set_level(logging.INFO, "crmbridge.security")
    assert (await world.send(b"{}", **{"webhook-signature": "v1,canary"}))[0] == 401
    (one,) = [one for one in caplog.records if one.name == "crmbridge.security"]
    assert (one.getMessage(), one.address, one.reason) == (
        "feed API refused",
        "127.0.0.1",
        "no signature in webhook-signature matches",
    )
    assert "canary" not in caplog.text


async def test_check_says_who_answers_only_to_who_knows_the_secret(world):
    async with aiohttp.ClientSession() as client:
        async with client.get(f"{world.server.url}/chirp/api/v1/check", headers=world.sign()) as answer:
            assert await answer.json() == {"name": "Chirp", "version": 1}
        async with client.get(f"{world.server.url}/chirp/api/v1/check") as answer:
            assert answer.status == 401


async def test_compressed_and_too_large_requests_are_refused(world):
    body = json.dumps({"posts": [post()]}).encode()
    assert (await world.send(body, **{"Content-Encoding": "gzip"}))[0] == 415
    assert (await world.send(b" " * (4 * 1024 * 1024 + 1)))[0] == 413


async def test_a_database_that_cannot_be_written_is_503(world):
    world.database.failure = OSError("disk on fire")
    assert (await world.send(json.dumps({"posts": [post()]}).encode()))[0] == 503
    susan = world.browser()
    assert (await susan.get("/chirp/sign-in"))[0] == 200
    assert (await susan.send("/chirp/sign-in", login="susan", password=PASSWORD))[0] == 503
    world.database.failure = None
    assert (await world.post(post()))[0]["status"] == "published"


async def test_a_sender_chooses_nothing_but_what_a_post_is_made_of(world):
    """Not who wrote it, when, under which id, nor in whose name."""
    more = {
        "id": "chosen",
        "code": "chosen",
        "author": 1,
        "person": 1,
        "created_at": 0,
        "status": "published",
        "url": "https://evil.example",
    }
    (made,) = await world.post(post() | more | {"channel": channel("1", "Parkers") | {"code": "chosen", "id": 7}})
    assert (made["status"], "chosen" in made["url"], "evil" in made["url"]) == ("published", False, False)
    _, page = await (await world.signed_in()).get(f"/chirp/p/{made['id']}")
    assert "chosen" not in page
    rows = await world.database.read(lambda connection: [dict(row) for row in connection.execute("SELECT * FROM post")])
    assert [(row["author"], row["code"]) for row in rows] == [(None, made["id"])]


async def test_channels_are_keyed_and_only_labelled_by_their_title(world):
    await world.post(post("a", channel=channel("1", "Parkers")), post("b", channel=channel("2", "Parkers")))
    await world.post(post("c", channel=channel("1", "Parkers Group")))
    susan = await world.signed_in()
    _, page = await susan.get("/chirp/channels")
    assert re.findall(r'<h2><a href="/chirp/c/(\w+)"><bdi>([^<]*)', page)[0][1] == "Parkers Group"
    assert len(set(re.findall(r'<h2><a href="/chirp/c/(\w+)"', page))) == 2
    assert "crm/Account" not in page


async def test_a_machines_reply_stands_in_its_thread_and_never_in_another_channel(world):
    (first,) = await world.post(post("a"))
    reply, stray, lost = await world.post(
        post("b", "Second act", parent=first["id"]),
        post("c", "Elsewhere", parent=first["id"], channel=channel("2", "Northwind")),
        post("d", "Orphan", parent="nothing"),
    )
    assert {reply["status"], stray["status"], lost["status"]} == {"published"}
    susan = await world.signed_in()
    _, page = await susan.get(f"/chirp/p/{first['id']}")
    assert "1 reply" in page
    assert "Second act" in page
    assert "Elsewhere" not in page
    _, page = await susan.get(f"/chirp/p/{lost['id']}")
    assert "Orphan" in page


# --- signing in ---------------------------------------------------------------------------------


async def test_pages_lead_to_sign_in_and_back(world):
    browser = world.browser()
    _, page = await browser.get("/chirp/channels?q=x")
    assert 'value="/chirp/channels?q=x"' in page
    status, page = await browser.send("/chirp/sign-in", login="susan", password=PASSWORD, next="/chirp/channels?q=x")
    assert status == 200
    assert "No channel is called that" in page


@pytest.mark.parametrize("onward", ["https://evil.example/", "//evil.example", "/chirp/\\evil.example", "javascript:alert(1)"])
async def test_sign_in_never_leads_elsewhere(world, onward):
    browser = world.browser()
    await browser.get("/chirp/sign-in", params={"next": onward})
    assert "evil" not in browser.page
    data = browser.fields() | {"login": "susan", "password": PASSWORD, "next": onward}
    async with browser.session.post(f"{world.server.url}/chirp/sign-in", data=data, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/chirp")


async def test_wrong_password_and_unknown_login_look_the_same(world):
    browser = world.browser()
    wrong = await browser.sign_in("susan", "wrong password")
    unknown = await browser.sign_in("nobody", "wrong password")
    assert wrong[0] == unknown[0] == 400
    assert wrong[1].replace("susan", "") == unknown[1].replace("nobody", "")
    assert browser.cookie() is None


async def test_a_planted_session_is_worth_nothing(world):
    browser = world.browser()
    browser.session.cookie_jar.update_cookies({"chirp": "planted-by-mallory"}, URL(world.server.url))
    assert (await browser.sign_in("susan", PASSWORD))[0] == 200
    first = browser.cookie()
    assert first != "planted-by-mallory"
    mallory = world.browser()
    mallory.session.cookie_jar.update_cookies({"chirp": "planted-by-mallory"}, URL(world.server.url))
    assert "Sign in" in (await mallory.get("/chirp"))[1]


async def holder(world: World, cookie: str | None) -> bool:
    """True if a browser with this cookie is signed in."""
    browser = world.browser()
    browser.session.cookie_jar.update_cookies({"chirp": cookie or ""}, URL(world.server.url))
    return "Sign out" in (await browser.get("/chirp"))[1]


async def test_an_old_cookie_is_dead_after_sign_out(world):
    susan = await world.signed_in()
    cookie = susan.cookie()
    assert await holder(world, cookie)
    await susan.send("/chirp/sign-out")
    assert not await holder(world, cookie)
    assert not susan.cookie()


async def test_a_new_password_ends_all_other_sessions(world):
    one, other = await world.signed_in(), await world.signed_in()
    await one.get("/chirp/account")
    assert (await one.send("/chirp/account/password", old="wrong password", new="a new password"))[0] == 400
    assert (await one.send("/chirp/account/password", old=PASSWORD, new="short"))[0] == 400
    status, page = await one.send("/chirp/account/password", old=PASSWORD, new="a new password")
    assert status == 200
    assert "Your password is changed" in page
    assert await holder(world, one.cookie())
    assert not await holder(world, other.cookie())
    assert (await world.browser().sign_in("susan", PASSWORD))[0] == 400
    assert (await world.browser().sign_in("susan", "a new password"))[0] == 200


async def test_sign_out_everywhere_set_password_and_removal_end_sessions(world):
    one, other = await world.signed_in(), await world.signed_in()
    await one.send("/chirp/account/sign-out-everywhere")
    assert not await holder(world, other.cookie())
    again = await world.signed_in()
    await world.feed.set_password("susan", "by the administrator")
    assert not await holder(world, again.cookie())
    last = await world.signed_in()
    await world.feed.remove_user("Susan")
    assert not await holder(world, last.cookie())
    assert [user.login for user in await world.feed.users()] == ["tom"]
    await world.feed.add_user("susan", "Another Susan", None)
    with pytest.raises(ValueError, match="already"):
        await world.feed.add_user("SUSAN", "Third Susan", None)


async def test_sessions_end_by_idling_and_by_age(world):
    susan = await world.signed_in()
    for _ in range(4):
        world.clock += timedelta(days=6, hours=23)
        assert await holder(world, susan.cookie())
    world.clock += timedelta(days=3)
    assert not await holder(world, susan.cookie())  # 30 days in all
    idle = await world.signed_in()
    world.clock += timedelta(days=7)
    assert not await holder(world, idle.cookie())


async def test_only_digests_are_stored(world):
    susan = await world.signed_in()
    link = await world.feed.one_time_link("susan")
    dump = await world.database.read(lambda connection: "\n".join(connection.iterdump()))
    for secret in (susan.cookie(), link.rpartition("/")[2], PASSWORD):
        assert secret not in dump
        assert secret.encode().hex().upper() not in dump.upper(), "a dump writes bytes as digits"


@pytest.mark.parametrize(("public_url", "name"), [("https://bridge.example.com", "__Host-chirp"), (None, "chirp")])
async def test_cookie_attributes(tmp_path, public_url, name):
    database = Database(tmp_path / "feed.db", SCHEMA, synchronous="OFF")
    numbers = itertools.count()
    feed = Feed(
        database,
        name="Chirp",
        public_url=public_url,
        secrets=lambda: [SECRET],
        now=lambda: datetime.now(timezone.utc),
        token=lambda: f"token-{next(numbers):032d}",
        cost=Cost(2**4, 8, 1),
    )
    server = Server(feed.routes(), name="feed")
    await server.start("127.0.0.1:0")
    try:
        await feed.add_user("susan", "Susan", PASSWORD)
        async with aiohttp.ClientSession() as client:
            link = server.url + await feed.one_time_link("susan")
            async with client.get(link) as answer:
                planted = next(value for value in answer.headers.getall("Set-Cookie") if value.startswith(f"{name}-form="))
                proof = re.search(r'name="proof" value="([^"]*)"', await answer.text())[1]
            headers = {"Cookie": planted.partition(";")[0]}
            async with client.post(link, data={"proof": proof}, headers=headers, allow_redirects=False) as answer:
                assert ("Strict-Transport-Security" in answer.headers) == (public_url is not None)
                cookies = [planted, *answer.headers.getall("Set-Cookie")]
            data = {"login": "susan", "password": PASSWORD, "proof": proof}
            async with client.post(f"{server.url}/chirp/sign-in", data=data, headers=headers, allow_redirects=False) as answer:
                cookies += answer.headers.getall("Set-Cookie")
        assert {one.partition("=")[0] for one in cookies} == {name, f"{name}-form", f"{name}-device"}
        for cookie in cookies:
            assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
            assert ("Secure" in cookie.split("; ")) == (public_url is not None)
            assert "Domain" not in cookie
    finally:
        await server.stop(0.1)
        feed.close()
        database.close()


# --- forms and headers --------------------------------------------------------------------------


def forms(world: World) -> list[str]:
    """Every address that takes something other than GET, from the route table; only the signed API is left out."""
    routes = [route for route in world.feed.routes() if route.method not in ("GET", "HEAD") and "/api/" not in route.path]
    assert len(routes) >= 8
    return [re.sub(r"\{\w+\}", "x", route.path) for route in routes]


async def test_every_form_needs_its_proof_and_its_origin(world):
    susan, stranger = await world.signed_in(), world.browser()
    await stranger.get("/chirp/sign-in")
    await susan.get("/chirp/account")
    foreign = (await world.signed_in("tom")).fields()["proof"]
    values = {"text": "x", "login": "susan", "password": PASSWORD, "old": PASSWORD, "new": "a new password"}
    for path in forms(world):
        for browser in (susan, stranger):
            assert (await browser.send(path, **values, proof=""))[0] == 403, path
            assert (await browser.send(path, **values, proof=foreign))[0] == 403, path
            assert (await browser.send(path, **values, proof="é\udcff".encode("utf-8", "replace").decode()))[0] == 403, path
            for origin in ("https://evil.example", "null", world.server.url + "0", ""):
                assert (await browser.send(path, {"Origin": origin}, **values))[0] == 403, path
            assert (await browser.send(path, {"Sec-Fetch-Site": "cross-site"}, **values))[0] == 403, path
    assert await holder(world, susan.cookie())


async def test_a_form_with_its_origin_is_taken(world):
    await world.post(post())
    susan = await world.signed_in()
    code = await channel_code(susan)
    status, _ = await susan.send(f"/chirp/c/{code}/follow", {"Origin": world.server.url, "Sec-Fetch-Site": "same-origin"})
    assert status == 200


async def test_every_page_has_the_strict_headers(world):
    (made,) = await world.post(post())
    susan = await world.signed_in()
    code = await channel_code(susan)
    for path in (
        "/chirp",
        "/chirp/channels",
        f"/chirp/c/{code}",
        f"/chirp/p/{made['id']}",
        "/chirp/account",
        "/chirp/nothing",
        "/chirp/sign-in",
    ):
        async with susan.session.get(world.server.url + path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert "base-uri 'none'" in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "same-origin"
            assert answer.headers["Cache-Control"] == "no-store"
            page = await answer.text()
            assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?! src=)", page)
            assert '<html lang="en">' in page


async def test_missing_things_look_the_same(world):
    susan = await world.signed_in()
    answers = {await susan.get(path) for path in ("/chirp/c/nothing", "/chirp/p/nothing", "/chirp/x/y", "/chirp/live?channel=nothing")}
    assert len(answers) == 1
    assert answers.pop()[0] == 404
    assert (await susan.get("/chirp/static/../feed.py"))[0] == 404
    assert (await susan.get("/chirp/static/%2e%2e%2ffeed.py"))[0] == 404


# --- reading and writing ------------------------------------------------------------------------


async def test_the_timeline_is_what_one_follows(world):
    await world.post(post("a", "one"), post("b", "two", channel=channel("2", "Northwind")))
    susan = await world.signed_in()
    assert "You follow no channels yet" in susan.page
    await world.feed.follow("susan", "crm/Account/1")
    assert said((await susan.get("/chirp"))[1]) == ["one"]
    code = re.search(r"<bdi>Parkers</bdi>", susan.page) and re.search(r'href="/chirp/c/(\w+)"', susan.page)[1]
    await susan.send(f"/chirp/c/{code}/unfollow")
    assert said((await susan.get("/chirp"))[1]) == []
    await world.feed.follow("susan", "crm/Account/3", "Not spoken to yet")
    assert "Not spoken to yet" in (await susan.get("/chirp/channels"))[1]


async def test_pages_of_the_timeline_hold_everything_once(world):
    for batch in range(5):
        await world.post(*(post(f"{batch}-{n}", f"post {batch * 20 + n}") for n in range(20)))
    susan = await world.signed_in()
    await world.feed.follow("susan", "crm/Account/1")
    for start in ("/chirp", f"/chirp/c/{await channel_code(susan)}"):
        seen: list[str] = []
        path: str | None = start
        while path:
            _, page = await susan.get(path)
            seen += said(page)
            older = re.search(r'href="([^"]*before=\d+)"', page)
            path = older[1] if older else None
        assert seen == [f"post {n}" for n in reversed(range(100))]


async def test_channels_are_paged_and_searched(world):
    await world.post(
        *(post(f"k{n}", channel=channel(str(n), f"Müller {n}")) for n in range(70)), post("x", channel=channel("x", "Northwind"))
    )
    susan = await world.signed_in()
    titles: list[str] = []
    path = "/chirp/channels?q=MULLER"
    while path:
        _, page = await susan.get(path)
        titles += re.findall(r'<h2><a href="/chirp/c/\w+"><bdi>([^<]*)', page)
        older = re.search(r'href="(/chirp/channels\?[^"]*before=\d+)"', page)
        path = older[1].replace("&amp;", "&") if older else ""
    assert titles == [f"Müller {n}" for n in reversed(range(70))]
    assert "No channel is called that" in (await susan.get("/chirp/channels?q=%25"))[1]


async def test_people_post_and_reply_and_a_double_click_is_one_post(world):
    (made,) = await world.post(post())
    susan = await world.signed_in()
    code = await channel_code(susan)
    await susan.get(f"/chirp/c/{code}")
    form = susan.fields()
    for _ in range(2):
        status, _ = await susan.send(f"/chirp/c/{code}", **form, text="Hello\r\nParkers")
        assert status == 200
    assert said((await susan.get(f"/chirp/c/{code}"))[1]) == ["Hello\nParkers", "The roll-out at Parkers is live."]
    await susan.get(f"/chirp/p/{made['id']}")
    status, page = await susan.send(f"/chirp/p/{made['id']}", text="Congratulations!")
    assert (status, said(page)) == (200, ["The roll-out at Parkers is live.", "Congratulations!"])
    assert "Susan Hart" in page
    assert "1 reply" in (await susan.get(f"/chirp/c/{code}"))[1]


async def test_unusable_posts_of_people_keep_what_was_written(world):
    await world.post(post())
    susan = await world.signed_in()
    code = await channel_code(susan)
    await susan.get(f"/chirp/c/{code}")
    assert (await susan.send(f"/chirp/c/{code}", text=" \u200b "))[0] == 400
    status, page = await susan.send(f"/chirp/c/{code}", text="<b>" + "x" * 5000)
    assert status == 400
    assert "&lt;b&gt;xxx" in page
    assert (await susan.send("/chirp/c/nothing", text="x"))[0] == 404


async def test_what_cannot_be_written_can_still_be_read(world):
    susan = await world.signed_in()
    world.clock += timedelta(hours=1)
    world.database.failure = OSError("disk on fire")
    assert (await susan.get("/chirp"))[0] == 200


# --- hostile records ----------------------------------------------------------------------------

PAYLOADS = [
    "<script>alert(1)</script>",
    "</bdi></div><script src=//evil.example></script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "\"><iframe src=javascript:alert(1)>",
    "' autofocus onfocus=alert(1) x='",
    "javascript:alert(1)",
    "https://evil.example/",
    "[x](javascript:alert(1))",
    "{{ 7 * 7 }}{% include 'base.html' %}",
    "${7*7}#{7*7}<%= 7*7 %>",
    "<!--", "-->", "<![CDATA[", "]]>", "</title>", "</textarea>", "</style>", "<style>*{display:none}</style>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "<base href=//evil.example>",
    "<form action=//evil.example><input name=proof>",
    "<a href=//evil.example>x</a>",
    "&lt;script&gt;&#60;script&#62;",
    "\u202egnp.exe",
    "\x00<script>\x00",
    "\ud800<b>",
    "a\u0085b\u2028c",
    "<" * 4000,
    "\u0301" * 3000,
    "event: end\ndata: x\n\nid: 9",
]  # fmt: skip


class Shape(HTMLParser):
    """Elements with their attributes; values only where they are ours, so that two pages can be compared."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.text: list[str] = []
        self.comments = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(sorted(name for name, _ in attrs))))
        for name, value in attrs:
            if name in ("href", "src", "action"):
                assert (value or "").startswith(("/chirp", "#", "https://crm.example/")), value

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments += 1


def shape(page: str) -> Shape:
    parser = Shape()
    parser.feed(page)
    parser.close()
    return parser


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
async def test_a_record_is_never_more_than_text(world, payload):
    def of(key: str, words: str) -> dict[str, Any]:
        return post(
            key,
            [[0, "Now "], [1, words], [0, " at "], [1, words[:900]]],
            channel=channel(key, words[:200]),
            rule=words[:200],
            link="https://crm.example/1",
        )

    susan = await world.signed_in()
    shapes = []
    for key, words in (("benign", "x" * len(payload)), ("hostile", payload)):
        await world.database.write(forget_everything)
        (made,) = await world.post(of(key, words))
        assert made["status"] == "published", made
        await world.feed.follow("susan", key)
        paths = ["/chirp", "/chirp/channels", f"/chirp/p/{made['id']}", f"/chirp/c/{await channel_code(susan)}"]
        pages = [await susan.get(path) for path in paths]
        assert [status for status, _ in pages] == [200] * 4
        live = await stream(susan, "/chirp/live?after=0")
        pages.append((200, json.loads((await live.next())["data"])["html"]))
        live.answer.close()
        shapes.append([shape(page) for _, page in pages])
    for benign, hostile in zip(*shapes, strict=True):
        assert hostile.elements == benign.elements
        assert hostile.comments == 0
        assert not set("".join(hostile.text)) & set("\u202e\u2066\u200b\x00")


def forget_everything(connection: sqlite3.Connection) -> None:
    for table in ("follow", "post", "channel"):
        connection.execute(f"DELETE FROM {table}")


# --- live ---------------------------------------------------------------------------------------


async def test_new_posts_arrive_within_a_second(world):
    susan = await world.signed_in()
    await world.feed.follow("susan", "crm/Account/1")
    live = await stream(susan)
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await world.post(post("x", "not followed", channel=channel("2", "Northwind")), post("a", [[1, "line\nid: 7\n\nend"], [0, "first"]]))
    event = await live.next()
    assert time.monotonic() - began < PROMPT
    assert "first" in json.loads(event["data"])["html"]
    assert "not followed" not in event["data"]
    await world.post(post("b", "second"))
    following = await live.next()
    assert int(following["id"]) > int(event["id"])
    live.answer.close()


async def test_a_stream_goes_on_where_it_was_cut(world):
    susan = await world.signed_in()
    await world.feed.follow("susan", "crm/Account/1")
    live = await stream(susan)
    await asyncio.sleep(0.1)
    await world.post(post("a", "one"))
    last = (await live.next())["id"]
    live.answer.close()
    await world.post(post("b", "two"), post("c", "three"))
    live = await stream(susan, "/chirp/live?after=0", **{"Last-Event-ID": last})
    assert ["two" in (await live.next())["data"], "three" in (await live.next())["data"]] == [True, True]
    live.answer.close()
    live = await stream(susan, f"/chirp/live?after={last}")
    assert "two" in (await live.next())["data"]
    live.answer.close()


async def test_a_stream_of_one_channel_needs_no_follow(world):
    await world.post(post("a", "one"))
    susan = await world.signed_in()
    live = await stream(susan, f"/chirp/live?channel={await channel_code(susan)}")
    await asyncio.sleep(0.1)
    await world.post(post("b", "elsewhere", channel=channel("2", "Northwind")), post("c", "two"))
    event = await live.next()
    assert "two" in event["data"]
    live.answer.close()


async def test_who_missed_very_much_loads_the_page_again(world):
    for batch in range(2):
        await world.post(*(post(f"{batch}-{n}", "x") for n in range(60)))
    susan = await world.signed_in()
    await world.feed.follow("susan", "crm/Account/1")
    live = await stream(susan, "/chirp/live?after=0")
    assert (await live.next())["event"] == "reload"


@pytest.mark.parametrize("ending", ["sign-out", "removal", "password", "stop"])
async def test_a_stream_ends_within_a_second(world, ending):
    susan = await world.signed_in()
    live = await stream(susan)
    await asyncio.sleep(0.1)
    began = time.monotonic()
    match ending:
        case "sign-out":
            await susan.send("/chirp/sign-out")
        case "removal":
            await world.feed.remove_user("susan")
        case "password":
            await world.feed.set_password("susan", "a new password")
        case "stop":
            await world.server.stop(3)
    event = await live.next()
    assert event == ({"end": "of stream"} if ending == "stop" else {"event": "end", "data": ""})
    assert time.monotonic() - began < PROMPT


async def test_streams_are_bounded(world):
    susan = await world.signed_in()
    live = [await stream(susan) for _ in range(10)]
    await asyncio.sleep(0.05)
    assert (await susan.get("/chirp/live"))[0] == 503
    live.pop().answer.close()
    await world.post(post())  # a closed stream is noticed when something is written
    for one in live:
        one.answer.close()


async def test_nobody_listens_without_a_session(world):
    status, page = await world.browser().get("/chirp/live")
    assert status == 200
    assert "Sign in" in page
