"""A feed over real HTTP with a real database, and somebody's browser as far as these tests need one."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from crmbridge.chirp import SCHEMA, Feed, signing
from crmbridge.chirp.passwords import Cost
from crmbridge.db import Database
from crmbridge.server import Server
from crmbridge.telemetry import Metrics

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PASSWORD = "correct horse"
PROMPT = 5.0  # seconds: a second is promised, and a loaded machine is forgiven; a heartbeat would come after fifteen


@dataclass
class World:
    """A running feed, and a clock that only tests move."""

    feed: Feed
    server: Server
    database: Database
    metrics: Metrics
    clock: datetime = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
    browsers: list[aiohttp.ClientSession] = field(default_factory=list)

    async def post(self, *posts: Any, **changes: Any) -> list[dict[str, Any]]:
        status, answer = await self.send(json.dumps({"posts": list(posts)}).encode(), **changes)
        assert status == 200, answer
        return json.loads(answer)["results"]

    async def change(self, name: str, *entries: Any) -> list[dict[str, Any]]:
        """Results of `edits` or `deletes`."""
        status, answer = await self.send(json.dumps({name: list(entries)}).encode(), name)
        assert status == 200, answer
        return json.loads(answer)["results"]

    async def send(self, body: bytes, name: str = "posts", **headers: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{self.server.url}/chirp/api/v1/{name}", data=io.BytesIO(body), headers=self.sign(body) | headers) as answer,
        ):
            return answer.status, await answer.text()

    def sign(self, body: bytes = b"") -> dict[str, str]:
        stamp = int(self.clock.timestamp())
        signature = signing.sign(SECRET, "msg_1", stamp, body)
        return {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(stamp),
            "webhook-signature": signature,
            "Content-Type": "application/json",
        }

    def browser(self) -> Browser:
        session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self.browsers.append(session)
        return Browser(self, session)

    async def signed_in(self, login: str = "susan") -> Browser:
        browser = self.browser()
        assert (await browser.enter(await self.feed.one_time_link(login)))[0] == 200
        return browser


@dataclass
class Browser:
    """Somebody's cookies, and the proof found in the last page."""

    world: World
    session: aiohttp.ClientSession
    page: str = ""

    async def get(self, path: str, **options: Any) -> tuple[int, str]:
        async with self.session.get(self.world.server.url + path, **options) as answer:
            self.page = await answer.text()
            return answer.status, self.page

    def fields(self) -> dict[str, str]:
        found = dict(re.findall(r'name="(proof|key)" value="([^"]*)"', self.page))
        return {"proof": found.get("proof", ""), "key": found.get("key", "")}

    async def send(self, path: str, headers: dict[str, str] | None = None, **values: str) -> tuple[int, str]:
        data = self.fields() | values
        async with self.session.post(self.world.server.url + path, data=data, headers=headers) as answer:
            text = await answer.text()
            if answer.status == 200:
                self.page = text
            return answer.status, text

    async def enter(self, link: str) -> tuple[int, str]:
        """Open a one-time link, and press its button."""
        status, page = await self.get(link)
        return await self.send(link) if status == 200 else (status, page)

    async def sign_in(self, login: str, password: str) -> tuple[int, str]:
        await self.get("/chirp/sign-in")
        return await self.send("/chirp/sign-in", login=login, password=password)

    def cookie(self, name: str = "chirp") -> str | None:
        held = self.session.cookie_jar.filter_cookies(URL(self.world.server.url + "/chirp")).get(name)
        return held.value if held else None


CHEAP = Cost(2**4, 8, 1)


@contextlib.asynccontextmanager
async def running_feed(tmp_path: Path, cost: Cost = CHEAP, **server_options: Any) -> AsyncIterator[World]:
    """A feed with two people, Susan and Tom."""
    database = Database(tmp_path / "feed.db", SCHEMA, synchronous="OFF")
    numbers = itertools.count()
    made: list[World] = []
    metrics = Metrics()
    feed = Feed(
        database,
        name="Chirp",
        public_url=None,
        secrets=lambda: [SECRET],
        now=lambda: made[0].clock,
        token=lambda: f"token-{next(numbers):032d}",
        cost=cost,
        metrics=metrics,
    )
    server = Server(feed.routes(), name="feed", request_deadline=2, **server_options)
    made.append(World(feed, server, database, metrics))
    await server.start("127.0.0.1:0")
    await feed.add_user("susan", "Susan Hart", PASSWORD)
    await feed.add_user("tom", "Tom Winter", PASSWORD)
    yield made[0]
    for session in made[0].browsers:
        await session.close()
    await server.stop(0.2)
    feed.close()
    database.close()


def post(key: str = "k1", words: Any = "The roll-out at Parkers is live.", **changes: Any) -> dict[str, Any]:
    text = words if isinstance(words, list) else [[0, words]]
    return {
        "key": key,
        "channel": {"key": "crm/Account/1", "title": "Parkers", "audience": "company"},
        "text": text,
        "link": None,
        "parent": None,
        "rule": "roll-outs",
        "record": {"source": "crm", "type": "Account", "id": "1"},
        "occurred_at": "2026-11-22T11:59:00+00:00",
    } | changes


def channel(key: str, title: str) -> dict[str, str]:
    return {"key": key, "title": title, "audience": "company"}


async def channel_code(browser: Browser) -> str:
    _, page = await browser.get("/chirp/channels")
    found = re.search(r'<h2><a href="/chirp/c/(\w+)"', page)
    assert found is not None
    return found[1]


def said(page: str) -> list[str]:
    return [re.sub(r"<[^>]+>", "", text) for text in re.findall(r'<div class="text">(.*?)</div>', page, re.DOTALL)]


@dataclass
class Stream:
    """An open event stream."""

    answer: aiohttp.ClientResponse
    buffer: str = ""

    async def next(self, seconds: float = PROMPT) -> dict[str, str]:
        async with asyncio.timeout(seconds):
            while True:
                block, found, rest = self.buffer.partition("\n\n")
                if not found:
                    piece = await self.answer.content.readany()
                    if not piece:
                        return {"end": "of stream"}
                    self.buffer += piece.decode()
                    continue
                self.buffer = rest
                fields = dict(line.split(": ", 1) if ": " in line else (line.rstrip(":"), "") for line in block.split("\n") if line)
                if "data" in fields:
                    return fields


async def stream(browser: Browser, path: str = "/chirp/live", **headers: str) -> Stream:
    answer = await browser.session.get(browser.world.server.url + path, headers=headers)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    return Stream(answer)
