"""The HTTP server against slow, greedy and ambiguous clients, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
import time
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from shared import NOW

from crmbridge.contract import Reply
from crmbridge.errors import InvalidRequest, InvalidSignature, StoreError
from crmbridge.server import Server, parse_listen, read_body, streaming
from crmbridge.web.hooks import hook_routes

DEADLINE = 0.5  # seconds, in place of ten
CLOSED = 8.0  # seconds in which a connection must be closed: far above what it needs, far below what slow clients here go on for


class Site:
    """Routes that show what the server does, and what they saw."""

    def __init__(self) -> None:
        self.finished: list[str] = []
        self.release = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/body", self.body),
            web.post("/small", self.small),
            web.get("/fails", self.fails),
            web.get("/refuses", self.refuses),
            web.get("/full", self.full),
            web.get("/waits", self.waits),
            web.get("/stream", self.stream),
        ]

    async def body(self, request: web.Request) -> web.Response:
        return web.Response(text=str(len(await read_body(request))))

    async def small(self, request: web.Request) -> web.Response:
        return web.Response(text=str(len(await read_body(request, 10))))

    async def fails(self, request: web.Request) -> web.Response:
        raise RuntimeError("secret detail")

    async def refuses(self, request: web.Request) -> web.Response:
        raise InvalidSignature("no\nsuch signature")

    async def full(self, request: web.Request) -> web.Response:
        raise StoreError("/var/lib/x: disk full")

    async def waits(self, request: web.Request) -> web.Response:
        await self.release.wait()
        self.finished.append("waits")
        return web.Response(text="done")

    async def stream(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        with streaming(request):
            await answer.prepare(request)
            await answer.write(b"begin")
            await asyncio.sleep(60)
        self.finished.append("stream")
        return answer


@pytest.fixture
async def site():
    return Site()


@pytest.fixture
async def server(site):
    made = Server(site.routes(), name="test", request_deadline=DEADLINE, max_body=1000, max_connections=20)
    await made.start("127.0.0.1:0")
    yield made
    site.release.set()
    await made.stop(0.5)


async def raw(server: Server, *pieces: bytes, pause: float = 0.0, limit: float = CLOSED) -> tuple[bytes, float]:
    """What the server says to these bytes until it closes, and after how many seconds it closed."""
    host, _, port = server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    began = time.monotonic()

    async def send() -> None:
        with contextlib.suppress(OSError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)

    sending = asyncio.create_task(send())
    said = b""
    with contextlib.suppress(OSError):
        async with asyncio.timeout(limit):
            while piece := await reader.read(65536):
                said += piece
    took = time.monotonic() - began
    sending.cancel()
    writer.close()
    return said, took


HEAD = b"POST /body HTTP/1.1\r\nHost: x\r\n"


async def test_body_is_read_whole(server):
    async with aiohttp.ClientSession() as client:
        for size in (0, 1, 999, 1000):
            async with client.post(f"{server.url}/body", data=b"a" * size) as answer:
                assert (answer.status, await answer.text()) == (200, str(size))


async def test_body_in_pieces_is_read_whole(server):
    said, _ = await raw(server, HEAD + b"Connection: close\r\nContent-Length: 6\r\n\r\na", b"bcd", b"ef", pause=0.02)
    assert said.startswith(b"HTTP/1.1 200")
    assert said.endswith(b"\r\n6")


async def test_too_large_is_413_and_closes(server):
    async with aiohttp.ClientSession() as client:
        async with client.post(f"{server.url}/body", data=b"a" * 1001) as answer:
            assert answer.status == 413
            assert answer.headers["Connection"] == "close"
        async with client.post(f"{server.url}/small", data=b"a" * 11) as answer:
            assert answer.status == 413


async def test_endless_chunked_body_is_cut_at_the_limit(server):
    chunk = b"400\r\n" + b"a" * 0x400 + b"\r\n"
    said, took = await raw(server, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 1000, pause=0.01)
    assert said.startswith(b"HTTP/1.1 413")
    assert took < CLOSED


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip", "x"])
async def test_compressed_body_is_415(server, encoding):
    async with aiohttp.ClientSession() as client:
        async with client.post(f"{server.url}/body", data=b"abc", headers={"Content-Encoding": encoding}) as answer:
            assert answer.status == 415
        async with client.post(f"{server.url}/body", data=b"abc", headers={"Content-Encoding": "Identity"}) as answer:
            assert answer.status == 200


async def test_dribbled_head_is_closed(server):
    said, took = await raw(server, b"POST /body HTTP/1.1\r\n", *[b"X-%d: a\r\n" % n for n in range(100)], pause=0.1)
    assert not said or said.startswith(b"HTTP/1.1 408")  # a client that is still sending may lose the answer
    assert not said or b"frame-ancestors 'none'" in said
    assert took < CLOSED


async def test_dribbled_body_is_closed(server):
    said, took = await raw(server, HEAD + b"Content-Length: 100\r\n\r\n", *[b"a"] * 100, pause=0.1)
    assert said.startswith(b"HTTP/1.1 408")
    assert took < CLOSED


async def test_dribbled_second_head_on_one_connection_is_closed(server):
    first = HEAD + b"Content-Length: 1\r\n\r\na"
    said, took = await raw(server, first, b"GET / HTTP/1.1\r\n", *[b"X-%d: a\r\n" % n for n in range(100)], pause=0.1)
    assert said.count(b"HTTP/1.1 200") == 1
    assert took < CLOSED


async def test_keep_alive_outlives_the_deadline_of_one_request(server):
    async with aiohttp.ClientSession() as client:
        for _ in range(2):
            async with client.post(f"{server.url}/body", data=b"abc") as answer:
                assert answer.status == 200
            await asyncio.sleep(DEADLINE * 1.5)
        assert len(server.connections) == 1


AMBIGUOUS = {
    "both lengths": HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, other order": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "list of lengths": HEAD + b"Content-Length: 4, 5\r\n\r\nabcde",
    "signed length": HEAD + b"Content-Length: +4\r\n\r\nabcd",
    "xchunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "space before colon": HEAD + b"Content-Length : 4\r\n\r\nabcd",
    "folded header": HEAD + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": HEAD + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "chunked in 1.0": b"POST /body HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size 0x1": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "huge header": HEAD + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
    "5000 headers": HEAD + b"".join(b"X%d: a\r\n" % n for n in range(5000)) + b"\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
}


@pytest.mark.parametrize("case", AMBIGUOUS)
async def test_ambiguous_request_is_refused_and_the_connection_closed(server, case):
    said, took = await raw(server, AMBIGUOUS[case])
    assert said[:12] in (b"HTTP/1.1 400", b"HTTP/1.0 400", b"")
    assert b"\r\n\r\n" not in said or len(said.split(b"\r\n\r\n", 1)[1]) < 200
    assert b"Python" not in said
    assert b"aiohttp" not in said
    assert took < CLOSED


async def test_errors_are_one_line_without_detail(server, caplog):
    async with aiohttp.ClientSession() as client:
        async with client.get(f"{server.url}/fails") as answer:
            assert answer.status == 500
            text = await answer.text()
            assert "secret" not in text
            assert text.count("\n") == 1
        async with client.get(f"{server.url}/refuses") as answer:
            assert (answer.status, await answer.text()) == (401, "no such signature\n")
        async with client.get(f"{server.url}/full") as answer:
            assert answer.status == 503
            assert "/var" not in await answer.text()
    assert "secret detail" in caplog.text


async def test_every_answer_says_little_of_the_server(server):
    async with aiohttp.ClientSession() as client:
        for path in ("/fails", "/refuses", "/nowhere", "/body"):
            async with client.get(server.url + path) as answer:
                assert answer.headers["Server"] == "crmbridge"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Content-Security-Policy"] == "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    said, _ = await raw(server, b"rubbish\r\n\r\n")
    assert b"nosniff" in said
    assert b"frame-ancestors 'none'" in said
    assert b"aiohttp" not in said


async def test_a_page_has_its_own_policy():
    """What a page says of itself stands; there are never two."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(headers={"Content-Security-Policy": "default-src 'self'"})

    made = Server([web.get("/page", page)], name="test")
    await made.start("127.0.0.1:0")
    async with aiohttp.ClientSession() as client, client.get(f"{made.url}/page") as answer:
        assert answer.headers.getall("Content-Security-Policy") == ["default-src 'self'"]
    await made.stop(0.5)


async def test_nothing_is_echoed_to_trace(server):
    said, _ = await raw(server, b"TRACE /body HTTP/1.1\r\nHost: x\r\nCookie: chirp=canary\r\nConnection: close\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 405")
    assert b"canary" not in said


@contextlib.asynccontextmanager
async def listening(site, **limits):
    server = Server(site.routes(), name="test", **limits)
    await server.start("127.0.0.1:0")
    try:
        yield server
    finally:
        await server.stop(0.1)


async def silent(server, count, host="127.0.0.1"):
    """So many connections that say nothing; each is one the server knows of before the next one comes."""
    found = []
    for _ in range(count):
        found.append(await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]), local_addr=(host, 0)))
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    return found


async def answers(server):
    async with aiohttp.ClientSession() as client, client.post(f"{server.url}/body", data=b"a") as answer:
        return answer.status == 200


async def ended(held):
    """How many of these connections the server has closed."""
    count = 0
    for reader, _ in held:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                count += await reader.read() == b""
    return count


async def test_silent_connections_keep_nobody_out(site):
    """Neither from one address, where the oldest makes room, nor from many."""
    async with listening(site, max_connections=20) as server:
        held = await silent(server, 60)
        assert await answers(server)
        assert len(server.connections) <= 20
        assert await ended(held) >= 40
        for _, writer in held:
            writer.close()


async def test_one_address_has_so_many_connections_and_no_more(site):
    async with listening(site, max_connections=20, max_per_origin=5) as server:
        held = await silent(server, 12, "127.0.0.2")
        assert (len(server.connections), await ended(held)) == (5, 7)
        assert await ended(held[:7]) == 7, "the oldest went"
        others = await silent(server, 5, "127.0.0.3")
        assert (len(server.connections), await ended(others)) == (10, 0)
        for _, writer in held + others:
            writer.close()
        await asyncio.sleep(0.05)
        assert (len(server.connections), dict(server.origins)) == (0, {})


async def test_a_trusted_proxy_has_as_many_connections_as_there_are(site):
    async with listening(site, max_connections=20, max_per_origin=5, trusted=["127.0.0.1"]) as server:
        held = await silent(server, 12)
        assert (len(server.connections), await ended(held)) == (12, 0)
        for _, writer in held:
            writer.close()


async def test_who_waits_for_an_answer_is_not_put_out(site):
    """Connections that ask something are no reserve."""
    async with listening(site, max_connections=3) as server, aiohttp.ClientSession() as client:
        waiting = [asyncio.create_task(client.get(f"{server.url}/waits")) for _ in range(3)]
        await asyncio.sleep(0.1)
        held = await silent(server, 4)
        assert await ended(held) == 4
        for _, writer in held:
            writer.close()
        site.release.set()
        for one in waiting:
            async with await one as answer:
                assert answer.status == 200


async def test_a_connection_that_says_nothing_at_first_is_closed_soon(site, monkeypatch):
    monkeypatch.setattr("crmbridge.server.connection._FIRST_BYTE", 0.1)
    async with listening(site) as server:
        ((reader, writer),) = await silent(server, 1)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        assert server.connections == {}


async def test_stop_lets_requests_finish_and_takes_no_new_ones(site):
    server = Server(site.routes(), name="test")
    await server.start("127.0.0.1:0")
    async with aiohttp.ClientSession() as client:
        waiting = asyncio.create_task(client.get(f"{server.url}/waits"))
        await asyncio.sleep(0.05)
        stopping = asyncio.create_task(server.stop(5))
        await asyncio.sleep(0.05)
        with pytest.raises(aiohttp.ClientError):
            await client.post(f"{server.url}/body", data=b"a")
        site.release.set()
        answer = await waiting
        assert (answer.status, await answer.text()) == (200, "done")
        assert answer.headers["Connection"] == "close"
        async with asyncio.timeout(4):
            await stopping


async def test_stop_waits_for_a_body_under_way(site):
    server = Server(site.routes(), name="test")
    await server.start("127.0.0.1:0")
    sending = asyncio.create_task(raw(server, HEAD + b"Content-Length: 3\r\n\r\na", b"b", b"c", pause=0.1))
    await asyncio.sleep(0.05)
    await server.stop(2)
    said, _ = await sending
    assert said.endswith(b"\r\n3")


async def test_stop_ends_after_the_grace_period(site):
    server = Server(site.routes(), name="test")
    await server.start("127.0.0.1:0")
    async with aiohttp.ClientSession() as client:
        waiting = asyncio.create_task(client.get(f"{server.url}/waits"))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await server.stop(0.2)
        assert time.monotonic() - began < 4  # the grace period would be longer, or never end
        with pytest.raises(aiohttp.ClientError):
            await waiting
    assert site.finished == []


async def test_stop_ends_streams_at_once_and_cleanly(site):
    server = Server(site.routes(), name="test")
    await server.start("127.0.0.1:0")
    async with aiohttp.ClientSession() as client, client.get(f"{server.url}/stream") as answer:
        assert await answer.content.readany() == b"begin"
        began = time.monotonic()
        stopping = asyncio.create_task(server.stop(5))
        assert await answer.content.read() == b""
        await stopping
        assert time.monotonic() - began < 4  # the grace period would be longer, or never end
    assert site.finished == ["stream"]


async def test_a_lost_client_does_not_cancel_what_it_began(server, site):
    host, _, port = server.address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()
    await asyncio.sleep(0.05)
    site.release.set()
    await asyncio.sleep(0.05)
    assert site.finished == ["waits"]


async def test_taken_port_is_said_clearly(server, site):
    other = Server(site.routes(), name="other")
    with pytest.raises(OSError, match="something else listens there"):
        await other.start(server.address)
    await other.stop()


@pytest.mark.parametrize(
    "listen", ["", "8080", "localhost", ":8080", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "::1:80", "relative.sock"]
)
def test_malformed_address_is_refused(listen):
    with pytest.raises(OSError, match="expected HOST:PORT"):
        parse_listen(listen)


def test_addresses_are_understood():
    assert parse_listen("127.0.0.1:8080") == ("127.0.0.1", 8080)
    assert parse_listen("[::1]:0") == ("::1", 0)
    assert parse_listen("localhost:443") == ("localhost", 443)


async def test_unix_socket_is_private_and_replaces_a_stale_one(site, tmp_path: Path):
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    server = Server(site.routes(), name="admin")
    await server.start(str(path))
    assert server.address == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    connector = aiohttp.UnixConnector(str(path))
    async with aiohttp.ClientSession(connector=connector) as client, client.post("http://localhost/body", data=b"ab") as answer:
        assert await answer.text() == "2"
    other = Server(site.routes(), name="other")
    with pytest.raises(OSError, match="something else listens there"):
        await other.start(str(path))
    await server.stop()
    assert not path.exists()


async def test_a_file_in_the_way_is_left_alone(site, tmp_path: Path):
    path = tmp_path / "admin.sock"
    path.write_text("precious")
    with pytest.raises(OSError, match="not a socket"):
        await Server(site.routes(), name="admin").start(str(path))
    assert path.read_text() == "precious"


async def test_ipv6_address_is_written_with_brackets(site):
    server = Server(site.routes(), name="test")
    try:
        await server.start("[::1]:0")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    assert server.url.startswith("http://[::1]:")
    await server.stop()


async def test_a_hooks_query_arrives_as_it_was_sent():
    """Some senders sign it; a decoded one would be another."""

    class Hooks:
        async def receive(self, name, request):
            self.seen = (name, request.query, request.body)
            return Reply(202)

    hooks = Hooks()
    server = Server(hook_routes(hooks, lambda: NOW), name="test")
    await server.start("127.0.0.1:0")
    try:
        said, _ = await raw(
            server, b"POST /hooks/crm?a=%2Fx%20+%3D%c3%bc&&b=? HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
        )
    finally:
        await server.stop(0.5)
    assert said.startswith(b"HTTP/1.1 202")
    assert hooks.seen == ("crm", "a=%2Fx%20+%3D%c3%bc&&b=?", b"{}")


def test_invalid_request_keeps_its_status():
    assert InvalidRequest("x", 413).status == 413
