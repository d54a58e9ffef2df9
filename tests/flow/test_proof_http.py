"""Whoever can reach the port can send what they like: it is refused, it ends in time, and honest senders are still answered."""

import asyncio
import contextlib
import time

import pytest
from flow.proofs.forms import forms
from flow.proofs.harness import Bridge, Sink, Source, judge, keyed, nothing_is_dead

HEAD = b"POST /hooks/crm HTTP/1.1\r\nHost: x\r\n"
CLOSED = 12.0  # seconds after which nothing slow may be open
# Requests whose end two servers see in different places, or which no server should read. Each is one request in whole.
AMBIGUOUS = {
    "both lengths": HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, chunked first": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two different lengths": HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": HEAD + b"Content-Length: 4, 5\r\n\r\nabcde",
    "a length with a sign": HEAD + b"Content-Length: +4\r\n\r\nabcd",
    "a negative length": HEAD + b"Content-Length: -4\r\n\r\nabcd",
    "a length in hex": HEAD + b"Content-Length: 0x4\r\n\r\nabcd",
    "a length in other digits": HEAD + "Content-Length: ٤\r\n\r\nabcd".encode(),
    "an unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked is not last": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": HEAD + b"Content-Length : 4\r\n\r\nabcd",
    "a folded header": HEAD + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "bare line feeds": b"POST /hooks/crm HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
    "a bare return in a value": HEAD + b"X: a\rb\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": HEAD + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a chunk size with 0x": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "a chunk with bare line feeds": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n",
    "chunked in HTTP/1.0": b"POST /hooks/crm HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no host": b"POST /hooks/crm HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two hosts": HEAD + b"Host: y\r\nContent-Length: 0\r\n\r\n",
    "a header of 200 KB": HEAD + b"X: " + b"a" * 200_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "five thousand headers": HEAD + b"".join(b"X%d: a\r\n" % n for n in range(5000)) + b"Content-Length: 0\r\n\r\n",
    "no method": b"\r\n\r\n\0\0\0\0",
}
PREY = b"GET /healthz HTTP/1.1\r\nHost: prey\r\n\r\n"


@pytest.fixture
def sink():
    with Sink("key") as running:
        yield running


@pytest.fixture
def daemon(tmp_path, sink):
    with Bridge(tmp_path, {"key": keyed(sink.port)}) as made:
        yield made.start()


async def statuses(port, data):
    """Every status answered on one connection that sends `data`, until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = b""
    with contextlib.suppress(OSError, TimeoutError):
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(2):
            while piece := await reader.read(65536):
                answers += piece
    writer.close()
    return [int(line.split()[1]) for line in answers.split(b"\r\n") if line.startswith(b"HTTP/1.")]


def test_no_ambiguous_request_is_believed(daemon, figures):
    """Never a 2xx, never a 5xx, and where two lengths are stated, no answer to what is smuggled behind."""

    async def all_of_them():
        return {name: await statuses(daemon.port, data + PREY) for name, data in AMBIGUOUS.items()}

    answered = asyncio.run(all_of_them())
    smuggled = [name for name, found in answered.items() if 200 in found and ("length" in name or "chunk" in name or "coding" in name)]
    figures("ambiguous requests", n=len(answered), answered=sorted({found[0] for found in answered.values() if found}))

    assert {name: found for name, found in answered.items() if found and not 400 <= found[0] < 500} == {}
    assert smuggled == []
    assert daemon.ask("status")["inbox"] == []


async def dribble(port, body, stop):
    """One byte a second, of a head or of a body; returns after how many seconds the other side ended it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    with contextlib.suppress(OSError):
        writer.write(HEAD + (b"Content-Length: 1000\r\n\r\n" if body else b"X-Slow: "))
        ended = asyncio.create_task(reader.read(1))
        while not ended.done() and time.monotonic() < stop:
            writer.write(b"a")
            await writer.drain()
            await asyncio.wait({ended}, timeout=1)
    writer.close()
    return time.monotonic() - began


@forms("clients", 150, 500, timeout=300)
def test_slow_clients_end_and_disturb_nobody(daemon, sink, figures, clients):
    """Half of them dribble a head, half a body: each is closed at its deadline, and a thousand honest requests are answered."""
    began = time.monotonic()

    async def many():
        return await asyncio.gather(*(dribble(daemon.port, n % 2, time.monotonic() + 30) for n in range(clients)))

    with Source(daemon, 80) as source:
        slow = asyncio.run(many())
        facts = source.finish()
    daemon.quiet()
    nothing_is_dead(daemon)
    lost, doubled = judge("key", facts["acknowledged"], sink.counts()["said"])
    figures(
        "slow clients",
        clients=clients,
        closed_after_s=round(max(slow), 1),
        n=facts["acknowledged"],
        statuses=facts["statuses"],
        honest_p99_ms=facts["p99_ms"],
        seconds=round(time.monotonic() - began),
    )

    assert len(slow) == clients
    assert max(slow) <= CLOSED
    assert min(slow) > 5, "closed at once: nothing is proved of the deadline"
    assert facts["statuses"] == {"202": facts["acknowledged"]}
    assert (lost, doubled) == (0, 0)
