"""Takes webhooks, counts them and answers 200: a process of its own, a raw protocol on uvloop.

It prints its port. GET /counts gives, as JSON, the requests, the distinct webhook-ids, the distinct events (the mark
`ev-00000000` that each body carries), the instants of the first and the last request, and the CPU seconds used; GET
/reset forgets them.
"""

from __future__ import annotations

import asyncio
import json
import resource
import time
from typing import Any

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_MARK = len("ev-00000000")


class Counts:
    """What has arrived."""

    def __init__(self) -> None:
        self.requests = 0
        self.ids: set[bytes] = set()
        self.marks: set[bytes] = set()
        self.first = self.last = 0.0

    def facts(self) -> bytes:
        """The answer to /counts."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        facts = {"requests": self.requests, "ids": len(self.ids), "events": len(self.marks), "first": self.first, "last": self.last}
        return json.dumps({**facts, "cpu": used.ru_utime + used.ru_stime}).encode()


class Sink(asyncio.Protocol):
    """One connection."""

    counts = Counts()

    def __init__(self) -> None:
        self.data = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data = self.data + data if self.data else data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower() + b"\r\n"
            if head.startswith(b"get "):
                self.look(head)
                self.data = self.data[end + 4 :]
                continue
            size = end + 4 + int(_header(head, b"\r\ncontent-length:"))
            if len(self.data) < size:
                return
            counts = self.counts
            counts.requests += 1
            counts.last = time.monotonic()
            counts.first = counts.first or counts.last
            counts.ids.add(_header(head, b"\r\nwebhook-id:"))
            at = self.data.find(b"ev-", end)
            counts.marks.add(self.data[at : at + _MARK])
            self.data = self.data[size:]
            self.transport.write(_OK)

    def look(self, head: bytes) -> None:
        """A question from the bench."""
        if head.startswith(b"get /reset"):
            Sink.counts = Counts()
        facts = self.counts.facts()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(facts), facts))


def _header(head: bytes, name: bytes) -> bytes:
    at = head.find(name)
    return head[at + len(name) : head.find(b"\r", at + 2)].strip() if at >= 0 else b"0"


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
