"""The frame of pages, on a site of its own: what every page of crmbridge has, whoever's it is."""

import re
from datetime import datetime, timezone

import aiohttp
import pytest
from aiohttp import web

from crmbridge.chirp import SCHEMA
from crmbridge.db import Database
from crmbridge.pages import Frame, PageError, Sessions, Theme
from crmbridge.pages.forms import from_here, proof_of, proves
from crmbridge.server import Server

NOW = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
TEMPLATES = {
    "base.html": "{% extends 'page.html' %}{% block title %}{{ title }}{% endblock %}{% block main %}<p>{{ words }}</p>{{ proof }}{% endblock %}",  # noqa: E501
    "error.html": "{% extends 'page.html' %}{% block main %}{{ status }} {{ advice }}{% endblock %}",
}


class Console:
    """Two pages and a form below /console."""

    def __init__(self, folder, public_url=None):
        (folder / "templates").mkdir()
        (folder / "static").mkdir()
        (folder / "static" / "console.css").write_text("p { color: red }")
        (folder / "static" / "mark.svg").write_text("<svg/>")
        (folder / "static" / "page.js").write_text("1")
        for name, text in TEMPLATES.items():
            (folder / "templates" / name).write_text(text)
        self.database = Database(folder / "feed.db", SCHEMA, synchronous="OFF")
        tokens = (f"{number:032}" for number in range(100))
        self.sessions = Sessions(self.database, lambda: NOW, lambda: next(tokens))
        look = Theme(folder, "/console", filters={}, words={"site": "Console"}, now=lambda: NOW)
        self.frame = Frame(
            self.sessions, look, cookie="console", public_url=public_url, now=lambda: NOW, token=lambda: next(tokens), around=self.around
        )
        self.sent = []
        routes = [
            web.get("/console", self.frame.page(self.show)),
            web.get("/console/open", self.frame.page(self.show, anyone=True)),
            web.get("/console/broken", self.frame.page(self.break_, anyone=True)),
            web.post("/console/open", self.frame.form(self.take, anyone=True)),
        ]
        self.server = Server([*routes, *self.frame.routes()], name="console")

    async def around(self, person):
        return {"title": person.name if person else "<nobody>"}

    async def show(self, visit):
        return await self.frame.render(visit, "base.html", words="<b>bold</b>")

    async def break_(self, visit):
        raise PageError(429, "Slowly", "Wait.", 3) if "wait" in visit.request.query else KeyError("a secret of ours")

    async def take(self, visit):
        self.sent.append(visit.form["words"])
        return self.frame.redirect("/console/open")


@pytest.fixture
async def console(tmp_path):
    made = Console(tmp_path)
    await made.server.start("127.0.0.1:0")
    yield made
    await made.server.stop()
    made.database.close()


@pytest.fixture
async def browser():
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        yield client


async def test_another_site_than_the_feed_stands_in_the_frame(console, browser):
    """With its own address, cookies, look and words; and nothing of a page is left to be remembered."""
    async with browser.get(f"{console.server.url}/console/open") as answer:
        page = await answer.text()
    assert "<title>&lt;nobody&gt; · Console</title>" in page
    assert "<p>&lt;b&gt;bold&lt;/b&gt;</p>" in page
    policy = answer.headers["Content-Security-Policy"]
    assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy.split("; "))
    assert "unsafe" not in policy
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    (cookie,) = answer.headers.getall("Set-Cookie")
    assert cookie.startswith("console-form=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))


async def test_who_is_not_signed_in_is_led_to_the_sites_own_door(console, browser):
    async with browser.get(f"{console.server.url}/console?x=1", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/console/sign-in?next=%2Fconsole%3Fx%3D1")


async def test_a_form_is_taken_from_our_own_page_alone(console, browser, caplog):
    """What is refused is told to the security log, without what it said."""
    url = f"{console.server.url}/console/open"
    async with browser.get(url) as answer:
        proof = re.search(r"</p>(\S+)", await answer.text())[1].removesuffix("</main>")
    good = {"words": "hello", "proof": proof}
    for form, headers, status in (
        (good, {}, 303),
        (good, {"Origin": console.server.url}, 303),
        (good, {"Origin": "https://evil.example"}, 403),
        (good, {"Origin": "null"}, 403),
        (good, {"Sec-Fetch-Site": "cross-site"}, 403),
        (good, {"Sec-Fetch-Site": "same-site"}, 403),
        ({"words": "hello"}, {}, 403),
        ({"words": "hello", "proof": proof_of("another")}, {}, 403),
        ({"words": "hello", "proof": proof_of("")}, {"Cookie": "console-form="}, 403),
    ):
        async with browser.post(url, data=form, headers=headers, allow_redirects=False) as answer:
            assert answer.status == status, (form, headers)
    assert console.sent == ["hello", "hello"]
    told = [(line.message, line.path, line.address, line.why) for line in caplog.records if line.name == "crmbridge.security"]
    elsewhere, unproved = "it came from another site", "it has no proof of this session"
    assert told == [("form refused", "/console/open", "127.0.0.1", why) for why in [*[elsewhere] * 4, *[unproved] * 3]]


async def test_errors_have_the_sites_look_and_tell_nothing_of_ours(console, browser):
    async with browser.get(f"{console.server.url}/console/broken") as answer:
        assert (answer.status, "a secret of ours" in await answer.text()) == (500, False)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    async with browser.get(f"{console.server.url}/console/broken?wait") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
        assert "429 Wait." in await answer.text()
    async with browser.get(f"{console.server.url}/console/nowhere", allow_redirects=False) as answer:
        assert answer.status == 303, "a stranger does not learn which addresses there are"


async def test_files_are_kept_by_browsers_under_an_address_that_changes_with_them(console, browser):
    async with browser.get(f"{console.server.url}/console/static/console.css") as answer:
        assert (await answer.text(), answer.headers["Cache-Control"]) == ("p { color: red }", "no-cache")
        assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
    for name, kind in (("mark.svg", "image/svg+xml"), ("page.js", "text/javascript")):
        async with browser.get(f"{console.server.url}/console/static/{name}") as answer:
            assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
    for name in ("..%2ftemplates%2fbase.html", "nothing.css", "console.css%00"):
        async with browser.get(f"{console.server.url}/console/static/{name}", allow_redirects=False) as answer:
            assert answer.status in (303, 404)


@pytest.mark.parametrize(
    ("origin", "fetch_site", "ours"),
    [("https://a.example", None, True), ("https://a.example", "cross-site", True), (None, None, True), (None, "same-origin", True),
     ("https://a.example:444", None, False), ("http://a.example", None, False), ("", None, False), ("null", "same-origin", False),
     (None, "same-site", False), (None, "none", False), (None, "cross-site", False)],
)  # fmt: skip
def test_where_a_form_may_come_from(origin, fetch_site, ours):
    assert from_here(origin, fetch_site, "https://a.example") is ours


def test_a_proof_is_of_one_cookie():
    assert proves(proof_of("cookie"), "cookie")
    assert not proves(proof_of("cookie"), "another")
    assert not proves("", "cookie")
    assert not proves(proof_of(""), "")
    assert not proves("\ud800é", "cookie")
