"""Two sinks, each a process of its own, that count what they are told. `sink.py key|slack` prints its port.

    key    a Standard Webhooks receiver: a `webhook-id` that it knows says nothing new, so it counts distinct ids for each mark
    slack  chat.postMessage has no key, so it counts every request for each mark

A mark is the `ev-00000000` that each text carries. GET /counts gives the figures as JSON.

`--limit N`: it answers 429 to N requests. It takes them as they come in fours (the connector has four under way at most), so
that none is on its way when they are answered, all at once; until the instant it names then, every further request is early.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import urllib.parse
from collections import defaultdict
from typing import Any

LANES = 100  # channels c000 and onward
MARK = len("ev-00000000")
TOGETHER = 4  # requests under way at once, of one destination
FOREBEARANCE = 0.5  # seconds to wait for so many
EVERY = 20  # requests answered well between two limits


class Counts:
    """What has arrived."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.requests = 0
        self.said: dict[str, set[str]] = defaultdict(set)
        self.limited = 0  # 429s answered
        self.windows = 0
        self.early: list[float] = []  # how many seconds before the permitted instant
        self.until = 0.0
        self.good = 0
        self.gathered: list[tuple[Sink, str]] = []
        self.there: list[tuple[float, str, dict[str, Any]]] = []

    def arrived(self, sink: Sink, key: str, mark: str) -> None:
        """One request."""
        self.requests += 1
        now = time.monotonic()
        if now < self.until:
            self.early.append(self.until - now)
        if self.limited < self.given.limit and self.good >= EVERY:
            self.gathered.append((sink, mark))
            if len(self.gathered) == TOGETHER:
                self.refuse()
            elif len(self.gathered) == 1:
                asyncio.get_running_loop().call_later(FOREBEARANCE, self.relent, self.windows)
            return
        self.good += 1
        self.say(mark, key if self.given.kind == "key" else str(self.requests))
        asyncio.get_running_loop().call_later(self.given.delay, sink.accept, self.requests)

    def remember(self, said: dict[str, Any]) -> None:
        """A message as a look-up will show it."""
        channel, key = channel_id(said["channel"]), said["metadata"]["event_payload"]["key"]
        metadata = {"event_type": "crmbridge", "event_payload": {"key": key}}
        self.there.append((time.monotonic(), channel, {"ts": f"{len(self.there)}.000002", "metadata": metadata}))

    def asked(self, path: str) -> bytes:
        """Slack's answer to a question: what is there of a channel's last two minutes, as seen `--lag` seconds ago."""
        if not self.given.history:
            return json.dumps({"ok": False, "error": "missing_scope"}).encode()
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
        if "/conversations.list" in path:
            names = [f"c{number:03d}" for number in range(LANES)]
            return json.dumps({"ok": True, "channels": [{"id": channel_id(name), "name": name} for name in names]}).encode()
        now = time.monotonic()
        wanted = asked["channel"][0].upper()
        found = [one for at, channel, one in self.there if channel == wanted and self.given.lag <= now - at < 120]
        return json.dumps({"ok": True, "messages": found}).encode()

    def say(self, mark: str, key: str) -> None:
        """It is published."""
        self.said[mark].add(key)

    def refuse(self) -> None:
        """The limit is hit: by all that are under way."""
        seconds = self.given.longer if self.windows % 5 == 4 else 1
        self.windows += 1
        self.limited += len(self.gathered)
        for sink, _ in self.gathered:
            sink.refuse(seconds)
        self.until = time.monotonic() + seconds
        self.gathered, self.good = [], 0

    def relent(self, window: int) -> None:
        """Fewer than expected came: they are published."""
        if window == self.windows and self.gathered:
            for sink, mark in self.gathered:
                self.say(mark, f"{mark}/{len(self.said[mark])}")
                sink.accept(self.requests)
            self.gathered = []

    def lost(self, sink: Sink) -> None:
        """Its peer died: what it asked is not answered, and not published."""
        self.gathered = [one for one in self.gathered if one[0] is not sink]

    def facts(self) -> bytes:
        """The answer to /counts."""
        wait = max(0.0, self.until - time.monotonic())
        facts = {"requests": self.requests, "limited": self.limited, "windows": self.windows, "early": self.early, "wait": wait}
        return json.dumps(facts | {"said": {mark: len(keys) for mark, keys in self.said.items()}}).encode()


class Sink(asyncio.Protocol):
    """One connection."""

    counts: Counts

    def __init__(self) -> None:
        self.data = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.counts.lost(self)

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower() + b"\r\n"
            if head.startswith(b"get "):
                self.data = self.data[end + 4 :]
                path = head.split(b" ", 2)[1].decode()
                self.reply(200, self.counts.facts() if path == "/counts" else self.counts.asked(path))
                continue
            size = end + 4 + int(header(head, b"\r\ncontent-length:"))
            if len(self.data) < size:
                return
            if head.startswith(b"post /auth.test "):
                self.data = self.data[size:]
                self.reply(200, b'{"ok": true}')
                continue
            at = self.data.find(b"ev-", end)
            mark = self.data[at : at + MARK].decode()
            if self.counts.given.history:
                self.counts.remember(json.loads(self.data[end + 4 : size]))
            self.data = self.data[size:]
            self.counts.arrived(self, header(head, b"\r\nwebhook-id:").decode(), mark)

    def accept(self, number: int) -> None:
        """Slack's answer; a webhook's sender reads only the status."""
        channel = None if self.counts.given.history else "C1"  # then its id must be asked for
        self.reply(200, json.dumps({"ok": True, "channel": channel, "ts": f"{number}.000001"}).encode())

    def refuse(self, seconds: int) -> None:
        """The limit's answer."""
        self.reply(429, json.dumps({"ok": False, "error": "ratelimited"}).encode(), f"Retry-After: {seconds}\r\n")

    def reply(self, status: int, body: bytes, more: str = "") -> None:
        """One answer."""
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        if not self.transport.is_closing():
            self.transport.write(head.encode() + body)


def channel_id(name: str) -> str:
    """What Slack calls a channel like `#c012`."""
    return f"C{int(name.removeprefix('#')[1:]):09d}"


def header(head: bytes, name: bytes) -> bytes:
    """One header's value."""
    at = head.find(name)
    return head[at + len(name) : head.find(b"\r", at + 2)].strip() if at >= 0 else b"0"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["key", "slack"])
    parser.add_argument("--delay", type=float, default=0.01, help="seconds between an act and its answer")
    parser.add_argument("--history", action="store_true", help="for slack: answer conversations.history; otherwise the scope is missing")
    parser.add_argument("--lag", type=float, default=0.0, help="seconds until a look-up shows a message")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--longer", type=int, default=3, help="seconds that every fifth limit lasts; the others last one")
    Sink.counts = Counts(parser.parse_args())

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0, backlog=512)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


if __name__ == "__main__":
    main()
