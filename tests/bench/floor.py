"""The least program that does the same durable work as crmbridge from webhook to webhook: what Python and SQLite cost here.

One process: raw HTTP parsing in asyncio protocols on uvloop (no httptools, no aiohttp), the standard library's json,
hmac and sqlite3, one writer thread with group commit. Per event, each step only after the one before:

    1  verify the Standard Webhooks signature, parse the body, commit the raw body (WAL, synchronous=FULL), answer 202
    2  evaluate one condition, format one string; commit the event, its outbox row and the end of the inbox row
    3  POST one signed webhook over a keep-alive connection, wait for the 2xx
    4  commit that it is delivered

What is left out: everything else. No configuration, snapshots, retries, leases, limits, deadlines, logs or metrics, and
nothing is taken up again after a crash, although all that this would need is on disk.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import queue
import signal
import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

_CLIENTS = 64  # connections to the sink, as crmbridge's webhook destination has
_GROUP = 128  # units in one transaction, as in crmbridge
_TABLES = """
CREATE TABLE inbox (id INTEGER PRIMARY KEY AUTOINCREMENT, received_at INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE events (id TEXT PRIMARY KEY, record TEXT NOT NULL, recorded_at INTEGER NOT NULL, fields TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (id INTEGER PRIMARY KEY, event TEXT NOT NULL, message TEXT NOT NULL, state TEXT NOT NULL, settled_at INTEGER);
CREATE INDEX outbox_queued ON outbox (id) WHERE state = 'queued';
"""
Unit = tuple[str, tuple[Any, ...]]


class Writer(threading.Thread):
    """The only connection that writes; all that waits at one moment shares a transaction."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(daemon=True)
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
        self.db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _TABLES)
        self.loop = loop
        self.queue: queue.SimpleQueue[tuple[list[Unit], Callable[[int], None]]] = queue.SimpleQueue()

    def run(self) -> None:
        while True:
            group = [self.queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(group) < _GROUP:
                    group.append(self.queue.get_nowait())
            done = []
            self.db.execute("BEGIN IMMEDIATE")
            for units, then in group:
                rowid = 0
                for sql, values in units:
                    rowid = self.db.execute(sql, values).lastrowid or 0
                done.append((then, rowid))
            self.db.execute("COMMIT")
            self.loop.call_soon_threadsafe(self.tell, done)

    @staticmethod
    def tell(done: list[tuple[Callable[[int], None], int]]) -> None:
        for then, rowid in done:
            then(rowid)


class Floor:
    """The steps of one event."""

    def __init__(self, key: bytes, writer: Writer) -> None:
        self.key = key
        self.writer = writer
        self.idle: list[Client] = []
        self.waiting: deque[tuple[int, str, bytes]] = deque()

    def take(self, connection: Hook, headers: dict[bytes, bytes], body: bytes) -> None:
        """Step 1."""
        id, stamp = headers[b"webhook-id"], headers[b"webhook-timestamp"]
        mac = base64.b64encode(hmac.digest(self.key, b"%s.%s.%s" % (id, stamp, body), hashlib.sha256))
        if not hmac.compare_digest(b"v1," + mac, headers[b"webhook-signature"]) or abs(time.time() - int(stamp)) > 300:
            connection.answer(b"401 Unauthorized")
            return
        change = json.loads(body)

        def stored(rowid: int) -> None:
            connection.answer(b"202 Accepted")
            self.interpret(rowid, change)

        self.writer.queue.put(([("INSERT INTO inbox (received_at, body) VALUES (?, ?)", (time.time_ns(), body))], stored))

    def interpret(self, rowid: int, change: dict[str, Any]) -> None:
        """Step 2."""
        record = change["record"]
        units: list[Unit] = []
        event = hashlib.sha256(f"{change['type']}/{change['id']}/1".encode()).hexdigest()[:32]
        units.append(
            ("INSERT INTO events VALUES (?, ?, ?, ?)", (event, change["id"], time.time_ns(), json.dumps(record, separators=(",", ":"))))
        )
        matched = record["StageName"] == "Closed Won"
        text = "{AccountName} signed {Name}: {Amount} {CurrencyIsoCode}, won by {OwnerName}".format(**record) if matched else ""
        if matched:
            message = json.dumps({"key": event, "text": text, "rule": "won", "record": change["id"]}, separators=(",", ":"))
            units.append(("INSERT INTO outbox VALUES (?, ?, ?, 'queued', NULL)", (rowid, event, message)))
        units.append(("DELETE FROM inbox WHERE id = ?", (rowid,)))

        def recorded(_: int) -> None:
            if matched:
                self.waiting.append((rowid, event, message.encode()))
                if self.idle:
                    self.idle.pop().next()

        self.writer.queue.put((units, recorded))

    def delivered(self, rowid: int) -> None:
        """Step 4."""
        settled = ("UPDATE outbox SET state = 'delivered', settled_at = ? WHERE id = ?", (time.time_ns(), rowid))
        self.writer.queue.put(([settled], lambda _: None))


class Hook(asyncio.Protocol):
    """A sender's connection."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.data = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            lines = self.data[:end].split(b"\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
            size = end + 4 + int(headers.get(b"content-length", b"0"))
            if len(self.data) < size:
                return
            body, self.data = self.data[end + 4 : size], self.data[size:]
            if lines[0].startswith(b"GET"):
                self.answer(b"200 OK")
            else:
                self.floor.take(self, headers, body)

    def answer(self, status: bytes) -> None:
        """One answer without a body."""
        self.transport.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)


class Client(asyncio.Protocol):
    """A keep-alive connection to the sink: step 3, one request under way."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.rowid = 0
        self.data = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.floor.idle.append(self)

    def next(self) -> None:
        """Send what waits, or wait."""
        if not self.floor.waiting:
            self.floor.idle.append(self)
            return
        self.rowid, event, content = self.floor.waiting.popleft()
        stamp = b"%d" % int(time.time())
        id = event.encode()
        mac = base64.b64encode(hmac.digest(self.floor.key, b"%s.%s.%s" % (id, stamp, content), hashlib.sha256))
        self.transport.write(
            b"POST /sink HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\nwebhook-id: %s\r\n"
            b"webhook-timestamp: %s\r\nwebhook-signature: v1,%s\r\n\r\n%s" % (len(content), id, stamp, mac, content)
        )

    def data_received(self, data: bytes) -> None:
        self.data += data
        if b"\r\n\r\n" not in self.data:  # the sink's answers have no body
            return
        if not self.data.startswith(b"HTTP/1.1 2"):
            sys.exit(f"refused: {self.data[:200]!r}")
        self.data = b""
        self.floor.delivered(self.rowid)
        self.next()


async def main(database: str, port: int, sink: int, key: bytes) -> None:
    loop = asyncio.get_running_loop()
    writer = Writer(database, loop)
    writer.start()
    floor = Floor(key, writer)
    for _ in range(_CLIENTS):
        await loop.create_connection(lambda: Client(floor), "127.0.0.1", sink)
    await loop.create_server(lambda: Hook(floor), "127.0.0.1", port, backlog=512)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), base64.b64decode(sys.argv[4])))
