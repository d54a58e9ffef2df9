"""The feed in a real browser: what its content security policy and its script really do."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from crmbridge.chirp import SCHEMA, Feed
from crmbridge.chirp.api import draft
from crmbridge.chirp.passwords import Cost
from crmbridge.chirp.posts import Draft
from crmbridge.db import Database
from crmbridge.server import Server

CHROMIUM = Path("/usr/bin/chromium")
PASSWORD = "correct horse"
SOON = 60_000  # milliseconds in which a page shows what happened, on a busy machine too

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("chromium")]


@pytest.fixture
def chromium() -> Path:
    if not CHROMIUM.exists():
        missing = "Chromium is not installed; `apt-get install chromium` installs it"
        if os.environ.get("CRMBRIDGE_REQUIRE") == "all":
            pytest.fail(missing)
        pytest.skip(missing)
    return CHROMIUM


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Feed, Server]]:
    database = Database(tmp_path / "feed.db", SCHEMA, synchronous="OFF")
    numbers = itertools.count()
    feed = Feed(
        database,
        name="Chirp",
        public_url=None,
        secrets=list,
        now=lambda: datetime.now(timezone.utc),
        token=lambda: f"token-{next(numbers):032d}",
        cost=Cost(2**4, 8, 1),
    )
    server = Server(feed.routes(), name="feed")
    await server.start("127.0.0.1:0")
    await feed.add_user("susan", "Susan Hart", PASSWORD)
    yield feed, server
    await server.stop(0.5)
    feed.close()
    database.close()


def news(key: str, *words: tuple[int, str]) -> Draft:
    return draft(
        {
            "key": key,
            "channel": {"key": "1", "title": "Parkers", "audience": "company"},
            "text": [list(span) for span in words],
            "link": "https://crm.example/1",
            "parent": None,
            "rule": "roll-outs",
            "record": {"source": "crm", "type": "Account", "id": "1"},
            "occurred_at": "2026-11-22T11:59:00Z",
        }
    )


async def publish(feed: Feed, key: str, *words: tuple[int, str]) -> str:
    """A post's code."""
    (outcome,) = await feed._posts.publish([news(key, *words)])
    return outcome.code


async def test_susan_follows_parkers_and_sees_the_news_without_loading_again(running: tuple[Feed, Server], chromium: Path) -> None:
    playwright = pytest.importorskip("playwright.async_api", reason="`pip install playwright` brings the driver of the browser")
    feed, server = running
    await publish(feed, "1", (0, "Contract signed: "), (1, "Parkers"))
    complaints: list[str] = []
    requests: list[str] = []
    async with playwright.async_playwright() as driver:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = await driver.chromium.launch(executable_path=str(chromium), args=options)
        page = await browser.new_page(viewport={"width": 390, "height": 600})
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))

        await page.goto(f"{server.url}/chirp")
        await page.fill("#login", "susan")
        await page.fill("#password", PASSWORD)
        await page.click("text=Sign in >> nth=-1")
        await page.click("text=Find channels to follow")
        await page.click("button:has-text('Follow')")
        await page.wait_for_selector("button:has-text('Following')")
        await page.click("nav >> text=Timeline")
        articles = page.locator("#posts article")
        assert await articles.count() == 1

        await page.evaluate("window.stayed = true")
        passing = await publish(feed, "passing", (0, "Said too early"))
        await page.wait_for_selector(f"#posts #p-{passing}", timeout=SOON)
        await feed._changes.edit(passing, news("edit", (0, "Said too <b>early</b>")))
        await page.wait_for_selector(f"#posts #p-{passing} :text('edited now')", timeout=SOON)
        assert "Said too <b>early</b>" in await page.locator(f"#p-{passing}").inner_text()
        await feed._changes.delete(passing)
        await page.wait_for_selector(f"#p-{passing}", state="detached", timeout=SOON)
        assert await page.evaluate("window.stayed") is True

        await publish(feed, "2", (0, "The roll-out at "), (1, "<img src=x onerror=alert(1)>"), (0, " is live."))
        await page.wait_for_selector("#posts article:nth-child(2)", timeout=SOON)
        assert "The roll-out at <img src=x onerror=alert(1)> is live." in await articles.first.inner_text()
        assert await page.evaluate("window.stayed") is True
        assert await page.locator("#posts img").count() == 0

        await reply(page, "Congratulations!")
        assert "Congratulations!" in await page.locator(".replies article").last.inner_text()

        await stay_where_reading(page, feed, server)
        await page.click("text=Sign out >> nth=0")
        await page.wait_for_url(re.compile("/chirp/sign-in"))
        await browser.close()
    assert complaints == []
    assert all(url.startswith(server.url) for url in requests)


async def reply(page: Any, words: str) -> None:
    await page.locator("#posts article").first.locator("text=Reply").click()
    await page.fill("#text", words)
    await page.click("form.box button")
    await page.wait_for_selector(".replies article")


async def stay_where_reading(page: Any, feed: Feed, server: Server) -> None:
    """Who has scrolled down is not moved, but told."""
    for number in range(12):
        await publish(feed, f"many{number}", (0, f"News number {number}\n\nwith a second line"))
    await page.goto(f"{server.url}/chirp")
    await page.evaluate("window.scrollTo(0, 700)")
    await page.wait_for_timeout(300)
    before = await page.evaluate("[window.scrollY, document.querySelectorAll('#posts article').length]")
    await publish(feed, "late", (0, "Late news"))
    await page.wait_for_selector(".news-button:visible", timeout=SOON)
    assert await page.evaluate("[window.scrollY, document.querySelectorAll('#posts article').length]") == before
    await page.click(".news-button")
    for _ in range(50):  # the policy forbids what wait_for_function would evaluate
        if await page.evaluate("window.scrollY") == 0:
            break
        await page.wait_for_timeout(100)
    assert await page.evaluate("window.scrollY") == 0
    assert "Late news" in await page.locator("#posts article").first.inner_text()
