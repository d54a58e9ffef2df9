"""A CRM that numbers its changes and knows which of them were taken in: a process of its own.

Every number is one record; it is sent, signed, until it is answered 2xx. Standard input is its switch: when that closes, it
begins no new number beyond `--least`, finishes those it has begun, and prints one line of JSON. When after that no number at
all is taken in for a minute, it gives up those that are left, and says so.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import hmac
import json
import sys
import time
from collections import Counter

GIVE_UP = 60.0  # seconds, after the switch, in which nothing was taken in


def mark(number: int) -> str:
    """How a number looks in every text that is published of it."""
    return f"ev-{number:08d}"


def request(number: int, lanes: int, secret: bytes) -> bytes:
    """The signed request for one number."""
    fields = {"name": mark(number), "bucket": f"{number % lanes:03d}"}
    body = json.dumps({"id": number, "version": 1, "fields": fields}).encode()
    head = "POST /hooks/crm HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\nX-Signature: {hmac.digest(secret, body, hashlib.sha256).hex()}\r\n\r\n"
    return head.encode() + body


class Source:
    """The numbers, and what became of them."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.next = 0
        self.acknowledged = 0
        self.statuses: Counter[int] = Counter()
        self.waits: list[float] = []
        self.began = time.monotonic()
        self.off = asyncio.Event()
        self.moved = self.began  # when a number was taken in

    async def run(self) -> None:
        """Send until switched off and done."""
        await asyncio.get_running_loop().connect_read_pipe(lambda: Switch(self), sys.stdin)
        await asyncio.gather(*(self.worker() for _ in range(self.given.connections)))

    async def take(self) -> int | None:
        """The next number, when its time has come; None when there are no more."""
        while True:
            if self.off.is_set() and self.next >= self.given.least:
                return None
            if self.next < (time.monotonic() - self.began) * self.given.rate:
                self.next += 1
                return self.next - 1
            await asyncio.sleep(0.005)

    async def worker(self) -> None:
        """One connection, one request under way."""
        reader = writer = None
        while (number := await self.take()) is not None:
            data = request(number, self.given.lanes, self.given.secret.encode())
            while (began := time.monotonic()) < self.moved + GIVE_UP or not self.off.is_set():
                try:
                    if writer is None:
                        reader, writer = await asyncio.open_connection("127.0.0.1", self.given.port)
                    writer.write(data)
                    status, stays = await asyncio.wait_for(answer(reader), GIVE_UP / 2)
                except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
                    status, stays = 0, False
                self.statuses[status] += 1
                if not stays and writer is not None:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
                    writer = None
                if 200 <= status < 300:
                    self.acknowledged += 1
                    self.moved = time.monotonic()
                    self.waits.append(self.moved - began)
                    break
                await asyncio.sleep(0.05)

    def facts(self) -> dict[str, object]:
        """What is printed at the end."""
        waits = sorted(self.waits) or [0.0]
        facts = {"begun": self.next, "acknowledged": self.acknowledged, "statuses": self.statuses}
        return facts | {"p99_ms": round(waits[len(waits) * 99 // 100] * 1000, 1), "longest_ms": round(waits[-1] * 1000, 1)}


async def answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """An answer's status, read to its end, and whether the connection stays."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = head.partition(b"content-length:")[2].partition(b"\r")[0].strip()
    await reader.readexactly(int(size or b"0"))
    return int(head.split()[1]), b"connection: close" not in head


class Switch(asyncio.Protocol):
    """Standard input."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def connection_lost(self, exc: Exception | None) -> None:
        self.source.moved = time.monotonic()
        self.source.off.set()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--lanes", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="numbers per second; what a dead daemon delays is caught up")
    parser.add_argument("--least", type=int, required=True)
    parser.add_argument("--connections", type=int, default=8)

    async def run() -> Source:
        source = Source(parser.parse_args())
        await source.run()
        return source

    print(json.dumps(asyncio.run(run()).facts()))


if __name__ == "__main__":
    main()
