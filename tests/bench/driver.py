"""Sends signed webhooks as fast as one Python process can, and says how they were answered, as one line of JSON.

A process of its own: a raw protocol on uvloop with keep-alive connections. Every request is made and signed before the
first one is sent, so that sending costs as little as possible of the machine that it shares with what is measured.

    closed loop (rate 0):  each connection sends its next request when the last one is answered
    fixed rate:            requests fall due at instants; an acknowledgement counts from that instant, not from the send

Instants are CLOCK_MONOTONIC, which the sink's process shares.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
from collections import deque
from typing import Any


def body(mark: str) -> bytes:
    """A change of one record: about 1.1 KB of JSON, 23 fields, one record for each `mark`."""
    fields = {
        "Name": f"Parkers roll-out {mark}",
        "StageName": "Closed Won",
        "Amount": 245000.5,
        "CurrencyIsoCode": "EUR",
        "CloseDate": "2026-11-20",
        "Probability": 100,
        "Type": "Existing Customer - Upgrade",
        "LeadSource": "Partner Referral",
        "NextStep": "Kick-off with the project team in the first week",
        "Description": "Three sites in the first phase, two more after the review; the customer pays per site. " * 2,
        "OwnerId": "0055g00000AbCdEAAV",
        "OwnerName": "Susan Novak",
        "OwnerEmail": "susan.novak@acme.example",
        "AccountId": "0015g00000XyZabAAF",
        "AccountName": "Parkers & Sons GmbH",
        "CampaignId": "7015g000000QwErAAK",
        "ForecastCategory": "Closed",
        "FiscalYear": 2026,
        "IsClosed": True,
        "IsWon": True,
        "CreatedDate": "2026-03-02T09:15:27+00:00",
        "LastModifiedDate": "2026-11-20T16:42:11+00:00",
        "Region": "Central Europe",
    }
    change = {"event": "opportunity.updated", "type": "Opportunity", "id": mark, "at": "2026-11-22T12:00:00+00:00", "record": fields}
    return json.dumps(change, separators=(",", ":")).encode()


def request(path: str, key: bytes, mark: str) -> bytes:
    """A complete signed request (Standard Webhooks 1.0.0)."""
    content, stamp = body(mark), str(int(time.time()))
    mac = base64.b64encode(hmac.digest(key, f"{mark}.{stamp}.".encode() + content, hashlib.sha256)).decode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        f"webhook-id: {mark}\r\nwebhook-timestamp: {stamp}\r\nwebhook-signature: v1,{mac}\r\n\r\n"
    )
    return head.encode() + content


class Driver:
    """What is to be sent, and what has been answered."""

    def __init__(self, requests: deque[bytes], seconds: float, rate: float) -> None:
        self.requests = requests
        self.rate = rate
        self.idle: list[Connection] = []
        self.due: deque[float] = deque()
        self.waits: list[float] = []
        self.sent = self.accepted = 0
        self.first = time.monotonic() + 0.05
        self.end = self.first + seconds
        self.last = self.cpu = 0.0
        self.done = asyncio.Event()

    async def run(self, port: int, connections: int) -> None:
        """Send everything, or until the time is over; every request is waited for."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
        await asyncio.sleep(max(0.0, self.first - time.monotonic()))
        self.first = time.monotonic()
        if self.rate:
            total = min(len(self.requests), int((self.end - self.first) * self.rate))
            for index in range(total):
                at = self.first + index / self.rate
                if (pause := at - time.monotonic()) > 0:
                    await asyncio.sleep(pause)
                self.due.append(at)
                if self.idle:
                    self.idle.pop().next()
        else:
            for connection in list(self.idle):
                connection.next()
        self.idle.clear()
        self.end = min(self.end, time.monotonic()) if self.rate else self.end
        await asyncio.wait_for(self._answered(), self.end - time.monotonic() + 60)

    async def _answered(self) -> None:
        while self.accepted < self.sent or self.due or (not self.rate and self.requests and time.monotonic() < self.end):
            await asyncio.sleep(0.02)


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request under way."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.began = 0.0
        self.answer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.driver.idle.append(self)

    def next(self) -> None:
        """Send the next request, if there is one and its time has come."""
        driver = self.driver
        now = time.monotonic()
        if driver.rate:
            if not driver.due:
                driver.idle.append(self)
                return
            self.began = driver.due.popleft()
        elif now >= driver.end or not driver.requests:
            return
        else:
            self.began = now
        driver.sent += 1
        self.transport.write(driver.requests.popleft())

    def data_received(self, data: bytes) -> None:
        self.answer += data
        head, found, rest = self.answer.partition(b"\r\n\r\n")
        if not found:
            return
        at = head.lower().find(b"content-length:")
        if len(rest) < int(head[at + 15 : (head + b"\r").find(b"\r", at)]):
            return
        if not head.startswith(b"HTTP/1.1 2"):
            sys.exit(f"refused: {self.answer[:300]!r}")
        self.answer = b""
        driver = self.driver
        driver.last = time.monotonic()
        driver.accepted += 1
        driver.waits.append(driver.last - self.began)
        self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.driver.accepted < self.driver.sent:
            sys.exit("the other side closed a connection")


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/hooks/crm")
    parser.add_argument("--key", required=True, help="base64")
    parser.add_argument("--count", type=int, required=True, help="at most so many requests")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=0.0, help="requests per second; 0 is a closed loop")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--first", type=int, default=0, help="number of the first event: marks are unique across runs")
    given = parser.parse_args()
    key = base64.b64decode(given.key)

    async def run() -> Driver:
        made = deque(request(given.path, key, f"ev-{given.first + index:08d}") for index in range(given.count))
        driver = Driver(made, given.seconds, given.rate)
        before = time.process_time()
        await driver.run(given.port, given.connections)
        driver.cpu = time.process_time() - before
        return driver

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        driver = runner.run(run())
    waits = sorted(driver.waits) or [0.0]
    print(
        json.dumps(
            {
                "sent": driver.sent,
                "accepted": driver.accepted,
                "first": driver.first,
                "last": driver.last,
                "cpu": driver.cpu,
                "p50_ms": waits[len(waits) // 2] * 1000,
                "p99_ms": waits[len(waits) * 99 // 100] * 1000,
            }
        )
    )


if __name__ == "__main__":
    main()
